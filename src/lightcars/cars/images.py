"""Reading one photograph, whatever its format."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, ImageOps

from lightcars.errors import DataError


def read_image(path: Path, img_channels: int) -> Image.Image:
    """The photograph, upright, as RGB (3 channels) or grayscale (1).

    Raises:
        DataError: missing, empty, truncated or not an image; the message names the file.
    """
    if img_channels not in (1, 3):
        raise DataError(f"photographs have 1 or 3 channels, the model wants {img_channels}.")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty (0 bytes); copy it again.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about palettes and odd metadata; the pixels are fine
            with Image.open(path) as image:
                image.load()
                upright = ImageOps.exif_transpose(image)
                return _opaque(upright).convert("L" if img_channels == 1 else "RGB")
    except FileNotFoundError as error:
        raise DataError(f"there is no image {path}.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder, not an image.") from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as an image ({error}).") from error


def _opaque(image: Image.Image) -> Image.Image:
    """Transparent pixels on white, so that no hidden colours appear."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image
    pixels = image.convert("RGBA")
    white = Image.new("RGBA", pixels.size, "white")
    return Image.alpha_composite(white, pixels)
