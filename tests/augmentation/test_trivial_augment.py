"""TrivialAugmentWide in batches: torchvision's table, likelihoods and pixels."""

import pytest
import torch
from torchvision.transforms import v2

from lightcars.augmentation.trivial_augment import BatchTrivialAugment

TORCHVISIONS = v2.TrivialAugmentWide()
OURS = BatchTrivialAugment(TORCHVISIONS)
NAMES = OURS.names


def pixels(channels: int, number: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (number, channels, 6, 7), dtype=torch.uint8, generator=generator)
    return v2.functional.resize(coarse, [28, 36])


def chances(kinds: list[int], bins: list[int], signs: list[float]) -> torch.Tensor:
    columns = [[(k + 0.5) / len(NAMES) for k in kinds], [(b + 0.5) / 31 for b in bins], signs]
    return torch.tensor(columns, dtype=torch.float64).T


def theirs(image: torch.Tensor, name: str, bin_: int, *, negative: bool) -> torch.Tensor:
    strengths, signed = TORCHVISIONS._AUGMENTATION_SPACE[name]
    values = strengths(31, 0, 0)
    magnitude = 0.0 if values is None else float(values[bin_])
    magnitude = -magnitude if signed and negative else magnitude
    return TORCHVISIONS._apply_image_or_video_transform(
        image, name, magnitude, interpolation=TORCHVISIONS.interpolation, fill=TORCHVISIONS._fill
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_operation_is_torchvisions_at_every_strength_and_sign(name, channels):
    images = pixels(channels, 62)
    bins, signs = [*range(31)] * 2, [0.25] * 31 + [0.75] * 31
    found = OURS(images, chances([NAMES.index(name)] * 62, bins, signs))
    assert found.dtype == torch.uint8
    for image, ours, bin_, sign in zip(images, found, bins, signs, strict=True):
        expected = theirs(image, name, bin_, negative=sign <= 0.5)
        apart = (ours.int() - expected.int()).abs()
        assert apart.max() <= 1
        assert apart.float().mean() < 0.1


def test_each_image_of_a_batch_has_its_own_operation_and_the_given_batch_stays():
    images = pixels(3, 42)
    before = images.clone()
    kinds, bins, signs = [*range(14)] * 3, [9] * 14 + [18] * 14 + [30] * 14, [0.9] * 42
    found = OURS(images, chances(kinds, bins, signs))
    assert torch.equal(images, before)
    for image, ours, kind, bin_ in zip(images, found, kinds, bins, strict=True):
        expected = theirs(image, NAMES[kind], bin_, negative=False)
        assert (ours.int() - expected.int()).abs().max() <= 1


def test_operations_strengths_and_signs_are_as_likely_as_torchvisions():
    number = 28_000
    generator = torch.Generator().manual_seed(0)
    kinds, magnitudes = OURS.draw(torch.rand(number, 3, dtype=torch.float64, generator=generator))
    counts = torch.bincount(kinds, minlength=14)
    assert (counts / number - 1 / 14).abs().max() < 0.01
    for kind, name in enumerate(NAMES):
        strengths, signed = TORCHVISIONS._AUGMENTATION_SPACE[name]
        drawn, values = magnitudes[kinds == kind], strengths(31, 0, 0)
        allowed = torch.zeros(1) if values is None else values.float()
        assert set(drawn.abs().tolist()) == set(allowed.abs().tolist())
        if signed:
            assert (drawn < 0).double().mean() == pytest.approx(15 / 31, abs=0.05)
        else:
            assert (drawn >= 0).all()


def test_fewer_strengths_are_as_torchvision_spreads_them():
    few = BatchTrivialAugment(v2.TrivialAugmentWide(num_magnitude_bins=3))
    rotations = torch.tensor([[(NAMES.index("Rotate") + 0.5) / 14, b, 0.9] for b in (0.0, 0.4, 0.99)])
    assert few.draw(rotations.double())[1].tolist() == [0.0, 67.5, 135.0]
