"""Boxes: overlaps by hand, one box for each car, and sides near the image's edge on it."""

import numpy as np
import pytest

from lightcars.models.boxes import areas, overlaps, separate, snap, to_pixel_box


def test_overlaps_by_hand():
    boxes = np.array([[0, 0, 0.5, 0.5], [0.25, 0, 0.75, 0.5], [0.5, 0.5, 1, 1], [0.1, 0.1, 0.2, 0.2]])
    expected = [1, 1 / 3, 0, 0.01 / 0.25]
    assert overlaps(boxes, np.array([0, 0, 0.5, 0.5])) == pytest.approx(expected)
    assert areas(boxes) == pytest.approx([0.25, 0.25, 0.25, 0.01])


def test_boxes_without_an_area_overlap_with_nothing():
    nothing = np.array([[0.5, 0.5, 0.5, 0.5], [0.6, 0.6, 0.4, 0.4]])
    assert overlaps(nothing, nothing[0]).tolist() == [0, 0]


def test_boxes_of_one_car_become_their_weighted_mean():
    cells = np.array(
        [
            [0.6, 0.0, 0.0, 0.4, 0.4],
            [0.9, 0.0, 0.0, 0.4, 0.44],
            [0.8, 0.5, 0.5, 1, 1],
            [0.3, 0.5, 0.5, 1, 0.98],
        ]
    )
    found = separate(cells, least_score=0.5)
    assert found == pytest.approx(np.array([[0.9, 0, 0, 0.4, 0.424], [0.8, 0.5, 0.5, 1, 1]]))


def test_low_scores_are_no_cars():
    cells = np.array([[0.49, 0, 0, 1, 1.0]], np.float32)
    assert separate(cells, least_score=0.5).shape == (0, 5)
    assert len(separate(cells, least_score=0.49)) == 1
    assert snap(separate(cells, least_score=0.5)[:, 1:]).shape == (0, 4)


def test_sides_near_the_edge_are_on_it():
    boxes = np.array([[0.019, 0.021, 0.981, 0.979]])
    assert snap(boxes).tolist() == [[0, 0.021, 1, 0.979]]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 1, 1), (0, 0, 200, 100)),
        ((0.1, 0.2, 0.5, 0.6), (20, 20, 100, 60)),
        ((1, 1, 1, 1), (199, 99, 200, 100)),
        ((0.5, 0.5, 0.5, 0.5), (100, 50, 101, 51)),
    ],
)
def test_pixels(box, expected):
    assert to_pixel_box(np.array(box), (200, 100)) == expected
