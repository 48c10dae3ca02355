"""The region of an image that a model sees: all of it, its box, or its box on white. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from lightcars.data.layouts import Sample
from lightcars.data.records import REGIONS, Region
from lightcars.errors import DataError
from lightcars.models.images import read_image
from lightcars.models.validation import require_one_of


def check_region(samples: Sequence[Sample], region: Region, name: str = "") -> None:
    """Check that every sample has a box, unless the region is the whole image.

    Raises:
        DataError: some have none; the message has their number and the first one.
        ConfigError: there is no such region.
    """
    require_one_of("region", region, REGIONS)
    without = [sample for sample in samples if sample.box is None] if region != "whole" else []
    if without:
        raise DataError(
            f"{len(without)} of {len(samples)} images{f' of {name}' if name else ''} have no box (first:"
            f" {without[0].path}); region {region!r} needs one for each."
        )


def read_sample(sample: Sample, img_channels: int, region: Region = "whole") -> Image.Image:
    """Read an image, upright, as RGB (3 channels) or grayscale (1), and return the region of it.

    A box is clipped to the image.

    Raises:
        DataError: the file cannot be read, or its box is missing or outside of it; the message names the
            file.
    """
    image = read_image(sample.path, img_channels)
    if region == "whole":
        return image
    inside = _clipped(sample, image.size)
    part = image.crop(inside)
    if region == "box":
        return part
    page = Image.new(image.mode, image.size, "white")
    page.paste(part, inside)
    return page


def _clipped(sample: Sample, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box in Pillow's convention: from 0, exclusive."""
    if sample.box is None:
        raise DataError(f"{sample.path} has no box.")
    left, top, right, bottom = sample.box
    inside = max(left - 1, 0), max(top - 1, 0), min(right, size[0]), min(bottom, size[1])
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise DataError(
            f"{sample.path}: its box {sample.box} is outside of its {size[0]} x {size[1]} pixels."
        )
    return inside
