"""Composites: cars that were cut from photographs, on other photographs, with their boxes.

The pasted border is not to give the car away: either the cut is continued beyond its edges and fades there
into the background, or its corners fade. The cut keeps its own pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from lightcars.data.layouts import Sample
from lightcars.models.images import read_image

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""
RATIOS = (4 / 3, 3 / 2, 16 / 9, 1.0, 3 / 4)
RATIO_SHARES = (0.35, 0.3, 0.15, 0.1, 0.1)
"""Width to height of composites, and how often each is chosen."""


@dataclass(frozen=True, slots=True)
class Composite:
    """A picture with cars at known places; without boxes there are none in it.

    Attributes:
        image: the picture, RGB.
        boxes: of the cars, the largest one first.
        label: class of that one; -1 without cars.
    """

    image: Image.Image
    boxes: tuple[Box, ...]
    label: int


def compose(
    cut: Image.Image, background: Image.Image, rng: np.random.Generator, share: float, scale: float = 1.0
) -> tuple[Image.Image, Box]:
    """Return the picture with a cut pasted into it at random, and the cut's box.

    Args:
        cut: of a car or of another thing.
        background: a photograph; a random part of it is resized.
        rng: chooses shape, place and border.
        share: of the picture that the box fills; a little less where the cut is too long for that.
        scale: of the cut.
    """
    if scale != 1:
        cut = cut.resize((max(8, round(cut.width * scale)), max(8, round(cut.height * scale))))
    width, height = picture_size(cut.size, share, float(rng.choice(RATIOS, p=RATIO_SHARES)))
    picture = part_of(background, (width, height), rng)
    left = int(rng.integers(0, width - cut.width + 1))
    top = int(rng.integers(0, height - cut.height + 1))
    paste(picture, cut, (left, top), rng)
    return picture, (left, top, left + cut.width, top + cut.height)


def picture_size(cut: tuple[int, int], share: float, ratio: float) -> tuple[int, int]:
    """Return width and height of a picture of which a cut of that size fills the share."""
    area = cut[0] * cut[1] / share
    width = max(math.sqrt(area * ratio), cut[0] * 1.02)
    height = max(area / width, cut[1] * 1.02)
    return math.ceil(max(cut[0] * 1.02, area / height)), math.ceil(height)


def part_of(background: Image.Image, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Return a random part of a photograph, resized, maybe mirrored."""
    ratio = size[0] / size[1]
    most = min(background.width, background.height * ratio)
    width = most * math.sqrt(rng.uniform(0.5, 1))
    left, top = rng.uniform(0, background.width - width), rng.uniform(0, background.height - width / ratio)
    part = background.resize(
        size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + width / ratio)
    )
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part


def paste(picture: Image.Image, cut: Image.Image, place: tuple[int, int], rng: np.random.Generator) -> None:
    """Paste a cut so that its border cannot be seen: it continues and fades, or its corners fade."""
    if rng.random() < 0.5:
        margin = max(2, round(rng.uniform(0.05, 0.2) * min(cut.size)))
        wide = continued(cut, margin)
        x, y = (
            np.maximum(np.abs(np.arange(side + 2 * margin) - (side - 1) / 2 - margin) - side / 2, 0) / margin
            for side in cut.size
        )
        away = np.hypot(x[None], y[:, None])
    else:
        margin, wide = 0, cut
        power = rng.uniform(3, 6)
        x, y = (np.abs((np.arange(side) + 0.5) / side * 2 - 1) ** power for side in cut.size)
        away = ((x[None] + y[:, None]) ** (1 / power) - 0.9) / rng.uniform(0.08, 0.2)
    alpha = 1 - away.clip(0, 1)
    mask = Image.fromarray(np.round(255 * alpha * alpha * (3 - 2 * alpha)).astype(np.uint8))
    picture.paste(wide, (place[0] - margin, place[1] - margin), mask)


def continued(cut: Image.Image, margin: int) -> Image.Image:
    """Continue a cut beyond its edges with the blurred colors of its edges."""
    pixels = np.pad(np.asarray(cut), ((margin, margin), (margin, margin), (0, 0)), "edge")
    wide = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(margin / 4))
    wide.paste(cut, (margin, margin))
    return wide


def composite_of(
    sample: Sample,
    backgrounds: Sequence[Path],
    seed: tuple[int, int],
    shares: tuple[float, float] = (0.2, 0.6),
) -> Composite:
    """Return the composite of a cut car with this seed."""
    rng = np.random.default_rng(seed)
    background = read_image(backgrounds[int(rng.integers(len(backgrounds)))], 3)
    image, box = compose(read_image(sample.path, 3), background, rng, rng.uniform(*shares))
    return Composite(image, (box,), sample.label)


def several_cars(
    samples: Sequence[Sample], background: Image.Image, rng: np.random.Generator
) -> tuple[Image.Image, tuple[Box, ...], tuple[int, ...]]:
    """Return a picture of two or three cars that do not overlap by more than a little, with boxes and labels.

    A car for which there is no room is left out.
    """
    chosen = rng.choice(len(samples), int(rng.integers(2, 4)), replace=False)
    cuts = [read_image(samples[index].path, 3) for index in chosen]
    cuts = [
        cut.resize((max(16, round(cut.width * s)), max(16, round(cut.height * s))))
        for cut in cuts
        for s in [rng.uniform(0.4, 1)]
    ]
    size = picture_size(max((cut.size for cut in cuts), key=math.prod), rng.uniform(0.08, 0.35), 1.5)
    picture = part_of(background, size, rng)
    boxes: list[Box] = []
    labels: list[int] = []
    for index, cut in zip(chosen, cuts, strict=True):
        for _ in range(20):
            left, top = (int(rng.integers(0, max(1, size[axis] - cut.size[axis] + 1))) for axis in (0, 1))
            box = (left, top, left + cut.width, top + cut.height)
            if all(shared_width(box, other) < 0.1 for other in boxes):
                paste(picture, cut, (left, top), rng)
                boxes.append(box)
                labels.append(samples[index].label)
                break
    inside = ((left, top, min(right, size[0]), min(bottom, size[1])) for left, top, right, bottom in boxes)
    return picture, tuple(inside), tuple(labels)


def shared_width(one: Box, other: Box) -> float:
    """Return the part of the smaller box that the boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(width, 0) * max(height, 0) / smaller
