"""Looking at every photograph of a data set: what is broken, doubled or gray; sizes, statistics. No torch."""

from __future__ import annotations

import hashlib
import os
import sys
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

THIN_CLASS = 10
"""Training classes with fewer photographs are thin."""
GRAY_TOLERANCE = 2
"""Of 255: red, green and blue of a gray photograph differ by no more, after JPEG or WebP."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Of pixel values in [0, 1]; every photograph weighs the same, whatever its size.

    Attributes:
        mean, std: per channel, for `Preprocessing`.
        num_images: photographs that count.
        broken: what is wrong with those that could not be read.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_images: int
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSummary:
    """One split.

    Attributes:
        name: of the split.
        num_images: photographs in it.
        num_classes: classes that have at least one.
        num_boxes: photographs with a box.
        num_gray: photographs without color.
        num_broken: photographs that cannot be read.
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
        paths: of the files, below the root of the data.
        splits: in which they are; more than one is a leak.
        classes: that they have; more than one is a wrong label.
    """

    paths: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What there is to know of a data set.

    Attributes:
        root: its folder.
        layout: how it is arranged.
        num_classes: of the list of classes.
        splits: figures of each.
        absent_classes: without a training photograph (without any, if there is no training split).
        thin_classes: those with fewer than `THIN_CLASS`, and how many they have.
        mismatches: where the counts are not those of Stanford Cars.
        notes: what was left out.
        broken: what is wrong with each file that cannot be read.
        wrong_boxes: boxes outside of their photograph.
        duplicates: groups of files with the same bytes.
        width, height: of the photographs in pixels: least, median, most.
        measured_split: the first one of which a photograph can be read.
        rgb, gray: its statistics.
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
        """Photographs that are in more than one split."""
        return tuple(group for group in self.duplicates if len(group.splits) > 1)


@dataclass(frozen=True, slots=True)
class _Look:
    """One file: digest of its bytes, and of what could be read size, color, moments in RGB and gray."""

    digest: bytes
    problem: str | None
    wrong_box: str | None = None
    size: tuple[int, int] = (0, 0)
    is_gray: bool = False
    rgb: NDArray[np.float64] | None = None
    gray: NDArray[np.float64] | None = None


def inspect_data(root: str | Path, *, progress: bool = False) -> Inspection:
    """Reads every photograph of a data set once.

    Raises:
        DataError: no layout is recognized, or not one photograph can be read.
    """
    data = find_data(root)
    looks: dict[Split, list[_Look]] = {}
    for split, samples in data.splits.items():
        looks[split] = list(_each(_look, samples, f"inspecting {split}", progress=progress))
    every = [look for members in looks.values() for look in members]
    good = [look for look in every if look.problem is None]
    if not good:
        raise DataError(every[0].problem if every and every[0].problem else f"{root} has no photographs.")
    measured = next(
        split for split, members in looks.items() if any(look.rgb is not None for look in members)
    )
    per_class = Counter(sample.label for sample in next(iter(data.splits.values())))
    return Inspection(
        root=str(data.root),
        layout=data.layout,
        num_classes=len(data.classes),
        splits=tuple(_figures(split, data.splits[split], members) for split, members in looks.items()),
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
    """Mean and standard deviation of each channel, over the whole photographs or a region of them.

    Computed at the photographs' own sizes; each weighs the same, as in training, where all have one size.

    Args:
        samples: of one split: for a model's preprocessing, the training split.
        img_channels: 3, or 1 for grayscale.
        region: as in `decode`.
        progress: show a bar.

    Raises:
        DataError: not one photograph can be read, or one has no box where the region needs it.
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
        raise DataError(broken[0] if broken else "there are no photographs.")
    return _statistics([outcome for outcome in outcomes if not isinstance(outcome, str)], broken)


def _each(
    work: Callable[[Sample], _T], samples: Sequence[Sample], name: str, *, progress: bool
) -> Iterator[_T]:
    """`work` on every sample, on all cores, in order."""
    with without_advice(), ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            yield from tqdm(
                pool.map(work, samples),
                name,
                len(samples),
                disable=not (progress and sys.stderr.isatty()),
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
    """What is wrong with a box that is not inside of its photograph."""
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
    """Means of the values and of their squares, (2, C), exact: they come from the histogram."""
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


def _figures(split: str, samples: Sequence[Sample], looks: Sequence[_Look]) -> SplitSummary:
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
