"""The table of all published checkpoints that are known here. No torch.

Sources: timm's rows from its package (1.0.31: sizes, crop, means, license) and from
`results/results-imagenet.csv` of its repository (commit 7479d451; accuracy at the size and crop of the row,
which are those of timm's input, not of its larger test size);
torchvision's from its package (0.29.2, `torchvision.models`); lukemelas's from
`efficientnet_pytorch` 0.7.1; Huawei's from `ghostnet_pytorch/` of its repository (readme, `validate.py`), its
digest from public code that has torch.hub check it.
EfficientNet-Lite's from the readme of Google's code (tensorflow/tpu, `models/official/efficientnet/lite`).
What none of them states is None: lukemelas's table repeats the paper's accuracies, which are not those of its
files; timm's csv has no GhostNetV3 and no outputs other than ImageNet-1k's; torchvision states no license for
weights, and Huawei's two license files disagree. Our own
come with the package, with metrics from `benchmarks/results/`.
"""

from __future__ import annotations

from lightcars.models.preprocessing import Preprocessing
from lightcars.weights.entry import CARS, WeightsEntry
from lightcars.weights.publishers import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    lite_entry,
    lukemelas_entry,
    timm_entry,
    torchvision_entry,
)

_HUAWEI = WeightsEntry(
    tag="huawei/ghostnet_100",
    model="ghostnet_100",
    source="huawei",
    preprocessing=Preprocessing(
        resolution=224, mean=IMAGENET_MEAN, std=IMAGENET_STD, resize="crop", crop_fraction=0.875
    ),
    url="https://github.com/huawei-noah/ghostnet/raw/master/ghostnet_pytorch/models/state_dict_73.98.pth",
    sha256="965143b0",
    top1_percent=73.98,
    top5_percent=91.46,
)

_CARS196 = WeightsEntry(
    tag="lightcars/ghostnet_thesis.cars196",
    model="ghostnet_thesis",
    source="lightcars",
    preprocessing=Preprocessing(
        resolution=160, mean=(0.4707, 0.4602, 0.4550), std=(0.2594, 0.2585, 0.2635), resize="squash"
    ),
    settings={"out_channels": 320},
    num_classes=196,
    packaged="cars196",
    size_mb=6.181,
    license="non-commercial",
    data=CARS,
    top1_percent=84.61,
    top5_percent=97.0,
)
"""From `scripts/train_cars196.py`; its card is beside it, its metrics in that script's results."""

