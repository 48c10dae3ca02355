"""Inspection of every image of a data set: corrupt, duplicate or gray images, sizes, statistics. No torch."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from tqdm import tqdm

from lightcars.data.layouts import DatasetRecords, Sample, Split, find_data
from lightcars.data.records import Region
from lightcars.data.regions import check_region, read_sample
from lightcars.errors import DataError
from lightcars.models.images import without_advice
from lightcars.progress import shows_bars

THIN_CLASS = 10
"""A training class with fewer images is reported as thin."""
GRAY_TOLERANCE = 2
"""Maximum difference, of 255, between the channels of a gray image after lossy compression."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Statistics of pixel values in [0, 1]; every image has the same weight, whatever its size.

    Attributes:
        mean, std: one value per channel, as in `Preprocessing`.
        num_images: number of images.
        broken: a message for each image that could not be read.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_images: int
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSummary:
    """A summary of one split.

    Attributes:
        name: name of the split.
        num_images: number of images.
        num_classes: number of classes with at least one image.
        num_boxes: number of images with a box.
        num_gray: number of images without color.
        num_broken: number of images that cannot be read.
    """

    name: str
    num_images: int
    num_classes: int
    num_boxes: int
    num_gray: int
    num_broken: int


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Files with the same bytes.

    Attributes:
        paths: paths of the files, relative to the root of the data.
        splits: the splits that contain them; more than one is a leak.
        classes: their classes; more than one means a wrong label.
    """

    paths: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The result of inspecting a data set.

    Attributes:
        root: folder of the data set.
        layout: name of the layout.
        num_classes: number of listed classes.
        splits: a summary of each split.
        absent_classes: classes without training images (without any image, if there is no training split).
        thin_classes: classes with fewer images than `THIN_CLASS`, and their number.
        mismatches: counts that differ from Stanford Cars.
        notes: what was not used.
        broken: a message for each file that cannot be read.
        wrong_boxes: boxes outside of their image.
        duplicates: groups of identical files.
        width, height: minimum, median and maximum in pixels.
        measured_split: the split of the statistics: the first one with a readable image.
        rgb, gray: channel statistics of that split.
    """

    root: str
    layout: str
    num_classes: int
    splits: tuple[SplitSummary, ...]
    absent_classes: tuple[str, ...]
    thin_classes: Mapping[str, int]
    mismatches: tuple[str, ...]
    notes: tuple[str, ...]
    broken: tuple[str, ...]
    wrong_boxes: tuple[str, ...]
    duplicates: tuple[Duplicates, ...]
    width: tuple[int, float, int]
    height: tuple[int, float, int]
    measured_split: str
    rgb: ChannelStatistics
    gray: ChannelStatistics

    @property
    def leaks(self) -> tuple[Duplicates, ...]:
        """Identical images in more than one split."""
        return tuple(group for group in self.duplicates if len(group.splits) > 1)


@dataclass(frozen=True, slots=True)
class _Look:
    """One file: its digest and, if it can be read, size, color, moments in RGB and gray."""

    digest: bytes
    problem: str | None
    wrong_box: str | None = None
    size: tuple[int, int] = (0, 0)
    is_gray: bool = False
    rgb: NDArray[np.float64] | None = None
    gray: NDArray[np.float64] | None = None


def inspect_data(root: str | Path, *, progress: bool = False) -> Inspection:
    """Read every image of a data set once.

    Raises:
        DataError: no layout is recognized, or no image can be read.
    """
    data = find_data(root)
    looks: dict[Split, list[_Look]] = {}
    for split, samples in data.splits.items():
        looks[split] = list(_each(_look, samples, f"inspecting {split}", progress=progress))
    every = [look for members in looks.values() for look in members]
    good = [look for look in every if look.problem is None]
    if not good:
        raise DataError(every[0].problem if every and every[0].problem else f"{root} has no images.")
    measured = next(
        split for split, members in looks.items() if any(look.rgb is not None for look in members)
    )
    per_class = Counter(sample.label for sample in next(iter(data.splits.values())))
    return Inspection(
        root=str(data.root),
        layout=data.layout,
        num_classes=len(data.classes),
        splits=tuple(_summary(split, data.splits[split], members) for split, members in looks.items()),
        absent_classes=tuple(name for label, name in enumerate(data.classes) if not per_class[label]),
        thin_classes={
            name: per_class[label]
            for label, name in enumerate(data.classes)
            if 0 < per_class[label] < THIN_CLASS
        },
        mismatches=data.mismatches,
        notes=data.notes,
        broken=tuple(look.problem for look in every if look.problem is not None),
        wrong_boxes=tuple(look.wrong_box for look in every if look.wrong_box is not None),
        duplicates=_duplicates(data, looks),
        width=_spread([look.size[0] for look in good]),
        height=_spread([look.size[1] for look in good]),
        measured_split=measured,
        rgb=_statistics([look.rgb for look in looks[measured] if look.rgb is not None]),
        gray=_statistics([look.gray for look in looks[measured] if look.gray is not None]),
    )


