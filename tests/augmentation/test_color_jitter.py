"""The color jitter against torchvision's."""

import pytest
import torch
from torchvision.transforms import v2

from lightcars.augmentation import color_jitter
from lightcars.augmentation.color_jitter import (
    ColorJitter,
    change_brightness,
    change_contrast,
    change_hue,
    change_saturation,
    jittered,
)
from lightcars.augmentation.image import augmentation
from lightcars.data.pixels import normalize
from lightcars.data.stanford_cars import GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD
from lightcars.errors import ConfigError
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.recipe import AugmentRecipe

RGB = Preprocessing(resolution=8, mean=RGB_MEAN, std=RGB_STD)
GRAY = Preprocessing(resolution=8, mean=GRAY_MEAN, std=GRAY_STD)
C50 = ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)

CHANGES = {
    change_brightness: v2.functional.adjust_brightness,
    change_contrast: v2.functional.adjust_contrast,
    change_saturation: v2.functional.adjust_saturation,
    change_hue: v2.functional.adjust_hue,
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("value", [-0.1, 0.0, 0.07, 0.1])
def test_each_change_of_color_is_torchvisions(change, value):
    images = torch.rand(3, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    images[0, :, :3] = 0.4  # gray pixels have no hue
    images[1, 1] = images[1, 2]  # two channels equal
    before = images.clone()
    amount = value if change is change_hue else 1 + 2 * value
    ours = change(images, torch.full((3, 1, 1, 1), amount))
    torch.testing.assert_close(ours, CHANGES[change](images, amount), rtol=0, atol=3e-6)
    assert torch.equal(images, before)


def test_jitter_draws_for_each_image_within_its_range():
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


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("number", [1, 4, 7])
@pytest.mark.parametrize("cached", [1, 2 * 3 * 8 * 9, 10**9])
def test_a_few_images_at_a_time_are_jittered_as_the_whole_batch(channels, number, cached, monkeypatch):
    pixels = torch.randint(0, 256, (number, channels, 8, 9), dtype=torch.uint8)
    torch.manual_seed(0)
    whole = C50(pixels.float() / 255)
    monkeypatch.setattr(color_jitter, "CACHED_VALUES", cached)
    torch.manual_seed(0)
    found = jittered(pixels, C50)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("preprocessing", [RGB, GRAY])
def test_jitter_of_nothing_changes_nothing(preprocessing):
    pixels = torch.randint(0, 256, (2, len(preprocessing.mean), 8, 8), dtype=torch.uint8)
    plain = normalize(pixels, preprocessing)
    changed = normalize(jittered(pixels, ColorJitter()), preprocessing)
    torch.testing.assert_close(changed, plain, rtol=0, atol=1e-5)
    assert changed.stride() == plain.stride()


def test_jitter_follows_the_generator():
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    first, second, again = (torch.manual_seed(seed) and C50(images) for seed in (1, 2, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_factors_are_never_negative_and_impossible_ranges_are_refused():
    assert ColorJitter(brightness=3.0)(torch.rand(200, 3, 4, 4)).min() >= 0
    for settings in ({"brightness": -0.1}, {"hue": 0.6}):
        with pytest.raises(ConfigError, match="ColorJitter does not take"):
            augmentation(AugmentRecipe(images=({"ColorJitter": settings},)), 32, 8)
