"""The car finder: where the cells are, and which sides they mean."""

import pytest
import torch

from lightcars.models.car_finder import FinderHead, decode


def logit(value: float) -> float:
    return torch.tensor(value, dtype=torch.float64).logit().item()


def test_cells_are_at_their_places_and_distances_go_outwards():
    raw = torch.full((1, 5, 2, 4), logit(0.1))
    raw[0, 0, 1, 2] = logit(0.8)
    raw[0, 1:, 1, 2] = torch.tensor([logit(d) for d in (0.05, 0.15, 0.2, 0.1)])
    found = decode(raw)
    assert found.shape == (1, 8, 5)
    best = found[0, 1 * 4 + 2]  # its center is at 2.5 / 4, 1.5 / 2
    assert best.tolist() == pytest.approx([0.8, 0.625 - 0.05, 0.75 - 0.15, 0.625 + 0.2, 0.75 + 0.1], abs=1e-6)


def test_boxes_stay_inside_the_image():
    found = decode(torch.full((1, 5, 3, 3), 20.0))
    assert found[..., 1:].reshape(-1, 4).tolist() == [[0, 0, 1, 1]] * 9


def test_the_coarse_map_is_brought_to_the_fine_one():
    head = FinderHead((8, 12)).eval()
    assert head(torch.randn(2, 8, 6, 6), torch.randn(2, 12, 3, 3)).shape == (2, 36, 5)
    same = head(torch.ones(1, 8, 5, 7), torch.ones(1, 12, 3, 4))
    assert same.shape == (1, 35, 5)
    assert same.isfinite().all()
