"""A recipe's steps in batches: what each image gets, from its own seed."""

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from lightcars.augmentation.batch import Affine, BatchAugmentation, Flip, in_batches, random_numbers
from lightcars.augmentation.image import augmentation
from lightcars.recipes.recipe import THESIS_STEPS, AugmentRecipe

SEEDS = torch.arange(1, 9) * 10**15
EVERYTHING = (
    {"RandomResizedCrop": {"scale": [0.5, 1.0], "ratio": [0.8, 1.25]}},
    {"RandomHorizontalFlip": {"p": 0.5}},
    {"TrivialAugmentWide": {}},
    {"RandomAffine": {"degrees": 25, "translate": [0.1, 0.1], "scale": [0.9, 1.1], "shear": [-8, 8, -5, 5]}},
    {"RandomRotation": {"degrees": [5, 20]}},
    {"RandomPerspective": {"p": 1.0}},
)


def made(*steps, resolution: int = 32) -> BatchAugmentation:
    return BatchAugmentation(augmentation(AugmentRecipe(images=steps), resolution, 8).image)


def pixels(side: int = 40, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (8, channels, 8, 8), dtype=torch.uint8, generator=generator)
    return functional.resize(coarse, [side, side])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("number", [1, 3, 6])
def test_an_image_is_the_same_in_any_batch(number, channels):
    change, images = made(*EVERYTHING[:number]), pixels(channels=channels)
    whole = change(images, SEEDS, 32)
    assert (whole.shape, whole.dtype) == ((8, channels, 32, 32), torch.uint8)
    order = torch.tensor([5, 0, 3])
    assert torch.equal(change(images[order], SEEDS[order], 32), whole[order])
    other = change(images, SEEDS + 1, 32)
    assert all(not torch.equal(one, two) for one, two in zip(whole, other, strict=True))


def test_neither_torchs_generator_nor_the_images_are_touched():
    images, before = pixels(), torch.random.get_rng_state()
    copy = images.clone()
    made(*EVERYTHING)(images, SEEDS)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(images, copy)


def test_without_steps_nothing_happens():
    images = pixels(32)
    assert torch.equal(made()(images, SEEDS), images)


def test_flips_turn_the_share_that_they_should():
    images = pixels().repeat(250, 1, 1, 1)
    seeds = torch.randint(2**62, (2000,), generator=torch.Generator().manual_seed(0))
    found = made({"RandomHorizontalFlip": {"p": 0.25}}, resolution=40)(images, seeds)
    flipped = (found == images.flip(3)).all(3).all(2).all(1)
    assert flipped.double().mean() == pytest.approx(0.25, abs=0.04)
    assert torch.equal(found[~flipped], images[~flipped])
    assert Flip(v2.RandomHorizontalFlip(1.0)).chances == 1


@pytest.mark.parametrize("side", [24, 32])
def test_sizes_follow_the_epoch_with_crops_and_without(side):
    assert made(*EVERYTHING)(pixels(40), SEEDS, side).shape[2:] == (side, side)
    grown = made(*THESIS_STEPS)(pixels(32), SEEDS, side)
    assert grown.shape[2:] == (side, side)
    plain = made()(pixels(32), SEEDS, side)
    theirs = functional.resize(pixels(32), [side, side], antialias=True)
    assert (plain.int() - theirs.int()).abs().max() <= 1


def test_an_affine_change_draws_from_torchvisions_ranges():
    step = Affine(v2.RandomAffine(25, (0.1, 0.2), (0.9, 1.1), (-8, 8, -4, 4)))
    low, high = step.matrix([0.0] * 6, (50, 100)), step.matrix([1.0] * 6, (50, 100))
    image = pixels()[:1]

    def torchvisions(angle, translate, scale, shear):
        told = {"angle": angle, "translate": translate, "scale": scale, "shear": shear}
        return functional._geometry._get_inverse_affine_matrix([0.0, 0.0], *told.values())

    assert low == torchvisions(-25.0, [-10.0, -10.0], 0.9, [-8.0, -4.0])
    assert high == pytest.approx(torchvisions(25.0, [10.0, 10.0], 1.1, [8.0, 4.0]))
    still = Affine(v2.RandomAffine(0))(image, torch.rand(1, 6, dtype=torch.float64))
    assert torch.equal(still, image)


def test_a_rotation_turns_the_way_that_torchvisions_turns():
    images = pixels()
    found = made({"RandomRotation": {"degrees": [20, 20]}}, resolution=40)(images, SEEDS)
    assert torch.equal(found, functional.rotate(images, 20))


def test_a_step_that_has_no_form_for_batches_is_done_one_by_one():
    gray, blur = {"RandomGrayscale": {"p": 0.5}}, {"GaussianBlur": {"kernel_size": 3}}
    change = made({"RandomHorizontalFlip": {}}, gray, blur)
    assert change.one_by_one == ("RandomGrayscale", "GaussianBlur")
    assert made(*EVERYTHING[:5]).one_by_one == ()
    found = made(gray, resolution=40)(pixels(), SEEDS)
    without_color = (found[:, 0] == found[:, 1]).flatten(1).all(1)
    assert 0 < without_color.sum() < 8


@pytest.mark.parametrize(
    ("step", "known"),
    [
        ({"RandomResizedCrop": {"scale": [0.5, 1.0]}}, True),
        ({"RandomResizedCrop": {"interpolation": 3}}, False),
        ({"RandomAffine": {"degrees": 5, "fill": 3}}, False),
        ({"RandomRotation": {"degrees": 5, "expand": True}}, False),
        ({"TrivialAugmentWide": {"fill": 3}}, False),
        ({"RandAugment": {}}, False),
        ({"ColorJitter": {}}, False),
    ],
)
def test_settings_that_a_form_does_not_know_keep_a_step_out_of_it(step, known):
    assert in_batches(step) is known


def test_steps_of_an_image_do_not_share_their_numbers():
    """Twice the same step gives two draws."""
    table = random_numbers(SEEDS, 4)
    assert ((table >= 0) & (table < 1)).all()
    assert len(table.unique()) == 32
    assert torch.equal(random_numbers(SEEDS[3:4], 4)[0], table[3])
    images = pixels().repeat(20, 1, 1, 1)
    seeds = torch.arange(160)
    twice = made({"RandomHorizontalFlip": {}}, {"RandomHorizontalFlip": {}}, resolution=40)(images, seeds)
    assert not torch.equal(twice, images)
