"""Sizes, augmentation and normalisation: what they do to pixels, and what they leave alone."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from lightcars.cars import transforms
from lightcars.cars.recipe import GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD, AugmentRecipe
from lightcars.cars.transforms import (
    ColorJitter,
    augmentation,
    change_brightness,
    change_contrast,
    change_hue,
    change_saturation,
    normalize,
    to_pixels,
)
from lightcars.errors import ConfigError
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.transforms import fit_square

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
def test_any_photograph_becomes_a_square(mode, size, resize):
    fitted = fit_square(Preprocessing(resolution=32, mean=RGB_MEAN, std=RGB_STD, resize=resize))(
        noise(mode, size)
    )
    assert (fitted.size, fitted.mode) == ((32, 32), mode)


def test_squash_keeps_the_whole_photograph():
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
    changed = augmentation(AugmentRecipe(), 32, 8).photo(image)
    assert (changed.size, changed.mode) == (image.size, image.mode)
    assert changed.tobytes() != image.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_augmentation_follows_the_generator(mode):
    image, change = noise(mode, (32, 32)), augmentation(AugmentRecipe(), 32, 8).photo
    seeds = (1, 2, 1)
    first, second, again = (torch.manual_seed(seed) and change(image).tobytes() for seed in seeds)
    assert first == again
    assert first != second


def test_augmentation_does_not_lose_the_car():
    image = Image.new("RGB", (96, 96), (120, 120, 120))
    for seed in range(20):
        torch.manual_seed(seed)
        middle = np.asarray(augmentation(AugmentRecipe(), 32, 8).photo(image))[32:64, 32:64]
        assert middle.min() > 60
        assert middle.max() < 200


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
    monkeypatch.setattr(transforms, "CACHED_VALUES", cached)
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


def test_a_jitter_without_arguments_changes_nothing():
    """As torchvision's; the EfficientNet thesis had that one."""
    made = augmentation(AugmentRecipe(photos=({"ColorJitter": {}},)), 32, 8)
    assert made.jitter is None
    assert made.photo.steps == ()
