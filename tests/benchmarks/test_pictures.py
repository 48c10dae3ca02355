"""What the benchmarks of strange pictures and of worse photographs compute."""

import numpy as np
import pytest
import torch
from PIL import Image

import changed_photographs
import strange_pictures


@pytest.fixture
def photo():
    noise = np.random.default_rng(0).integers(0, 256, (60, 200, 3), np.uint8)
    return Image.fromarray(noise)


def test_photographs_get_worse(photo):
    changed = {name: change(photo) for name, change in changed_photographs.CHANGES.items()}
    assert {image.mode for image in changed.values()} == {"RGB"}
    assert changed.pop("as it is") is photo
    sizes = {name: image.size for name, image in changed.items() if image.size != photo.size}
    assert sizes == {
        "128 px wide": (128, 38),
        "96 px wide": (96, 29),
        "64 px wide": (64, 19),
        "a blurred border of 10 % around": (240, 72),
        "a blurred border of 25 % around": (300, 90),
    }
    assert all(image.tobytes() != photo.tobytes() for image in changed.values())
    assert changed["a blurred border of 25 % around"].crop((50, 15, 250, 75)).tobytes() == photo.tobytes()
    assert np.asarray(changed["blurred by 1/200 of the width"]).std() < np.asarray(photo).std()


def test_small_photographs_stay(photo):
    assert changed_photographs.shrunk(200)(photo) is photo


def test_shares_are_percentages():
    assert changed_photographs.percent(torch.tensor([True, False, False, False])) == 25
    assert changed_photographs.percent(torch.tensor([], dtype=torch.bool)) == 0


def test_strange_is_what_scores_below_nearly_all_that_is_known():
    known = torch.arange(100.0)
    judged = strange_pictures.judged(known, torch.tensor([-5.0, 1.0, 49.5, 200.0]))
    assert judged == {"area": pytest.approx((1 + 0.98 + 0.5 + 0) / 4), "found_percent": 50.0}


def test_the_residual_is_what_the_main_directions_leave(monkeypatch):
    monkeypatch.setattr(strange_pictures, "NUM_DIRECTIONS", 1)
    line = torch.zeros(50, 3)
    line[:, 0] = torch.linspace(-1, 1, 50)
    score = strange_pictures.residual("maps", {"maps": line})
    given = {"maps": torch.tensor([[9.0, 0.0, 0.0], [0.0, 3.0, 4.0]])}
    assert score(given).tolist() == pytest.approx([0.0, -5.0])