# timm: architecture, tag, pixels, crop fraction, top-1, top-5
# torchvision: model, version, end of the file's name, pixels, pixels of the shorter side, MiB, top-1, top-5
ENTRIES: tuple[WeightsEntry, ...] = (
    _CARS196,
    lite_entry("lite0", 224, 75.1),
    lite_entry(
        "lite1",
        240,
        76.7,
        file="models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    lite_entry(
        "lite2",
        260,
        77.5,
        file="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
    timm_entry("efficientnet_b0", "ra4_e3600_r224_in1k", 224, 0.9, 78.572, 94.338, half=True),
    timm_entry("efficientnet_b0", "ra_in1k", 224, 0.875, 77.696, 93.54),
    timm_entry("efficientnet_b1", "ft_in1k", 224, 0.875, 77.594, 93.63),
    timm_entry("efficientnet_b1", "ra4_e3600_r240_in1k", 240, 0.9, 80.404, 95.148, half=True),
    timm_entry("efficientnet_b2", "ra_in1k", 256, 0.875, 79.34, 94.576),
    timm_entry("efficientnet_b3", "ra2_in1k", 288, 0.875, 81.474, 95.712),
    timm_entry("efficientnet_b4", "ra2_in1k", 320, 0.875, 82.654, 96.136),
    timm_entry("efficientnet_b5", "sw_in12k", 416, 0.95, None, None, num_classes=11821),
    timm_entry("efficientnet_b5", "sw_in12k_ft_in1k", 448, 1, 85.892, 97.742, resize="squash"),
    timm_entry("efficientnet_lite0", "ra_in1k", 224, 0.875, 75.49, 92.514),
    timm_entry("tf_efficientnet_b0", "aa_in1k", 224, 0.875, 76.882, 93.27),
    timm_entry("tf_efficientnet_b0", "ap_in1k", 224, 0.875, 77.094, 93.26, half=True),
    timm_entry("tf_efficientnet_b0", "in1k", 224, 0.875, 76.536, 93.01),
    timm_entry("tf_efficientnet_b0", "ns_jft_in1k", 224, 0.875, 78.684, 94.37),
    timm_entry("tf_efficientnet_b1", "aa_in1k", 240, 0.882, 78.84, 94.2),
    timm_entry("tf_efficientnet_b1", "ap_in1k", 240, 0.882, 79.288, 94.316, half=True),
    timm_entry("tf_efficientnet_b1", "in1k", 240, 0.882, 78.558, 94.102),
    timm_entry("tf_efficientnet_b1", "ns_jft_in1k", 240, 0.882, 81.388, 95.758),
    timm_entry("tf_efficientnet_b2", "aa_in1k", 260, 0.89, 80.082, 94.912),
    timm_entry("tf_efficientnet_b2", "ap_in1k", 260, 0.89, 80.296, 95.032, half=True),
    timm_entry("tf_efficientnet_b2", "in1k", 260, 0.89, 79.614, 94.724),
    timm_entry("tf_efficientnet_b2", "ns_jft_in1k", 260, 0.89, 82.412, 96.234),
    timm_entry("tf_efficientnet_b3", "aa_in1k", 300, 0.904, 81.648, 95.724),
    timm_entry("tf_efficientnet_b3", "ap_in1k", 300, 0.904, 81.854, 95.608, half=True),
    timm_entry("tf_efficientnet_b3", "in1k", 300, 0.904, 80.88, 95.326),
    timm_entry("tf_efficientnet_b3", "ns_jft_in1k", 300, 0.904, 84.064, 96.9),
    timm_entry("tf_efficientnet_b4", "aa_in1k", 380, 0.922, 83.04, 96.29),
    timm_entry("tf_efficientnet_b4", "ap_in1k", 380, 0.922, 83.25, 96.39, half=True),
    timm_entry("tf_efficientnet_b4", "in1k", 380, 0.922, 82.608, 96.126),
    timm_entry("tf_efficientnet_b4", "ns_jft_in1k", 380, 0.922, 85.176, 97.488),
    timm_entry("tf_efficientnet_b5", "aa_in1k", 456, 0.934, 83.696, 96.714),
    timm_entry("tf_efficientnet_b5", "ap_in1k", 456, 0.934, 84.254, 96.978, half=True),
    timm_entry("tf_efficientnet_b5", "in1k", 456, 0.934, 83.166, 96.53),
    timm_entry("tf_efficientnet_b5", "ns_jft_in1k", 456, 0.934, 86.102, 97.75),
    timm_entry("tf_efficientnet_b5", "ra_in1k", 456, 0.934, 83.828, 96.766),
    timm_entry("tf_efficientnet_b6", "aa_in1k", 528, 0.942, 84.118, 96.886),
    timm_entry("tf_efficientnet_b6", "ap_in1k", 528, 0.942, 84.792, 97.134, half=True),
    timm_entry("tf_efficientnet_b6", "ns_jft_in1k", 528, 0.942, 86.476, 97.868),
    timm_entry("tf_efficientnet_b7", "aa_in1k", 600, 0.949, 84.436, 96.92),
    timm_entry("tf_efficientnet_b7", "ap_in1k", 600, 0.949, 85.132, 97.256, half=True),
    timm_entry("tf_efficientnet_b7", "ns_jft_in1k", 600, 0.949, 86.852, 98.08),
    timm_entry("tf_efficientnet_b7", "ra_in1k", 600, 0.949, 84.93, 97.2),
    timm_entry("tf_efficientnet_b8", "ap_in1k", 672, 0.954, 85.366, 97.298, half=True),
    timm_entry("tf_efficientnet_b8", "ra_in1k", 672, 0.954, 85.356, 97.388),
    timm_entry("tf_efficientnet_l2", "ns_jft_in1k", 800, 0.96, 88.362, 98.656),
    timm_entry("tf_efficientnet_l2", "ns_jft_in1k_475", 475, 0.936, 88.25, 98.556),
    timm_entry("tf_efficientnet_lite0", "in1k", 224, 0.875, 74.846, 92.18, half=True),
    timm_entry("tf_efficientnet_lite1", "in1k", 240, 0.882, 76.672, 93.232, half=True),
    timm_entry("tf_efficientnet_lite2", "in1k", 260, 0.89, 77.472, 93.744, half=True),
    timm_entry(
        "tf_efficientnet_lite3", "in1k", 300, 0.904, 79.832, 94.87, half=True, interpolation="bilinear"
    ),
    timm_entry(
        "tf_efficientnet_lite4", "in1k", 380, 0.92, 81.546, 95.666, half=True, interpolation="bilinear"
    ),
    timm_entry("tf_efficientnetv2_b0", "in1k", 192, 0.875, 76.88, 93.184),
    timm_entry("tf_efficientnetv2_b1", "in1k", 192, 0.882, 77.93, 93.822),
    timm_entry("tf_efficientnetv2_b2", "in1k", 208, 0.89, 79.206, 94.602),
    timm_entry("tf_efficientnetv2_b3", "in1k", 240, 0.904, 80.712, 95.176),
    timm_entry("tf_efficientnetv2_b3", "in21k", 240, 0.904, None, None, half=True, num_classes=21843),
    timm_entry("tf_efficientnetv2_b3", "in21k_ft_in1k", 240, 0.9, 81.076, 95.92, half=True, resize="squash"),
    timm_entry("tf_efficientnetv2_s", "in1k", 300, 1, 83.172, 96.336, half=True),
    timm_entry("tf_efficientnetv2_s", "in21k", 300, 1, None, None, half=True, num_classes=21843),
    timm_entry("tf_efficientnetv2_s", "in21k_ft_in1k", 300, 1, 83.374, 96.71, half=True),
    timm_entry("tf_efficientnetv2_m", "in1k", 384, 1, 84.558, 97.056, half=True, resize="squash"),
    timm_entry(
        "tf_efficientnetv2_m", "in21k", 384, 1, None, None, half=True, resize="squash", num_classes=21843
    ),
    timm_entry("tf_efficientnetv2_m", "in21k_ft_in1k", 384, 1, 84.768, 97.44, half=True, resize="squash"),
    timm_entry("tf_efficientnetv2_l", "in1k", 384, 1, 85.196, 97.276, half=True, resize="squash"),
    timm_entry(
        "tf_efficientnetv2_l", "in21k", 384, 1, None, None, half=True, resize="squash", num_classes=21843
    ),
    timm_entry("tf_efficientnetv2_l", "in21k_ft_in1k", 384, 1, 85.832, 97.77, half=True, resize="squash"),
    timm_entry("ghostnet_100", "in1k", 224, 0.875, 73.96, 91.542),
    timm_entry("ghostnetv2_100", "in1k", 224, 0.875, 75.176, 92.334),
    timm_entry("ghostnetv2_130", "in1k", 224, 0.875, 76.762, 93.36),
    timm_entry("ghostnetv2_160", "in1k", 224, 0.875, 77.836, 93.942),
    timm_entry("ghostnetv3_100", "in1k", 224, 0.875, None, None),
    timm_entry("repghostnet_050", "in1k", 224, 0.875, 66.98, 86.94, license="mit"),
    timm_entry("repghostnet_058", "in1k", 224, 0.875, 68.934, 88.386, license="mit"),
    timm_entry("repghostnet_080", "in1k", 224, 0.875, 72.236, 90.49, license="mit"),
    timm_entry("repghostnet_100", "in1k", 224, 0.875, 74.2, 91.55, license="mit"),
    timm_entry("repghostnet_111", "in1k", 224, 0.875, 75.068, 92.184, license="mit"),
    timm_entry("repghostnet_130", "in1k", 224, 0.875, 76.366, 92.898, license="mit"),
    timm_entry("repghostnet_150", "in1k", 224, 0.875, 77.47, 93.498, license="mit"),
    timm_entry("repghostnet_200", "in1k", 224, 0.875, 78.79, 94.336, license="mit"),
    torchvision_entry("efficientnet_b0", "v1", "_rwightman-7f5810bc", 224, 256, 20.451, 77.692, 93.532),
    torchvision_entry("efficientnet_b1", "v1", "_rwightman-bac287d4", 240, 256, 30.134, 78.642, 94.186),
    torchvision_entry("efficientnet_b1", "v2", "-c27df63c", 240, 255, 30.136, 79.838, 94.934, bilinear=True),
    torchvision_entry("efficientnet_b2", "v1", "_rwightman-c35c1473", 288, 288, 35.174, 80.608, 95.31),
    torchvision_entry("efficientnet_b3", "v1", "_rwightman-b3899882", 300, 320, 47.184, 82.008, 96.054),
    torchvision_entry("efficientnet_b4", "v1", "_rwightman-23ab8bcd", 380, 384, 74.489, 83.384, 96.594),
    torchvision_entry("efficientnet_b5", "v1", "_lukemelas-1a07897c", 456, 456, 116.864, 83.444, 96.628),
    torchvision_entry("efficientnet_b6", "v1", "_lukemelas-24a108a5", 528, 528, 165.362, 84.008, 96.916),
    torchvision_entry("efficientnet_b7", "v1", "_lukemelas-c5b4e57e", 600, 600, 254.675, 84.122, 96.908),
    torchvision_entry(
        "efficientnetv2_s",
        "v1",
        "-dd5fe13b",
        384,
        384,
        82.704,
        84.228,
        96.878,
        name="efficientnet_v2_s",
        bilinear=True,
    ),
    torchvision_entry(
        "efficientnetv2_m",
        "v1",
        "-dc08266a",
        480,
        480,
        208.01,
        85.112,
        97.156,
        name="efficientnet_v2_m",
        bilinear=True,
    ),
    torchvision_entry(
        "efficientnetv2_l",
        "v1",
        "-59c71312",
        480,
        480,
        454.573,
        85.808,
        97.788,
        name="efficientnet_v2_l",
        half=True,
    ),
    lukemelas_entry("efficientnet-b0-355c32eb.pth", 224),
    lukemelas_entry("efficientnet-b1-f1951068.pth", 240),
    lukemelas_entry("efficientnet-b2-8bb594d6.pth", 260),
    lukemelas_entry("efficientnet-b3-5fb5a3c3.pth", 300),
    lukemelas_entry("efficientnet-b4-6ed6700e.pth", 380),
    lukemelas_entry("efficientnet-b5-b6417697.pth", 456),
    lukemelas_entry("efficientnet-b6-c76e70fd.pth", 528),
    lukemelas_entry("efficientnet-b7-dcc49843.pth", 600),
    lukemelas_entry("adv-efficientnet-b0-b64d5a18.pth", 224),
    lukemelas_entry("adv-efficientnet-b1-0f3ce85a.pth", 240),
    lukemelas_entry("adv-efficientnet-b2-6e9d97e5.pth", 260),
    lukemelas_entry("adv-efficientnet-b3-cdd7c0f4.pth", 300),
    lukemelas_entry("adv-efficientnet-b4-44fb3a87.pth", 380),
    lukemelas_entry("adv-efficientnet-b5-86493f6b.pth", 456),
    lukemelas_entry("adv-efficientnet-b6-ac80338e.pth", 528),
    lukemelas_entry("adv-efficientnet-b7-4652b6dd.pth", 600),
    _HUAWEI,
)
