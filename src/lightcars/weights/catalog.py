"""Look up the published checkpoints. No torch."""

from __future__ import annotations

from collections.abc import Collection

from lightcars.errors import UnknownWeightsError, did_you_mean
from lightcars.models.registry import MODELS, find_model
from lightcars.weights.entry import IMAGENET, WeightsEntry
from lightcars.weights.published import ENTRIES

__all__ = [
    "ENTRIES",
    "IMAGENET",
    "IMAGENET_TAG",
    "WeightsEntry",
    "find_candidates",
    "find_foreign",
    "find_tag",
    "find_weights",
    "list_weights",
    "unknown_weights",
]

IMAGENET_TAG = "imagenet"


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
    with the highest published top-1 among its own. For "imagenet" these are what saw ImageNet-1k alone, and
    Google's come first where there are any: they ship with lightcars or its extra.

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
        return sorted(found, key=lambda entry: (not entry.needs_download, _top1(entry)), reverse=True)
    of_source = [entry for entry in entries if entry.source == tag]
    found = of_source or [entry for entry in entries if tag in _short_names(entry)]
    return sorted(found, key=_top1, reverse=True)


def _top1(entry: WeightsEntry) -> float:
    return entry.top1_percent or 0.0


def find_tag(tag: str, models: Collection[str] = MODELS) -> WeightsEntry | None:
    """Return the entry with this whole tag, whatever its model, or of one of `models`.

    Of weights that ship with lightcars the short name is enough; "imagenet" is the shipped ImageNet model.

    >>> find_tag("cars196").model, find_tag("cars196", ["ghostnet_thesis"]).model
    ('efficientnet_lite2', 'ghostnet_thesis')
    """
    for entry in ENTRIES:
        shipped = entry.packaged is not None
        means_it = entry.tag == tag or (
            shipped and (tag in _short_names(entry) or _means_imagenet(entry, tag))
        )
        if means_it and entry.model in models:
            return entry
    return None


def find_foreign(name: str) -> WeightsEntry | None:
    """Return the entry that a model's name in timm or torchvision means, with or without its tag; else None.

    >>> find_foreign("tf_efficientnet_b0.ns_jft_in1k").model
    'efficientnet_b0'
    """
    wanted = str(name).removeprefix("hf-hub:").removeprefix("hf_hub:").removeprefix("timm/")
    found = [entry for entry in ENTRIES if wanted == entry.tag.partition("/")[2]]
    found = found or [entry for entry in ENTRIES if wanted == entry.tag.partition("/")[2].partition(".")[0]]
    return max(found, key=_top1, default=None)


def _means_imagenet(entry: WeightsEntry, tag: str) -> bool:
    return tag == IMAGENET_TAG and entry.data == IMAGENET


def unknown_weights(model: str, tag: str) -> UnknownWeightsError:
    """Return the error for a tag that the model does not have, with those that it has."""
    entries = list_weights(model)
    if not entries:
        return UnknownWeightsError(
            f"no published weights of {model} are known, so {tag!r} cannot be found; give a folder or file."
        )
    whole = [IMAGENET_TAG] if find_candidates(model, IMAGENET_TAG) else []
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
    names = {short, short.removesuffix("_in1k"), short.removeprefix("imagenet1k_"), entry.packaged or ""}
    return names - {"", entry.model}
