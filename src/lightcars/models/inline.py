"""Images inside of HTML, as data URLs."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from lightcars.models.images import read_image

QUALITY = 72


def embedded(path: Path, side: int) -> str:
    """Return an image as the data URL of a JPEG of at most `side` pixels, without metadata.

    Raises:
        DataError: it cannot be read.
    """
    image = read_image(path, 3)
    image.info.clear()  # no comment, color profile or place goes into the page
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=QUALITY)
    return as_data_url("jpeg", buffer.getvalue())


def as_data_url(kind: str, content: bytes) -> str:
    """Return the bytes of an image as a data URL."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
