"""Pixels: colors changed in batches as torchvision changes images, and normalization."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from lightcars.data.pixels import normalize, to_pixels
from lightcars.data.stanford_cars import GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD
from lightcars.models.preprocessing import Preprocessing

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
