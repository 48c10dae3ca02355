"""Read one image, whatever its format, as a model expects it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lightcars.errors import DataError

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".avif",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
    ]
)
MAX_PIXELS = 120_000_000
"""Larger images are refused: they need gigabytes of memory. Cameras reach 100 million."""

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Value of the EXIF tag Orientation -> the transposition that makes the image upright."""


def is_image(path: Path) -> bool:
    """Return whether it is an image file, by its suffix or, without one, by its content; not a hidden one."""
    if path.name.startswith(".") or not path.is_file():
        return False
    return path.suffix.lower() in IMAGE_SUFFIXES or (not path.suffix and _has_image_header(path))


def _has_image_header(path: Path) -> bool:
    try:
        with Image.open(path):
            return True
    except Exception:  # Pillow's plugins raise nearly anything for other files
        return False


def read_image(path: Path, img_channels: int) -> Image.Image:
    """Read an image, upright, as RGB (3 channels) or grayscale (1).

    Raises:
        DataError: missing, empty, truncated, too large or not an image; the message names the file.
    """
    return _read(path, path, img_channels)


def decode_image(content: bytes, img_channels: int, *, name: str = "the image") -> Image.Image:
    """Decode an image file in memory as `read_image` reads one; errors call it `name`.

    Raises:
        DataError: empty, truncated, too large or not an image.
    """
    return _read(io.BytesIO(content), name, img_channels)


def _read(source: Path | io.BytesIO, name: object, img_channels: int) -> Image.Image:
    if img_channels not in (1, 3):
        raise DataError(f"images have 1 or 3 channels, the model expects {img_channels}.")
    try:
        if _size_bytes(source) == 0:
            raise DataError(f"{name} is empty (0 bytes); copy it again.")  # noqa: TRY301
        with Image.open(source) as image:
            _check_size(name, image.size)
            loaded = _loaded(image, source)
        return plain_image(loaded, img_channels)
    except FileNotFoundError as error:
        raise DataError(f"there is no image {name}.") from error
    except IsADirectoryError as error:
        raise DataError(f"{name} is a folder, not an image.") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name} cannot be read as an image (its format is unknown).") from error
    except Image.DecompressionBombError as error:
        raise DataError(_too_large(name)) from error
    except MemoryError as error:
        raise DataError(f"{name} cannot be read as an image (not enough memory).") from error
    except DataError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything for a corrupt file
        raise DataError(f"{name} cannot be read as an image ({error}).") from error


def _size_bytes(source: Path | io.BytesIO) -> int:
    return source.stat().st_size if isinstance(source, Path) else source.getbuffer().nbytes


def plain_image(image: Image.Image | NDArray[Any], img_channels: int) -> Image.Image:
    """Return an image upright, with 8 bits, opaque, as RGB (3 channels) or grayscale (1).

    Args:
        image: a PIL image of any mode, or an array (H, W) or (H, W, C) of 8 or 16 bits.
        img_channels: 3 or 1.

    Raises:
        ValueError: there are no pixels, they are floating-point numbers, or the array is not an image.
    """
    opened = image if isinstance(image, Image.Image) else _from_array(image)
    if 0 in opened.size:
        raise ValueError("it has no pixels")
    return _opaque(_eight_bits(_upright(opened))).convert("L" if img_channels == 1 else "RGB")


@contextmanager
def without_advice() -> Iterator[None]:
    """Ignore Pillow's warnings about palettes, invalid metadata and large images.

    For the main thread, around code that reads images: filters are shared by all threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _check_size(name: object, size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise DataError(f"{_too_large(name)[:-1]}, and this has {size[0]:,} x {size[1]:,}.")


def _too_large(name: object) -> str:
    return f"{name} is too large: an image may have {MAX_PIXELS // 10**6} million pixels."


def _loaded(image: Image.Image, source: Path | io.BytesIO) -> Image.Image:
    """Decode the pixels, also of a JPEG that lacks nothing but its end marker."""
    try:
        image.load()
    except OSError:
        repaired = _without_end_marker(source) if image.format in ("JPEG", "MPO") else None
        if repaired is None:
            raise
        return repaired
    return image


def _without_end_marker(source: Path | io.BytesIO) -> Image.Image | None:
    """Decode a JPEG without an end marker; None if pixels are missing too.

    Where all pixels are there, the decoder ignores whatever comes before an end marker that is appended;
    where some are missing, it takes it for them, so that two different endings give different images.
    """
    whole = source.read_bytes() if isinstance(source, Path) else source.getvalue()
    content = whole.rstrip(b"\xff")
    endings = (b"", b"\x35\xca" * 64, b"\xca\x71" * 64)
    first, *others = (_decoded(io.BytesIO(content + ending + b"\xff\xd9")) for ending in endings)
    same = first is not None and all(
        other is not None and other.tobytes() == first.tobytes() for other in others
    )
    return first if same else None


def _decoded(file: IO[bytes]) -> Image.Image | None:
    with suppress(Exception):
        image = Image.open(file)
        image.load()
        return image
    return None


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; other metadata, which may be invalid, are not looked at."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # Pillow raises nearly anything for corrupt metadata
        orientation = None
    transposition = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if transposition is None else image.transpose(transposition)


def _from_array(pixels: NDArray[Any]) -> Image.Image:
    if pixels.dtype == bool or pixels.dtype.kind not in "ui":
        raise ValueError(f"an array of pixels must have 8 or 16 bits, not {pixels.dtype}")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise ValueError(f"an array of pixels must be (H, W) or (H, W, C), not {pixels.shape}")
    if pixels.dtype.itemsize > 1:
        pixels = _scaled(pixels)
    return Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert sixteen-bit grayscale to 256 shades; a direct conversion would clip all bright values to white.

    Raises:
        ValueError: the pixels are floating-point numbers, whose range is unknown.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray(_scaled(np.asarray(image)))


def _scaled(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    return (pixels.clip(0, 65535).astype(np.uint16) // 257).astype(np.uint8)


def _opaque(image: Image.Image) -> Image.Image:
    """Blend transparent pixels with white, so that no hidden colors appear."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image
    pixels = image.convert("RGBA")
    white = Image.new("RGBA", pixels.size, "white")
    return Image.alpha_composite(white, pixels)
