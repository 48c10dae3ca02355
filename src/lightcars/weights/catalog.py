"""Every published checkpoint that is known here, in one table. No torch.

Sources: timm's rows from its package (1.0.31: sizes, crop, means, license) and from
`results/results-imagenet.csv` of its repository (commit 7479d451; accuracy at the size and crop of the row);
torchvision's from its package (0.29.2, `torchvision.models`); lukemelas's from
`efficientnet_pytorch` 0.7.1; Huawei's from `ghostnet_pytorch/` of its repository (readme, `validate.py`).
EfficientNet-Lite's from the readme of Google's code (tensorflow/tpu, `models/official/efficientnet/lite`).
What none of them states is None: lukemelas's table repeats the paper's accuracies, which are not those of its
files; torchvision states no license for weights, and Huawei's two license files disagree. Our own
come with the package, with metrics from `benchmarks/results/`.
"""

from __future__ import annotations

from lightcars.errors import UnknownWeightsError, did_you_mean
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.registry import find_model
from lightcars.weights.entry import CARS, IMAGENET, WeightsEntry
from lightcars.weights.publishers import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    lite_entry,
    lukemelas_entry,
    timm_entry,
    torchvision_entry,
)

__all__ = [
    "ENTRIES",
    "IMAGENET",
    "IMAGENET_TAG",
    "WeightsEntry",
    "find_candidates",
    "find_tag",
    "find_weights",
    "list_weights",
    "unknown_weights",
]

IMAGENET_TAG = "imagenet"

_HUAWEI = WeightsEntry(
    tag="huawei/ghostnet_100",
    model="ghostnet_100",
    source="huawei",
    preprocessing=Preprocessing(
        resolution=224, mean=IMAGENET_MEAN, std=IMAGENET_STD, resize="crop", crop_fraction=0.875
    ),
    url="https://github.com/huawei-noah/ghostnet/raw/master/ghostnet_pytorch/models/state_dict_73.98.pth",
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
    timm_entry("ghostnet_100", "in1k", 224, 0.875, 73.96, 91.542),
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
        "shufflenetv2_050",
        "v1",
        "-f707e7126e",
        224,
        256,
        5.282,
        60.552,
        81.746,
        bilinear=True,
        architecture="shufflenet_v2_x0_5",
        file="shufflenetv2_x0.5",
    ),
    torchvision_entry(
        "shufflenetv2_100",
        "v1",
        "-5666bf0f80",
        224,
        256,
        8.791,
        69.362,
        88.316,
        bilinear=True,
        architecture="shufflenet_v2_x1_0",
        file="shufflenetv2_x1",
    ),
    torchvision_entry(
        "shufflenetv2_150",
        "v1",
        "-3c479a10",
        224,
        232,
        13.557,
        72.996,
        91.086,
        bilinear=True,
        architecture="shufflenet_v2_x1_5",
        file="shufflenetv2_x1_5",
    ),
    torchvision_entry(
        "shufflenetv2_200",
        "v1",
        "-8be3c8ee",
        224,
        232,
        28.433,
        76.23,
        93.006,
        bilinear=True,
        architecture="shufflenet_v2_x2_0",
        file="shufflenetv2_x2_0",
    ),
    torchvision_entry(
        "squeezenet_1_0",
        "v1",
        "-b66bff10",
        224,
        256,
        4.778,
        58.092,
        80.42,
        bilinear=True,
        architecture="squeezenet1_0",
    ),
    torchvision_entry(
        "squeezenet_1_1",
        "v1",
        "-b8a52dc0",
        224,
        256,
        4.729,
        58.178,
        80.624,
        bilinear=True,
        architecture="squeezenet1_1",
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
    timm_entry("mobilenetv1_100", "ra4_e3600_r224_in1k", 224, 0.875, 75.384, 92.312, half=True),
    timm_entry("mobilenetv2_100", "ra_in1k", 224, 0.875, 72.936, 91.002),
    torchvision_entry(
        "mobilenetv2_100",
        "v1",
        "-b0353104",
        224,
        256,
        13.555,
        71.878,
        90.286,
        bilinear=True,
        architecture="mobilenet_v2",
    ),
    torchvision_entry(
        "mobilenetv2_100",
        "v2",
        "-7ebf99e0",
        224,
        232,
        13.598,
        72.154,
        90.822,
        bilinear=True,
        architecture="mobilenet_v2",
    ),
    timm_entry("mobilenetv3_small_100", "lamb_in1k", 224, 0.875, 67.638, 87.65),
    timm_entry("tf_mobilenetv3_small_100", "in1k", 224, 0.875, 67.932, 87.684, half=True, bilinear=True),
    torchvision_entry(
        "mobilenetv3_small_100",
        "v1",
        "-047dcff4",
        224,
        256,
        9.829,
        67.668,
        87.402,
        bilinear=True,
        architecture="mobilenet_v3_small",
    ),
    timm_entry(
        "mobilenetv3_large_100",
        "miil_in21k",
        224,
        0.875,
        None,
        None,
        plain=True,
        bilinear=True,
        num_classes=11221,
    ),
    timm_entry(
        "mobilenetv3_large_100", "miil_in21k_ft_in1k", 224, 0.875, 77.91, 92.884, plain=True, bilinear=True
    ),
    timm_entry("mobilenetv3_large_100", "ra4_e3600_r224_in1k", 224, 0.95, None, None, half=True),
    timm_entry("mobilenetv3_large_100", "ra_in1k", 224, 0.875, 75.786, 92.528),
    timm_entry("tf_mobilenetv3_large_100", "in1k", 224, 0.875, 75.514, 92.602, half=True, bilinear=True),
    torchvision_entry(
        "mobilenetv3_large_100",
        "v1",
        "-8738ca79",
        224,
        256,
        21.114,
        74.042,
        91.34,
        bilinear=True,
        architecture="mobilenet_v3_large",
    ),
    torchvision_entry(
        "mobilenetv3_large_100",
        "v2",
        "-5c1a4163",
        224,
        232,
        21.107,
        75.274,
        92.566,
        bilinear=True,
        architecture="mobilenet_v3_large",
    ),
    timm_entry("mobilenetv4_conv_small", "e1200_r224_in1k", 224, 0.875, 73.436, 91.342),
    timm_entry("mobilenetv4_conv_small", "e2400_r224_in1k", 224, 0.875, 73.73, 91.426),
    timm_entry("mobilenetv4_conv_small", "e3600_r256_in1k", 256, 0.95, None, None, half=True),
    timm_entry("mobilenetv4_conv_medium", "e180_ad_r384_in12k", 384, 1.0, None, None, num_classes=11821),
    timm_entry("mobilenetv4_conv_medium", "e180_r384_in12k", 384, 1.0, None, None, num_classes=11821),
    timm_entry("mobilenetv4_conv_medium", "e250_r384_in12k", 384, 1.0, None, None, num_classes=11821),
    timm_entry("mobilenetv4_conv_medium", "e250_r384_in12k_ft_in1k", 384, 0.95, None, None),
    timm_entry("mobilenetv4_conv_medium", "e500_r224_in1k", 224, 0.95, 79.092, 94.788),
    timm_entry("mobilenetv4_conv_medium", "e500_r256_in1k", 256, 0.95, 79.922, 95.186),
    timm_entry("mnasnet_100", "rmsp_in1k", 224, 0.875, 74.662, 92.108),
    torchvision_entry(
        "mnasnet_100",
        "v1",
        "-f206786ef8",
        224,
        256,
        16.915,
        73.456,
        91.51,
        bilinear=True,
        architecture="mnasnet1_0",
        file="mnasnet1.0_top1_73.512",
    ),
)


