"""Boxes in images: how far they overlap, and which of many remain. NumPy alone, so that exports can copy it.

A box is left, top, right and bottom, as fractions of the image's width and height.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Boxes: TypeAlias = NDArray[np.floating[Any]]
"""(N, 4) boxes, or (N, 5) with the score before them."""
SAME_CAR = 0.5
"""Boxes that overlap more than this show one car."""
SNAP_MARGIN = 0.02
"""Sides of boxes that are nearer to the image's edge, as a fraction of the image, are moved onto it."""


def overlaps(boxes: Boxes, box: Boxes) -> Boxes:
    """Return the intersection over union of (N, 4) boxes with one box (4,), (N,).

    >>> overlaps(np.array([[0.0, 0.0, 1.0, 1.0], [0.5, 0.0, 1.0, 1.0]]), np.array([0.0, 0.0, 1.0, 0.5]))
    array([0.5       , 0.33333333])
    """
    least, most = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.prod((most - least).clip(0), axis=1)
    union = areas(boxes) + areas(box[None]) - shared
    result: Boxes = shared / np.maximum(union, 1e-9)
    return result


def areas(boxes: Boxes) -> Boxes:
    """Return the area of (N, 4) boxes as a fraction of the image, (N,)."""
    result: Boxes = np.prod((boxes[:, 2:] - boxes[:, :2]).clip(0), axis=1)
    return result


def separate(found: Boxes, *, least_score: float) -> Boxes:
    """Merge boxes of one car: (N, 5) score and box of every cell -> (M, 5), the highest score first.

    As in non-maximum suppression the box with the highest score is kept and those that overlap with it are
    removed, but first it becomes the mean of them all, weighted by their scores.

    Args:
        found: score, left, top, right, bottom.
        least_score: boxes with a lower score are ignored.
    """
    left = found[found[:, 0] >= least_score]
    left = left[np.argsort(-left[:, 0], kind="stable")]
    kept = []
    while len(left):
        same = overlaps(left[:, 1:], left[0, 1:]) > SAME_CAR
        same[0] = True
        kept.append(np.concatenate((left[:1, 0], np.average(left[same, 1:], axis=0, weights=left[same, 0]))))
        left = left[~same]
    return np.stack(kept) if kept else np.empty((0, 5), found.dtype)


def snap(boxes: Boxes, margin: float = SNAP_MARGIN) -> Boxes:
    """Move sides that nearly lie on the image's edge onto it, (N, 4).

    An image that is cut to its car already so stays whole.
    """
    near_start, near_end = boxes[:, :2] <= margin, boxes[:, 2:] >= 1 - margin
    starts, ends = np.where(near_start, 0, boxes[:, :2]), np.where(near_end, 1, boxes[:, 2:])
    result: Boxes = np.concatenate((starts, ends), axis=1)
    return result


def to_pixel_box(box: Boxes, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a box (4,) in whole pixels of an image of that width and height, at least one pixel each way.

    >>> to_pixel_box(np.array([0.25, 0.0, 1.0, 0.5]), (100, 50))
    (25, 0, 100, 25)
    """
    left, top, right, bottom = (
        round(float(value) * side) for value, side in zip(box, (*size, *size), strict=True)
    )
    left, top = min(left, size[0] - 1), min(top, size[1] - 1)
    return left, top, max(right, left + 1), max(bottom, top + 1)
