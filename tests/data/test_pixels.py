"""Pixels: colours changed in batches as torchvision changes photographs, and normalisation."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from lightcars.augmentation.photo import augmentation
from lightcars.data import pixels as pixels_module
from lightcars.data.pixels import (
    ColorJitter,
    change_brightness,
    change_contrast,
    change_hue,
    change_saturation,
    normalize,
    to_pixels,
)
from lightcars.errors import ConfigError
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.recipe import GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD, AugmentRecipe

RGB = Preprocessing(resolution=32, mean=RGB_MEAN, std=RGB_STD)
GRAY = Preprocessing(resolution=32, mean=GRAY_MEAN, std=GRAY_STD)


def noise(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(("preprocessing", "mode"), [(RGB, "RGB"), (GRAY, "L")])
def test_normalize_is_torchvisions(preprocessing, mode):
    image = noise(mode)
    wanted = v2.Compose(
        [
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(preprocessing.mean), list(preprocessing.std)),
        ]
    )(image)
    pixels = to_pixels(image)
    ours = normalize(pixels[None], preprocessing)
    assert pixels.dtype == torch.uint8
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours[0], wanted, rtol=0, atol=2e-6)


def test_normalize_gives_channels_last_and_leaves_its_input():
    pixels = to_pixels(noise())[None].expand(2, -1, -1, -1).contiguous()
    before = pixels.clone()
    assert normalize(pixels, RGB).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(pixels, before)


def test_the_mean_becomes_zero():
    pixels = torch.full((1, 1, 4, 4), round(GRAY_MEAN[0] * 255), dtype=torch.uint8)
    assert normalize(pixels, GRAY).abs().max() < 0.01


C50 = ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)

CHANGES = {
    change_brightness: v2.functional.adjust_brightness,
    change_contrast: v2.functional.adjust_contrast,
    change_saturation: v2.functional.adjust_saturation,
    change_hue: v2.functional.adjust_hue,
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("value", [-0.1, 0.0, 0.07, 0.1])
def test_each_change_of_colour_is_torchvisions(change, value):
    images = torch.rand(3, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    images[0, :, :3] = 0.4  # gray pixels have no hue
    images[1, 1] = images[1, 2]  # two channels equal
    before = images.clone()
    amount = value if change is change_hue else 1 + 2 * value
    ours = change(images, torch.full((3, 1, 1, 1), amount))
    torch.testing.assert_close(ours, CHANGES[change](images, amount), rtol=0, atol=3e-6)
    assert torch.equal(images, before)


def test_jitter_draws_for_each_photograph_within_its_range():
    images = torch.full((400, 1, 2, 2), 0.5)
    torch.manual_seed(0)
    values = ColorJitter(brightness=0.2)(images)[:, 0, 0, 0]
    assert values.min() >= 0.4
    assert values.max() <= 0.6
    assert len(values.unique()) > 300
    assert values.min() < 0.41
    assert values.max() > 0.59


def test_jitter_is_as_strong_as_torchvisions():
    image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    ours = C50(image.expand(2000, -1, -1, -1))
    theirs = torch.stack([v2.ColorJitter(0.2, 0.2, 0.2, 0.1)(image) for _ in range(2000)])
    assert (ours.mean(0) - theirs.mean(0)).abs().max() < 0.02
    assert (ours.std(0) - theirs.std(0)).abs().max() < 0.02


@pytest.mark.parametrize("preprocessing", [RGB, GRAY])
@pytest.mark.parametrize("number", [1, 4, 7])
@pytest.mark.parametrize("cached", [1, 2 * 3 * 8 * 9, 10**9])
def test_a_few_photographs_at_a_time_are_jittered_as_the_whole_batch(
    preprocessing, number, cached, monkeypatch
):
    channels = len(preprocessing.mean)
    pixels = torch.randint(0, 256, (number, channels, 8, 9), dtype=torch.uint8)
    torch.manual_seed(0)
    whole = C50(pixels.float() / 255)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    monkeypatch.setattr(pixels_module, "CACHED_VALUES", cached)
    torch.manual_seed(0)
    found = normalize(pixels, preprocessing, C50)
    torch.testing.assert_close(found, (whole - mean) / std, rtol=0, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("preprocessing", [RGB, GRAY])
def test_jitter_of_nothing_changes_nothing(preprocessing):
    pixels = torch.randint(0, 256, (2, len(preprocessing.mean), 8, 8), dtype=torch.uint8)
    none = ColorJitter()
    plain = normalize(pixels, preprocessing)
    jittered = normalize(pixels, preprocessing, none)
    torch.testing.assert_close(jittered, plain, rtol=0, atol=1e-5)
    assert jittered.stride() == plain.stride()


def test_jitter_follows_the_generator():
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    first, second, again = (torch.manual_seed(seed) and C50(images) for seed in (1, 2, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_factors_are_never_negative_and_impossible_ranges_are_refused():
    assert ColorJitter(brightness=3.0)(torch.rand(200, 3, 4, 4)).min() >= 0
    for settings in ({"brightness": -0.1}, {"hue": 0.6}):
        with pytest.raises(ConfigError, match="ColorJitter does not take"):
            augmentation(AugmentRecipe(photos=({"ColorJitter": settings},)), 32, 8)
