"""Boxes and affine changes of batches, beside torchvision's of single images."""

import math

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from lightcars.augmentation.resampling import (
    BOX_CHANCES,
    affine_matrix,
    largest_box,
    random_boxes,
    resampled,
    warped,
)

BOXES = torch.tensor(
    [[0, 0, 40, 48], [3, 5, 30, 30], [10, 10, 1, 1], [0, 20, 9, 17], [39, 0, 1, 48], [5, 6, 33, 20]]
)


def pixels(channels: int = 3, number: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (number, channels, 40, 48), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("side", [16, 33, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_box_is_what_torchvision_and_pillow_make_of_it_up_to_rounding(channels, side):
    images = pixels(channels)
    found = resampled(images, BOXES, side)
    assert (found.shape, found.dtype) == ((6, channels, side, side), torch.uint8)
    for image, box, ours in zip(images, BOXES.tolist(), found.int(), strict=True):
        cut = functional.resized_crop(image, *box, [side, side], antialias=True)
        pillow = functional.resized_crop(functional.to_pil_image(image), *box, [side, side])
        for theirs in (cut, functional.pil_to_tensor(pillow)):
            apart = (ours - theirs.int()).abs()
            assert apart.max() <= 1
            assert apart.float().mean() < 0.25


def test_the_layout_of_memory_makes_no_difference():
    images = pixels()
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(resampled(images, BOXES, 20), resampled(last, BOXES, 20))


def test_the_whole_at_its_own_size_stays_as_it_is():
    images = pixels()[:, :, :, :40]
    assert torch.equal(resampled(images, torch.tensor([[0, 0, 40, 40]] * 6), 40), images)


def chances(number: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(number, BOX_CHANCES, dtype=torch.float64, generator=generator)


def same_distribution(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Kolmogorov and Smirnov: the largest distance of the two distributions, column by column."""
    for one, other in zip(ours.T, theirs.T, strict=True):
        both = torch.cat([one, other]).unique()
        below = [torch.searchsorted(part.sort()[0], both, right=True) / len(part) for part in (one, other)]
        assert (below[0] - below[1]).abs().max() < 0.05


@pytest.mark.parametrize(
    ("size", "settings"),
    [((64, 64), {"scale": (0.08, 1.0)}), ((40, 48), {"scale": (0.5, 1.0), "ratio": (0.8, 1.25)})],
)
def test_boxes_are_spread_as_torchvisions_crops(size, settings):
    made = v2.RandomResizedCrop(32, **settings)
    boxes, fits = random_boxes(chances(3000), size, made.scale, made.ratio)
    ours = torch.where(fits[:, None], boxes, largest_box(size, made.ratio))
    torch.manual_seed(0)
    image = torch.empty(1, *size)
    theirs = torch.tensor([list(made.make_params([image]).values()) for _ in range(3000)]).double()
    same_distribution(ours, theirs)
    top, left, height, width = ours.unbind(1)
    assert (torch.stack([top, left]) >= 0).all()
    assert ((top + height <= size[0]) & (left + width <= size[1])).all()


def test_boxes_are_spread_as_torchvisions_erasing():
    made, size = v2.RandomErasing(p=1.0, scale=(0.02, 0.9)), (40, 48)
    boxes, fits = random_boxes(chances(3000), size, made.scale, made.ratio, tall=True)
    torch.manual_seed(0)
    image = torch.empty(3, *size)
    params = [made.make_params([image]) for _ in range(3000)]
    theirs = torch.tensor([[p[name] for name in "ijhw"] for p in params if p["v"] is not None]).double()
    assert len(theirs) / 3000 == pytest.approx(fits.double().mean().item(), abs=0.02)
    same_distribution(boxes[fits], theirs)


@pytest.mark.parametrize("ratio", [(2.0, 3.0), (0.2, 0.4), (0.5, 2.0)])
def test_where_no_box_fits_the_middle_is_cut_as_torchvision_does(ratio):
    made = v2.RandomResizedCrop(32, scale=(0.999, 1.0), ratio=ratio)
    size = (40, 48)
    _, fits = random_boxes(chances(200), size, (3.0, 4.0), ratio)
    assert not fits.any()
    made.scale = (3.0, 4.0)
    theirs = list(made.make_params([torch.empty(1, *size)]).values())
    assert largest_box(size, ratio).tolist() == theirs


def test_the_first_of_the_tries_that_fit_is_taken():
    row = torch.full((1, 10, 4), 0.5, dtype=torch.float64)
    row[0, :2, 0] = 1.0  # twice the area of the image
    row[0, 2, 2:] = 0.0
    boxes, fits = random_boxes(row.view(1, -1), (40, 40), (0.0, 2.0), (1.0, 1.0))
    assert fits.tolist() == [True]
    assert boxes.tolist() == [[0, 0, 40, 40]]
    row[0, :, 0] = 0.25
    (box,) = random_boxes(row.view(1, -1), (40, 40), (0.0, 2.0), (1.0, 1.0))[0].tolist()
    assert box == [6, 6, 28, 28]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_affine_change_is_torchvisions(channels):
    images = pixels(channels, 3)
    settings = [
        {"angle": 17.0, "translate": [3, -4], "scale": 1.1, "shear": [5.0, 0.0]},
        {"angle": -25.0, "translate": [0, 2], "scale": 0.9, "shear": [-8.0, 3.0]},
        {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]},
    ]
    matrices = torch.tensor([affine_matrix(*s.values()) for s in settings])
    found = warped(images, matrices)
    for image, ours, told in zip(images, found, settings, strict=True):
        assert torch.equal(ours, functional.affine(image, **told))
    assert torch.equal(found[2], images[2])


def test_a_corner_may_stay_where_it_is():
    corner = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [math.degrees(math.atan(0.5)), 0.0]}
    matrix = torch.tensor([affine_matrix(*corner.values(), center=(-24, -20))])
    image = pixels(3, 1)
    assert torch.equal(warped(image, matrix)[0], functional.affine(image[0], **corner, center=[0, 0]))
