"""Sizes and augmentation: what they do to images, and what they leave alone."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from lightcars.augmentation.image import augmentation
from lightcars.data.stanford_cars import GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.transforms import fit_square
from lightcars.recipes.recipe import AugmentRecipe

RGB = Preprocessing(resolution=32, mean=RGB_MEAN, std=RGB_STD)
GRAY = Preprocessing(resolution=32, mean=GRAY_MEAN, std=GRAY_STD)


def noise(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def halves(width: int, height: int) -> Image.Image:
    """Black outside, white in the middle third of the width."""
    image = Image.new("RGB", (width, height))
    image.paste((255, 255, 255), (width // 3, 0, width - width // 3, height))
    return image


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(60, 40), (40, 60), (32, 32), (7, 90)])
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_any_image_becomes_a_square(mode, size, resize):
    fitted = fit_square(Preprocessing(resolution=32, mean=RGB_MEAN, std=RGB_STD, resize=resize))(
        noise(mode, size)
    )
    assert (fitted.size, fitted.mode) == ((32, 32), mode)


def test_squash_keeps_the_whole_image():
    fitted = np.asarray(fit_square(RGB)(halves(96, 32)))
    assert fitted[:, 0].max() < 10
    assert fitted[:, -1].max() < 10
    assert fitted[:, 16].min() > 245


def test_crop_keeps_the_middle_and_the_shape():
    crop = Preprocessing(resolution=32, mean=RGB_MEAN, std=RGB_STD, resize="crop")
    assert np.asarray(fit_square(crop)(halves(96, 32))).min() > 245


def test_crop_fraction_scales_before_it_cuts():
    crop = Preprocessing(resolution=32, mean=RGB_MEAN, std=RGB_STD, resize="crop", crop_fraction=0.5)
    expected = v2.functional.center_crop(v2.functional.resize(noise(), [64], antialias=True), [32, 32])
    assert fit_square(crop)(noise()).tobytes() == expected.tobytes()


def test_the_interpolation_is_the_one_asked_for():
    bicubic = Preprocessing(resolution=32, mean=RGB_MEAN, std=RGB_STD, interpolation="bicubic")
    assert (
        fit_square(bicubic)(noise()).tobytes() == noise().resize((32, 32), Image.Resampling.BICUBIC).tobytes()
    )
    assert fit_square(RGB)(noise()).tobytes() == noise().resize((32, 32), Image.Resampling.BILINEAR).tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_augmentation_keeps_size_and_mode_and_changes_pixels(mode):
    image = noise(mode, (32, 32))
    changed = augmentation(AugmentRecipe(), 32, 8).image(image)
    assert (changed.size, changed.mode) == (image.size, image.mode)
    assert changed.tobytes() != image.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_augmentation_follows_the_generator(mode):
    image, change = noise(mode, (32, 32)), augmentation(AugmentRecipe(), 32, 8).image
    seeds = (1, 2, 1)
    first, second, again = (torch.manual_seed(seed) and change(image).tobytes() for seed in seeds)
    assert first == again
    assert first != second


def test_augmentation_does_not_lose_the_car():
    image = Image.new("RGB", (96, 96), (120, 120, 120))
    for seed in range(20):
        torch.manual_seed(seed)
        middle = np.asarray(augmentation(AugmentRecipe(), 32, 8).image(image))[32:64, 32:64]
        assert middle.min() > 60
        assert middle.max() < 200


def test_a_jitter_without_arguments_changes_nothing():
    """As torchvision's; the EfficientNet thesis had that one."""
    made = augmentation(AugmentRecipe(images=({"ColorJitter": {}},)), 32, 8)
    assert made.jitter is None
    assert made.image.steps == ()
