"""Thumbnails of images, embedded into a page as data URLs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from html import escape
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightcars.errors import DataError
from lightcars.models.inline import as_data_url, embedded
from lightcars.plots import COLORS

SIDE = 168
"""Maximum width and height in pixels."""


class Thumbnails:
    """Thumbnails of the images of one data folder; None: names only."""

    def __init__(self, root: Path | None) -> None:
        self.root = root

    def show(self, path: str, *lines: str) -> str:
        """Return a figure with the image, or its name if it is not available, and lines of text below."""
        image = self._image(path)
        text = "<br>".join(escape(line) for line in lines)
        return f"<figure>{image}<figcaption>{text}</figcaption></figure>"

    def _image(self, path: str) -> str:
        name = escape(path)
        try:
            source = embedded(self.root / path, SIDE) if self.root is not None and _is_below(path) else None
        except DataError:
            source = None
        if source is None:
            return f'<div class="gone">{name}</div>'
        return f'<img src="{source}" alt="{name}" title="{name}">'


def _is_below(path: str) -> bool:
    """Return whether a path stays below the folder, so that a page embeds no other files."""
    parts = PurePosixPath(path.replace("\\", "/"))
    return not parts.is_absolute() and ".." not in parts.parts and PureWindowsPath(path).drive == ""


def grid_of(hits: NDArray[np.bool_]) -> str:
    """Return (N,) booleans as the data URL of an image of N pixels in a row, black where False."""
    buffer = io.BytesIO()
    Image.fromarray(np.where(hits, 255, 0).astype(np.uint8)[None]).save(buffer, format="PNG")
    return as_data_url("png", buffer.getvalue())


def heat_map(counts: Mapping[tuple[int, int], int], num_classes: int) -> str:
    """Return a confusion matrix as the data URL of an image with a pixel for each cell.

    A cell that is not zero is blue on the diagonal and orange elsewhere, the darker, the larger its share of
    the row.
    """
    totals = np.zeros(num_classes)
    for (row, _), count in counts.items():
        totals[row] += count
    pixels = np.full((num_classes, num_classes, 3), 255.0)
    for (row, column), count in counts.items():
        full = np.array(bytearray.fromhex(COLORS[row != column][1:]), dtype=float)
        share = 0.35 + 0.65 * count / totals[row]
        pixels[row, column] = 255 - share * (255 - full)
    buffer = io.BytesIO()
    Image.fromarray(pixels.round().astype(np.uint8)).save(buffer, format="PNG", optimize=True)
    return as_data_url("png", buffer.getvalue())
