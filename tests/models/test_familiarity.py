"""Familiarity: the distance from the subspace of what is known, and a limit that most known images keep."""

import pytest
import torch

from lightcars.models.familiarity import FAMILIAR_SHARE, NUM_DIRECTIONS, Familiarity, fit_familiarity

FEATURES = 100


def known(number, seed):
    """Features around a mean, wide in ten directions and narrow in all others."""
    draw = torch.Generator().manual_seed(seed)
    directions = torch.linalg.qr(torch.randn(FEATURES, 10, generator=torch.Generator().manual_seed(1)))[0]
    wide = 5 * torch.randn(number, 10, generator=draw) @ directions.T
    return 3 + wide + 0.1 * torch.randn(number, FEATURES, generator=draw)


def as_map(features):
    """The same as a last map of 2x3 whose means they are."""
    spread = torch.tensor([[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]])
    return features[:, :, None, None] + spread


@pytest.fixture(scope="module")
def fitted():
    return fit_familiarity(known(400, 2), known(300, 3))


def test_the_distance_is_what_the_subspace_leaves_out():
    directions = torch.eye(FEATURES)[:, :2].contiguous()
    one = Familiarity(mean=torch.full((FEATURES,), 2.0), directions=directions, limit=5.0)
    features = torch.full((2, FEATURES), 2.0)
    features[0, :2] += 100  # inside
    features[1, 5] += 3.0
    features[1, 7] -= 4.0
    assert one.distance(as_map(features)).tolist() == pytest.approx([0.0, 5.0], abs=1e-3)
    assert one.is_familiar(as_map(features * torch.tensor([[1.0], [1.1]]))).tolist() == [True, False]


def test_most_known_images_are_familiar_and_others_are_not(fitted):
    assert fitted.mean.shape == (FEATURES,)
    assert fitted.directions.shape == (FEATURES, NUM_DIRECTIONS)
    share = fitted.is_familiar(as_map(known(300, 3))).double().mean().item()
    assert share == pytest.approx(FAMILIAR_SHARE, abs=0.005)
    assert fitted.is_familiar(as_map(known(1000, 4))).double().mean() > 0.9, "others of the same kind too"
    strange = 3 + 5 * torch.randn(200, FEATURES, generator=torch.Generator().manual_seed(5))
    assert not fitted.is_familiar(as_map(strange)).any()


def test_directions_are_orthonormal_in_half_precision(fitted):
    assert fitted.mean.dtype == fitted.directions.dtype == torch.float16
    gram = fitted.directions.float().T @ fitted.directions.float()
    torch.testing.assert_close(gram, torch.eye(NUM_DIRECTIONS), atol=2e-3, rtol=0)


def test_it_computes_in_single_precision_what_comes_in_half(fitted):
    maps = as_map(known(5, 6))
    assert fitted.distance(maps.half()).dtype == torch.float32
    torch.testing.assert_close(fitted.distance(maps.half()), fitted.distance(maps), rtol=0.02, atol=0.02)
