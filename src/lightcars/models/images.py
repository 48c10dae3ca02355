"""Read one image file of any format."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lightcars.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


def is_image(path: Path) -> bool:
    """Return whether a path is a file with an image suffix, and not hidden."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def read_image(path: Path, img_channels: int) -> Image.Image:
    """Return the image, upright, as RGB (3 channels) or grayscale (1).

    Raises:
        DataError: missing, empty, truncated or not an image; the message names the file.
    """
    if img_channels not in (1, 3):
        raise DataError(f"images have 1 or 3 channels; the model expects {img_channels}.")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty (0 bytes); copy it again.")  # noqa: TRY301
        with Image.open(path) as image:
            image.load()
            upright = _eight_bits(ImageOps.exif_transpose(image))
            return _opaque(upright).convert("L" if img_channels == 1 else "RGB")
    except FileNotFoundError as error:
        raise DataError(f"there is no image {path}.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder, not an image.") from error
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything for a broken file
        raise DataError(f"{path} cannot be read as an image ({error}).") from error


@contextmanager
def without_advice() -> Iterator[None]:
    """Silence Pillow's warnings on palettes, unusual metadata and large images.

    For the main thread, around all that reads images: filters are shared by all threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _eight_bits(image: Image.Image) -> Image.Image:
    """Sixteen-bit grayscale in 256 shades; converting it directly would cut every bright one to white.

    Raises:
        ValueError: floating-point values, which say nowhere what is white.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image, dtype=np.int64).clip(0, 65535) // 257).astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    """Transparent pixels on white, so that no hidden colors appear."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image
    pixels = image.convert("RGBA")
    white = Image.new("RGBA", pixels.size, "white")
    return Image.alpha_composite(white, pixels)
