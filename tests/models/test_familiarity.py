"""Familiarity: the distance from the nearest class of what is known, and a limit that most known keep."""

import pytest
import torch

from lightcars.errors import InputError
from lightcars.models.familiarity import FAMILIAR_SHARE, NUM_DIRECTIONS, Familiarity, fit_familiarity, pooled

CHANNELS = (30, 70)
FEATURES = sum(CHANNELS)
CLASSES = 3


def known(number, seed):
    """Features around a mean and three classes, wide in ten directions, and their labels."""
    draw, fixed = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(1)
    directions = torch.linalg.qr(torch.randn(FEATURES, 10, generator=fixed))[0]
    labels = torch.arange(number) % CLASSES
    centers = 8 * torch.randn(CLASSES, 10, generator=fixed)
    wide = (centers[labels] + 2 * torch.randn(number, 10, generator=draw)) @ directions.T
    return 3 + wide + 0.1 * torch.randn(number, FEATURES, generator=draw), labels


def as_maps(features):
    """The same as maps of 2x3 whose means they are."""
    spread = torch.tensor([[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]])
    return [part[:, :, None, None] + spread for part in features.split(CHANNELS, dim=1)]


@pytest.fixture(scope="module")
def fitted():
    return fit_familiarity(*known(400, 2), known(300, 3)[0])


def test_the_means_of_maps_one_after_the_other():
    features = known(4, 0)[0]
    torch.testing.assert_close(pooled(as_maps(features)), features)


def test_the_distance_is_that_of_the_nearest_class():
    directions = torch.eye(FEATURES)[:, :2] / 2
    centers = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    mean = torch.full((FEATURES,), 2.0)
    one = Familiarity(mean=mean, directions=directions, centers=centers, limit=1.5)
    features = torch.full((3, FEATURES), 2.0)
    features[0, :2] += torch.tensor([20.0, 4.0])
    features[1, :2] += torch.tensor([-2.0, 0.0])
    features[2, 5] += 100  # in no direction
    assert one.distance(as_maps(features)).tolist() == pytest.approx([2.0, 1.0, 0.0], abs=1e-3)
    assert one.is_familiar(as_maps(features)).tolist() == [False, True, True]


def test_most_known_images_are_familiar_and_others_are_not(fitted):
    assert fitted.mean.shape == (FEATURES,)
    assert fitted.directions.shape == (FEATURES, NUM_DIRECTIONS)
    assert fitted.centers.shape == (CLASSES, NUM_DIRECTIONS)
    share = fitted.is_familiar(as_maps(known(300, 3)[0])).double().mean().item()
    assert share == pytest.approx(FAMILIAR_SHARE, abs=0.005)
    assert fitted.is_familiar(as_maps(known(1000, 4)[0])).double().mean() > 0.9, "others of the same kind too"
    strange = 3 + 5 * torch.randn(200, FEATURES, generator=torch.Generator().manual_seed(5))
    assert not fitted.is_familiar(as_maps(strange)).any()


def test_between_the_classes_is_strange():
    """Inside the cloud of all images, and far from each class."""
    labels = torch.arange(400) % 2
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(400, FEATURES, generator=draw)
    features[:, 0] += torch.where(labels == 0, -20.0, 20.0)
    one = fit_familiarity(features, labels, features)
    middle = features.mean(0, keepdim=True)
    assert one.distance(as_maps(middle)) < one.distance(as_maps(middle + 50))
    centre = features[labels == 0].mean(0, keepdim=True)
    assert one.distance(as_maps(centre)) < 0.1 < one.distance(as_maps(middle))


def test_the_known_vary_by_one_in_each_direction(fitted):
    features = known(400, 2)[0]
    inside = (features - fitted.mean.float()) @ fitted.directions.float()
    torch.testing.assert_close(inside.std(0, correction=0), torch.ones(NUM_DIRECTIONS), rtol=0.02, atol=0)


def test_a_feature_that_never_varies_says_nothing():
    features, labels = known(400, 2)
    features[:, 7] = 0.0
    one = fit_familiarity(features, labels, features)
    awake = features.clone()
    awake[:, 7] = 1000.0
    torch.testing.assert_close(one.distance(as_maps(awake)), one.distance(as_maps(features)))
    assert one.directions.shape == (FEATURES, NUM_DIRECTIONS)
    assert not one.is_familiar(as_maps(features + 50)).any()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda features: features.index_fill(1, torch.tensor(3), float("nan")), "are not finite"),
        (lambda features: features * 0 + 2, "all images have the same features"),
        (lambda features: features + 1e6, r"too large for torch\.float16"),
    ],
)
def test_features_that_tell_nothing(change, reason):
    features, labels = known(400, 2)
    with pytest.raises(InputError, match=reason):
        fit_familiarity(change(features), labels, change(features))


def test_fewer_images_than_directions():
    features, labels = known(12, 2)
    one = fit_familiarity(features, labels, features)
    assert one.directions.shape == (FEATURES, 11)
    assert torch.isfinite(one.directions).all()
    assert torch.isfinite(torch.tensor(one.limit))


def test_it_computes_in_single_precision_what_comes_in_half(fitted):
    assert {part.dtype for part in (fitted.mean, fitted.directions, fitted.centers)} == {torch.float16}
    maps = as_maps(known(5, 6)[0])
    half = [each.half() for each in maps]
    assert fitted.distance(half).dtype == torch.float32
    torch.testing.assert_close(fitted.distance(half), fitted.distance(maps), rtol=0.02, atol=0.02)
