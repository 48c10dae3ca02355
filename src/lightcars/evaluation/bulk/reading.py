"""Read one image: a path, an address on the web, standard input, or an image in memory. No torch needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightcars.errors import DataError, InputError
from lightcars.evaluation.bulk.names import STDIN, is_url
from lightcars.models.images import decode_image, plain_image, read_image

if TYPE_CHECKING:
    from torch import Tensor

ImageSource: TypeAlias = Union[str, Path, bytes, Image.Image, NDArray[Any], "Tensor"]
"""A path, an http(s) address, the content of an image file, a PIL image, an array (H, W) or (H, W, C), or a
tensor (C, H, W); arrays and tensors have 8 or 16 bits, or floating-point numbers from 0 to 1."""
MAX_BYTES = 128 << 20
"""Of an image from the web or from standard input."""


def read_named(name: str, img_channels: int) -> Image.Image:
    """Read the image that a name on the command line stands for; `-` is standard input.

    Raises:
        DataError, DownloadError: it cannot be read; the message names it.
    """
    if name == STDIN:
        return decode_image(_from_stdin(), img_channels, name="the image on standard input")
    return read_source(name, img_channels, name)


def read_source(source: ImageSource, img_channels: int, name: str) -> Image.Image:
    """Read an image, upright, as RGB (3 channels) or grayscale (1).

    Args:
        source: the image.
        img_channels: 3 or 1.
        name: what errors call an image that is not a file.

    Raises:
        DataError, DownloadError: it cannot be read.
        InputError: it is something else.
    """
    if isinstance(source, str) and is_url(source):
        from lightcars.weights.small_file import fetch_small

        return decode_image(fetch_small(source, max_bytes=MAX_BYTES), img_channels, name=source)
    if isinstance(source, str | Path):
        return read_image(Path(source), img_channels)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_image(bytes(source), img_channels, name=name)
    pixels = source if isinstance(source, Image.Image) else _pixels(source, name)
    try:
        return plain_image(pixels, img_channels)
    except (OSError, ValueError, SyntaxError, MemoryError) as error:  # a file that Pillow opened lazily
        raise DataError(f"{name} cannot be read as an image ({error}).") from error


def _pixels(source: Any, name: str) -> NDArray[Any]:
    """Return an array (H, W) or (H, W, C) of whole numbers.

    Raises:
        InputError: it is not an array of one image, or its floating-point numbers are not from 0 to 1.
    """
    if isinstance(source, np.ndarray):
        pixels: NDArray[Any] = source
    elif hasattr(source, "detach"):  # a tensor, without importing torch
        pixels = _from_tensor(source, name)
    else:
        raise InputError(
            f"{name} is a {type(source).__name__}; an image must be a path, bytes, a PIL image, an array or"
            " a tensor."
        )
    if pixels.ndim == 4:
        raise InputError(f"{name} is a batch of images, {tuple(source.shape)}; give a list of them.")
    native = pixels.dtype.newbyteorder("=")
    if native in (np.uint8, np.uint16):
        return pixels.astype(native, copy=False)
    if pixels.dtype.kind != "f":
        raise InputError(f"{name} has pixels of {pixels.dtype}; give uint8, uint16, or floats from 0 to 1.")
    if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 1):  # also if it is NaN
        raise InputError(
            f"{name} has floating-point pixels that are not from 0 to 1; give the image as it was before"
            " normalization."
        )
    scaled: NDArray[np.uint8] = np.rint(pixels * 255).astype(np.uint8)
    return scaled


def _from_tensor(source: Any, name: str) -> NDArray[Any]:
    try:
        tensor = source.detach().cpu()
        tensor = tensor.float() if tensor.is_floating_point() else tensor  # NumPy has no bfloat16
        pixels: NDArray[Any] = tensor.numpy()
    except (TypeError, RuntimeError) as error:
        raise InputError(f"{name} is a sparse tensor or one without values; give a dense one.") from error
    return np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels


def _from_stdin() -> bytes:
    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DataError(f"the image on standard input has more than {MAX_BYTES >> 20} MiB.")
    return content
