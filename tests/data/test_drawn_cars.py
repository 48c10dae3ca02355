"""Drawn cars: eight kinds, the same for the same seed, as data that the library finds."""

from itertools import combinations

import numpy as np
import pytest

from lightcars.data.drawn_cars import SIDE, SILHOUETTES, WHEELS, draw_car, draw_cars
from lightcars.data.layouts import find_data


def test_there_are_eight_kinds_that_all_have_wheels():
    assert len(SILHOUETTES) == 8
    assert SILHOUETTES.keys() == WHEELS.keys()


@pytest.mark.parametrize("kind", SILHOUETTES)
def test_a_car_depends_on_kind_and_seed_alone(kind):
    image = draw_car(kind, 5)
    assert image.mode == "RGB"
    assert image.size == (SIDE, SIDE)
    assert image.tobytes() == draw_car(kind, 5).tobytes()
    assert image.tobytes() != draw_car(kind, 6).tobytes()


@pytest.mark.parametrize(("one", "other"), list(combinations(SILHOUETTES, 2)))
def test_kinds_differ_in_shape(one, other):
    assert SILHOUETTES[one][0] != SILHOUETTES[other][0]
    assert draw_car(one, 0).tobytes() != draw_car(other, 0).tobytes()


def test_pictures_are_not_flat():
    assert all(np.asarray(draw_car(kind, 1)).std() > 10 for kind in SILHOUETTES)


def test_the_folder_is_data_in_the_order_of_the_kinds(drawn):
    data = find_data(drawn)
    assert data.classes == tuple(SILHOUETTES)
    assert {split: len(samples) for split, samples in data.splits.items()} == {"train": 48, "val": 24}
    assert all(data.classes[s.label] == s.path.parent.name for s in data.split("train"))


def test_train_and_val_share_no_picture(drawn):
    pictures = [path.read_bytes() for path in drawn.rglob("*.png")]
    assert len(set(pictures)) == len(pictures) == 72


def test_the_same_seed_draws_the_same_folder(drawn, tmp_path):
    again = draw_cars(tmp_path / "again", train=1, val=1)
    other = draw_cars(tmp_path / "other", train=1, val=1, seed=1)
    for path in again.rglob("*.png"):
        inside = path.relative_to(again)
        assert path.read_bytes() == (drawn / inside).read_bytes()
        assert path.read_bytes() != (other / inside).read_bytes()
