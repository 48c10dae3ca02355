"""GaussianBlur in batches."""

import pytest
import torch
from torchvision.transforms.v2 import functional

from lightcars.augmentation.blur import GaussianBlur
from lightcars.augmentation.erasing import BatchErasing
from lightcars.augmentation.image import augmentation
from lightcars.errors import ConfigError
from lightcars.recipes.recipe import AugmentRecipe


def blurred(images: torch.Tensor, kernel_size: int = 7, **settings: object) -> torch.Tensor:
    torch.manual_seed(0)
    return GaussianBlur(kernel_size, **settings)(images)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_it_equals_torchvisions(sigma: float):
    images = torch.rand(5, 3, 17, 23)
    found = blurred(images, 9, sigma=sigma, p=1.0)
    torch.testing.assert_close(found, functional.gaussian_blur(images, [9, 9], [sigma, sigma]))
    assert (found - images).abs().max() > 0.01


def test_each_image_has_a_standard_deviation_of_its_own():
    image = torch.zeros(1, 2, 15, 15)
    image[:, :, 7, 7] = 1
    peaks = blurred(image.expand(200, -1, -1, -1), sigma=(0.5, 1.5), p=1.0)[:, :, 7, 7]
    assert torch.equal(peaks[:, 0], peaks[:, 1])
    assert len(peaks[:, 0].unique()) > 190
    strongest, weakest = (functional.gaussian_blur(image, [7, 7], [s, s])[0, 0, 7, 7] for s in (1.5, 0.5))
    assert peaks.min() >= strongest
    assert peaks.max() <= weakest


def test_p_is_the_share_of_images_that_it_happens_to():
    images = torch.rand(1000, 1, 8, 8)
    for p in (0.0, 0.25, 1.0):
        found = blurred(images, 3, p=p)
        assert (found != images).any((1, 2, 3)).double().mean() == pytest.approx(p, abs=0.05)


def test_it_follows_the_generator_and_leaves_the_input():
    images = torch.rand(8, 3, 16, 16)
    before = images.clone()
    assert torch.equal(blurred(images), blurred(images))
    first = blurred(images)
    assert not torch.equal(first, GaussianBlur(7)(images))
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel_size": [3, 5]}, "kernel_size must be one odd number"),
        ({"kernel_size": 3, "p": 2}, "p must be from 0 to 1, not 2"),
        ({"kernel_size": 3, "p": True}, "p must be from 0 to 1, not True"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        GaussianBlur(**settings)
    with pytest.raises(ConfigError, match="kernel_size 17 is too large for 8 x 40 px"):
        GaussianBlur(17, p=1.0)(torch.rand(1, 3, 8, 40))


def test_a_recipe_names_it_among_the_steps_of_batches():
    steps = ({"GaussianBlur": {"kernel_size": 3, "sigma": [0.5, 1.0], "p": 0.5}}, {"RandomErasing": {}})
    built = augmentation(AugmentRecipe(images=(), tensors=steps), 32, 8).tensors
    assert [type(step) for step in built] == [GaussianBlur, BatchErasing]
    for settings in ({"kernel_size": 4}, {"p": 0.5}, {"kernel_size": 3, "p": 2}, {"kernel_size": 3, "q": 1}):
        with pytest.raises(ConfigError, match="GaussianBlur"):
            augmentation(AugmentRecipe(images=(), tensors=({"GaussianBlur": settings},)), 32, 8)
