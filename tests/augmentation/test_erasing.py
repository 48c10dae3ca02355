"""RandomErasing in batches."""

import pytest
import torch
from torchvision.transforms import v2

from lightcars.augmentation.erasing import BatchErasing
from lightcars.errors import ConfigError


def erased(images: torch.Tensor, **settings: object) -> torch.Tensor:
    torch.manual_seed(0)
    return BatchErasing(v2.RandomErasing(**settings))(images)


def test_each_image_has_one_box_of_its_own():
    images = torch.rand(50, 3, 24, 32) + 1
    found = erased(images, p=1.0)
    gone = (found == 0).all(1)
    assert torch.equal(found.where((found == 0), images), found)
    boxes = set()
    for mask in gone:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns)
        y, x = rows.nonzero()[:, 0], columns.nonzero()[:, 0]
        assert (y.diff() == 1).all()
        assert (x.diff() == 1).all()
        boxes.add((int(y[0]), int(x[0]), len(y), len(x)))
    assert len(boxes) > 40
    shares = gone.double().mean((1, 2))
    assert shares.min() > 0.01
    assert shares.max() < 0.36


def test_p_is_the_share_of_images_that_it_happens_to():
    images = torch.ones(2000, 1, 8, 8)
    for p in (0.0, 0.25, 1.0):
        found = erased(images, p=p, scale=(0.2, 0.3))
        assert (found == 0).any((1, 2, 3)).double().mean() == pytest.approx(p, abs=0.04)


def test_the_filling_is_a_number_one_for_each_channel_or_noise():
    images = torch.full((40, 3, 16, 16), 9.0)
    assert set(erased(images, p=1.0, value=2.0).unique().tolist()) == {2.0, 9.0}
    each = erased(images, p=1.0, value=[1.0, 2.0, 3.0])
    assert [set(each[:, c].unique().tolist()) for c in range(3)] == [{1.0, 9.0}, {2.0, 9.0}, {3.0, 9.0}]
    noise = erased(images, p=1.0, value="random")
    noise = noise[noise != 9]
    assert len(noise.unique()) > 1000
    assert noise.std() == pytest.approx(1.0, abs=0.1)
    with pytest.raises(ConfigError, match="value must be one number or 1, one for each channel"):
        erased(images[:, :1], value=[1.0, 2.0, 3.0])


def test_it_follows_the_generator():
    images = torch.rand(8, 3, 16, 16)
    assert torch.equal(erased(images), erased(images))
    first = erased(images)
    assert not torch.equal(first, BatchErasing(v2.RandomErasing())(images))