def list_weights(model: str | None = None) -> list[WeightsEntry]:
    """Return the published checkpoints of one registered model, or of all.

    Raises:
        UnknownModelError: no such model.

    >>> [entry.tag for entry in list_weights("ghostnet_100")]
    ['timm/ghostnet_100.in1k', 'huawei/ghostnet_100']
    """
    if model is None:
        return list(ENTRIES)
    find_model(model)
    return [entry for entry in ENTRIES if entry.model == model]


def find_weights(model: str, tag: str) -> WeightsEntry | None:
    """Return the entry that `tag` means for `model`, or None if the catalog has no such tag.

    A tag is whole ("timm/efficientnet_b0.ra_in1k"), or what tells it apart among the model's: "ra_in1k",
    "ra", "ns_jft", "adv"; a source ("torchvision", "timm", "lukemelas", "huawei") or "imagenet" is the entry
    with the highest published top-1 among its own (for "imagenet": among those that saw ImageNet-1k alone).

    >>> find_weights("efficientnet_b1", "torchvision").tag
    'torchvision/efficientnet_b1.imagenet1k_v2'
    """
    return next(iter(find_candidates(model, tag)), None)


def find_candidates(model: str, tag: str) -> list[WeightsEntry]:
    """Return all entries that `tag` may mean for `model` (see `find_weights`), the best one first."""
    entries = list_weights(model)
    for entry in entries:
        if tag in (entry.tag, entry.tag.partition("/")[2]):
            return [entry]
    if tag == IMAGENET_TAG:
        found = [entry for entry in entries if entry.data == IMAGENET and not entry.extra_data]
    else:
        of_source = [entry for entry in entries if entry.source == tag]
        found = of_source or [entry for entry in entries if tag in _short_names(entry)]
    return sorted(found, key=lambda entry: entry.top1_percent or 0.0, reverse=True)


def find_tag(tag: str) -> WeightsEntry | None:
    """Return the entry with this whole tag, whatever its model.

    Of weights that ship with lightcars the short name is enough; "imagenet" is the shipped ImageNet model.
    """
    for entry in ENTRIES:
        shipped = entry.packaged is not None
        if entry.tag == tag or (shipped and (tag in _short_names(entry) or _means_imagenet(entry, tag))):
            return entry
    return None


def _means_imagenet(entry: WeightsEntry, tag: str) -> bool:
    return tag == IMAGENET_TAG and entry.data == IMAGENET


def unknown_weights(model: str, tag: str) -> UnknownWeightsError:
    """Return the error for a tag that the model does not have, with those that it has."""
    entries = list_weights(model)
    if not entries:
        return UnknownWeightsError(
            f"no published weights of {model} are known, so {tag!r} cannot be found; give a folder or file."
        )
    whole = [IMAGENET_TAG] if any(entry.data == IMAGENET for entry in entries) else []
    names = [*whole, *(entry.source for entry in entries), *(entry.tag for entry in entries)]
    known = dict.fromkeys([*names, *(short for entry in entries for short in _short_names(entry))])
    return UnknownWeightsError(
        f"{model} has no weights {tag!r}, and there is no such folder or file.{did_you_mean(tag, known)}"
        f" See lightcars.list_weights({model!r})."
    )


def _short_names(entry: WeightsEntry) -> set[str]:
    name = entry.tag.partition("/")[2]
    if entry.source == "lukemelas":
        return {"adv"} if name.startswith("adv-") else set()
    short = name.partition(".")[2]
    names = {short, short.removesuffix("_in1k"), short.removeprefix("imagenet1k_")}
    return names - {""}
