"""Photographs inside a page: small, as text, read when they are wanted."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightcars.errors import DataError
from lightcars.models.images import read_image

SIDE = 168
"""Pixels of the longer side."""
QUALITY = 72


class Photographs:
    """Those of one data folder; None shows names only."""

    def __init__(self, root: Path | None) -> None:
        self.root = root

    def show(self, path: str, *lines: str) -> str:
        """A figure with the photograph and lines of text below it, or with its name if it is not there."""
        image = self._image(path)
        text = "<br>".join(escape(line) for line in lines)
        return f"<figure>{image}<figcaption>{text}</figcaption></figure>"

    def _image(self, path: str) -> str:
        name = escape(path)
        try:
            source = None if self.root is None else _thumbnail(self.root / path)
        except DataError:
            source = None
        if source is None:
            return f'<div class="gone">{name}</div>'
        return f'<img src="{source}" alt="{name}" title="{name}">'


def _thumbnail(path: Path) -> str:
    image = read_image(path, 3)
    image.info.clear()  # no comment, color profile or place goes into the page
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=QUALITY)
    return as_address("jpeg", buffer.getvalue())


def grid_of(hits: NDArray[np.bool_]) -> str:
    """(N,) -> an image of N pixels in a row as an address: black where it is False."""
    buffer = io.BytesIO()
    Image.fromarray(np.where(hits, 255, 0).astype(np.uint8)[None]).save(buffer, format="PNG")
    return as_address("png", buffer.getvalue())


def as_address(kind: str, content: bytes) -> str:
    """Bytes of an image as the address that holds them."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
