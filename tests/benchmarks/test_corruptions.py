"""Corruptions of photographs, and the detection of out-of-distribution images."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.cars import changed_photographs, out_of_distribution


@pytest.fixture
def original():
    noise = np.random.default_rng(0).integers(0, 256, (60, 200, 3), np.uint8)
    return Image.fromarray(noise)


def test_every_corruption_changes_the_image(original):
    changed = {name: change(original) for name, change in changed_photographs.CHANGES.items()}
    assert {image.mode for image in changed.values()} == {"RGB"}
    assert changed.pop("as it is") is original
    sizes = {name: image.size for name, image in changed.items() if image.size != original.size}
    assert sizes == {
        "128 px wide": (128, 38),
        "96 px wide": (96, 29),
        "64 px wide": (64, 19),
        "a blurred border of 10 % around": (240, 72),
        "a blurred border of 25 % around": (300, 90),
    }
    assert all(image.tobytes() != original.tobytes() for image in changed.values())
    assert changed["a blurred border of 25 % around"].crop((50, 15, 250, 75)).tobytes() == original.tobytes()
    assert np.asarray(changed["blurred by 1/200 of the width"]).std() < np.asarray(original).std()


def test_small_photographs_are_not_resized(original):
    assert changed_photographs.shrunk(200)(original) is original


def test_shares_are_percentages():
    assert changed_photographs.percent(torch.tensor([True, False, False, False])) == 25
    assert changed_photographs.percent(torch.tensor([], dtype=torch.bool)) == 0


def test_out_of_distribution_is_below_nearly_all_of_val():
    known = torch.arange(100.0)
    found = out_of_distribution.detection(known, torch.tensor([-5.0, 1.0, 49.5, 200.0]))
    assert found == {"area": pytest.approx((1 + 0.98 + 0.5 + 0) / 4), "found_percent": 50.0}


def test_the_residual_is_outside_of_the_principal_subspace(monkeypatch):
    monkeypatch.setattr(out_of_distribution, "NUM_DIRECTIONS", 1)
    line = torch.zeros(50, 3)
    line[:, 0] = torch.linspace(-1, 1, 50)
    score = out_of_distribution.residual("maps", {"maps": line})
    given = {"maps": torch.tensor([[9.0, 0.0, 0.0], [0.0, 3.0, 4.0]])}
    assert score(given).tolist() == pytest.approx([0.0, -5.0])