def channel_statistics(
    samples: Sequence[Sample], *, img_channels: int = 3, region: Region = "whole", progress: bool = False
) -> ChannelStatistics:
    """Compute mean and standard deviation of each channel, over whole images or a region of them.

    Images keep their sizes; each has the same weight, as in training, where all have one size.

    Args:
        samples: the samples of one split: for a model's preprocessing, the training split.
        img_channels: 3, or 1 for grayscale.
        region: as in `decode`.
        progress: show a progress bar.

    Raises:
        DataError: no image can be read, or one has no box although the region needs it.
    """
    check_region(samples, region)

    def moments(sample: Sample) -> NDArray[np.float64] | str:
        try:
            return _moments(read_sample(sample, img_channels, region))
        except DataError as error:
            return str(error)

    outcomes = list(_each(moments, samples, "computing statistics", progress=progress))
    broken = tuple(outcome for outcome in outcomes if isinstance(outcome, str))
    if len(broken) == len(outcomes):
        raise DataError(broken[0] if broken else "there are no images.")
    return _statistics([outcome for outcome in outcomes if not isinstance(outcome, str)], broken)


def _each(
    work: Callable[[Sample], _T], samples: Sequence[Sample], name: str, *, progress: bool
) -> Iterator[_T]:
    """Apply `work` to every sample, on all cores, in order."""
    with without_advice(), ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            yield from tqdm(
                pool.map(work, samples),
                name,
                len(samples),
                disable=not shows_bars(progress),
                leave=False,
            )
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _look(sample: Sample) -> _Look:
    try:
        digest = _digest(sample.path)
    except OSError as error:
        return _Look(b"", f"{sample.path} cannot be read ({error.strerror or error}).")
    try:
        image = read_sample(sample, 3)
    except DataError as error:
        return _Look(digest, str(error))
    gray = image.convert("L")
    return _Look(
        digest,
        None,
        _wrong_box(sample, image.size),
        image.size,
        _is_gray(image),
        _moments(image),
        _moments(gray),
    )


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _wrong_box(sample: Sample, size: tuple[int, int]) -> str | None:
    """Return a message for a box that is not inside of its image."""
    if sample.box is None:
        return None
    left, top, right, bottom = sample.box
    if 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]:
        return None
    return f"{sample.path}: box {left}, {top}, {right}, {bottom} in {size[0]} x {size[1]} pixels"


def _is_gray(image: Image.Image) -> bool:
    red, green, blue = image.split()
    furthest = [np.asarray(ImageChops.difference(red, other)).max() for other in (green, blue)]
    return bool(max(furthest) <= GRAY_TOLERANCE)


def _moments(image: Image.Image) -> NDArray[np.float64]:
    """Return the means of the values and of their squares, (2, C), exactly, from the histogram."""
    counts = np.array(image.histogram(), dtype=np.float64).reshape(-1, 256)
    values = np.arange(256) / 255
    return np.stack([counts @ values, counts @ values**2]) / (image.width * image.height)


def _statistics(moments: Sequence[NDArray[np.float64]], broken: tuple[str, ...] = ()) -> ChannelStatistics:
    mean, square = np.mean(moments, axis=0)
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return ChannelStatistics(_rounded(mean), _rounded(std), len(moments), broken)


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def _spread(values: Sequence[int]) -> tuple[int, float, int]:
    return min(values), median(values), max(values)


def _summary(split: str, samples: Sequence[Sample], looks: Sequence[_Look]) -> SplitSummary:
    return SplitSummary(
        name=split,
        num_images=len(samples),
        num_classes=len({sample.label for sample in samples}),
        num_boxes=sum(sample.box is not None for sample in samples),
        num_gray=sum(look.is_gray for look in looks),
        num_broken=sum(look.problem is not None for look in looks),
    )


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _duplicates(data: DatasetRecords, looks: Mapping[Split, Sequence[_Look]]) -> tuple[Duplicates, ...]:
    groups: defaultdict[bytes, list[tuple[str, Sample]]] = defaultdict(list)
    for split, samples in data.splits.items():
        for sample, look in zip(samples, looks[split], strict=True):
            if look.problem is None:
                groups[look.digest].append((split, sample))
    return tuple(
        Duplicates(
            paths=tuple(_below(sample.path, data.root) for _, sample in members),
            splits=tuple(dict.fromkeys(split for split, _ in members)),
            classes=tuple(dict.fromkeys(data.classes[sample.label] for _, sample in members)),
        )
        for members in groups.values()
        if len(members) > 1
    )
