"""Images in memory: decoded and resized once, augmented in every epoch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from tqdm import tqdm

from lightcars.data.layouts import Sample
from lightcars.data.pixels import as_image, to_pixels
from lightcars.data.records import Region
from lightcars.data.regions import check_region, read_sample
from lightcars.errors import DataError
from lightcars.memory_limits import free_bytes
from lightcars.models.images import without_advice
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.transforms import fit_square
from lightcars.progress import shows_bars

MEMORY_SHARE = 0.5
"""Share of the free memory that decoded images may use; beyond it they go to a temporary file."""


@dataclass(frozen=True, slots=True)
class DecodedImages:
    """Decoded images of one size.

    Attributes:
        pixels: (N, H, W, C) of uint8.
        labels: (N,) of int64.
        broken: a message for each file that could not be read and was skipped.
        samples: the samples of the N images.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    broken: tuple[str, ...]
    samples: tuple[Sample, ...]

    def image(self, position: int) -> Image.Image:
        """Return one image as PIL image, without a copy."""
        return as_image(self.pixels[position])


def decode(
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    *,
    region: Region = "whole",
    name: str = "",
    progress: bool = False,
) -> DecodedImages:
    """Read and resize every image, on all cores.

    Args:
        samples: the images to read.
        preprocessing: determines the size and, by its mean, the number of channels.
        region: "box" crops each image to its box before resizing, "masked" paints the rest white.
        name: label of the progress bar.
        progress: show a progress bar.

    Raises:
        DataError: no image can be read, or one has no box although the region needs it.
    """
    check_region(samples, region, name)
    side, channels = preprocessing.resolution, len(preprocessing.mean)
    pixels = _empty_pixels((len(samples), side, side, channels))
    fit = fit_square(preprocessing)

    def work(position: int) -> str | None:
        try:
            image = fit(read_sample(samples[position], channels, region))
        except DataError as error:
            return str(error)
        pixels[position] = np.asarray(image).reshape(side, side, channels)
        return None

    with without_advice(), ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(work, range(len(samples)))
        bar = tqdm(
            outcomes,
            f"reading {name}".strip(),
            len(samples),
            disable=not shows_bars(progress),
            leave=False,
        )
        problems = list(bar)
    good = [position for position, problem in enumerate(problems) if problem is None]
    broken = tuple(problem for problem in problems if problem is not None)
    if not good:
        raise DataError(broken[0] if broken else f"there are no images in {name or 'the data'}.")
    kept = tuple(samples[position] for position in good)
    labels = np.array([sample.label for sample in kept], dtype=np.int64)
    for position, source in enumerate(good):  # in place: they may not fit into memory twice
        if position != source:
            pixels[position] = pixels[source]
    return DecodedImages(pixels[: len(good)], labels, broken, kept)


def _empty_pixels(shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    size_bytes = int(np.prod(shape))
    if size_bytes <= MEMORY_SHARE * free_bytes():
        with suppress(MemoryError):  # the limits of some systems cannot be read
            return np.empty(shape, dtype=np.uint8)
    try:
        with tempfile.TemporaryFile() as file:  # the map keeps it alive
            _reserve(file.fileno(), size_bytes)
            return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or "not enough memory"
        raise DataError(
            f"the decoded images need {size_bytes / 2**30:.1f} GiB, more than memory or the temporary"
            f" folder {tempfile.gettempdir()} can hold ({reason}); lower the resolution."
        ) from error


def _reserve(handle: int, size_bytes: int) -> None:
    """Resize the file, and allocate its disk space now where the system supports it."""
    os.ftruncate(handle, size_bytes)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size_bytes)


Augment: TypeAlias = Callable[[Image.Image, int | None], Image.Image]
"""An image and its resolution (None: the augmentation's default) -> the augmented image."""


class Draw(NamedTuple):
    """An image in an epoch: its position, the seed of its augmentation, and its resolution."""

    position: int
    seed: int | None = None
    resolution: int | None = None


@final
class ImageDataset(Dataset[tuple[Tensor, int]]):
    """Images with labels: ((C, H, W) of uint8, label).

    It is indexed by position, or by `Draw`: then the augmentation is sampled from the seed, so that it
    depends neither on the process nor on the order, and resizes to the resolution.
    """

    def __init__(self, images: DecodedImages, augmentation: Augment | None = None) -> None:
        self.images = images
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.images.labels)

    def __getitem__(self, key: int | Draw) -> tuple[Tensor, int]:
        draw = Draw(key) if isinstance(key, int) else Draw(*key)
        image = self.images.image(draw.position)
        if self.augmentation is not None:
            with random_state(draw.seed):
                image = self.augmentation(image, draw.resolution)
        return to_pixels(image), int(self.images.labels[draw.position])


@contextmanager
def random_state(seed: int | None) -> Iterator[None]:
    """Set torch's CPU generator to `seed` and restore it; much cheaper than `torch.random.fork_rng`."""
    if seed is None:
        yield
        return
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(before)


@final
class SeededSampler(Sampler[Draw]):
    """Samples a new order and new augmentation seeds in every epoch, from the seed and the epoch alone.

    So a resumed run sees the same images as an uninterrupted one. With several processes each gets its own
    part; surplus images are dropped, different ones in each epoch. `resolutions` are those of the epochs, the
    last one for all later epochs; each draw carries it, so that persistent workers get it too.
    """

    def __init__(
        self, size: int, seed: int, resolutions: Sequence[int] = (), *, rank: int = 0, world_size: int = 1
    ) -> None:
        self.size, self.seed, self.rank, self.world_size = size, seed, rank, world_size
        self.resolutions = resolutions
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size // self.world_size

    def __iter__(self) -> Iterator[Draw]:
        generator = torch.Generator().manual_seed(hash((self.seed, self.epoch)) % 2**63)
        order = torch.randperm(self.size, generator=generator).tolist()
        seeds = torch.randint(2**62, (self.size,), generator=generator).tolist()
        part = range(self.rank, len(self) * self.world_size, self.world_size)
        side = self.resolutions[min(self.epoch, len(self.resolutions) - 1)] if self.resolutions else None
        return (Draw(order[i], seeds[i], side) for i in part)
