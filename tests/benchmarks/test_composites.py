"""Composites: the car is where its box says, the border fades, and the seed decides everything."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.cars import whole_photographs
from benchmarks.harness.composites import compose, composite_of, picture_size, several_cars, shared_width
from benchmarks.harness.vehicles import CARS, DETAILS, OTHER_VEHICLES, halves, kind_of
from lightcars.data.layouts import Sample
from scripts.train_car_finder import loss_of, overlaps_of

RED, GRAY = Image.new("RGB", (120, 60), (250, 0, 0)), Image.new("RGB", (300, 400), (90, 90, 90))


@pytest.mark.parametrize("seed", range(8))
def test_the_car_is_in_its_box_and_fades_outside(seed):
    picture, box = compose(RED, GRAY, np.random.default_rng(seed), 0.3)
    redness = np.asarray(picture, int)[..., 0] - np.asarray(picture, int)[..., 1]
    left, top, right, bottom = map(int, box)
    assert (right - left, bottom - top) == RED.size
    assert (redness[top + 15 : bottom - 15, left + 30 : right - 30] == 250).all()
    assert redness[top:bottom, left:right].mean() > 0.85 * 250
    steps = np.abs(np.diff(redness, axis=1)).max()
    assert steps < 250, "no hard edge"
    share = RED.width * RED.height / (picture.width * picture.height)
    assert 0.2 < share < 0.31


@pytest.mark.parametrize("ratio", [16 / 9, 1.0, 3 / 4])
def test_the_picture_holds_the_cut(ratio):
    for size in ((320, 80), (60, 300), (200, 150)):
        width, height = picture_size(size, 0.6, ratio)
        assert width > size[0]
        assert height > size[1]
        assert size[0] * size[1] / (width * height) <= 0.601


def test_the_seed_decides(tmp_path):
    RED.save(tmp_path / "car.png")
    GRAY.save(tmp_path / "street.png")
    sample, backgrounds = Sample(path=tmp_path / "car.png", label=7), [tmp_path / "street.png"]
    one, same, other = (composite_of(sample, backgrounds, (seed, 3)) for seed in (0, 0, 1))
    assert (one.label, one.boxes) == (7, same.boxes)
    assert one.image.tobytes() == same.image.tobytes()
    assert (one.image.size, one.boxes) != (other.image.size, other.boxes)


@pytest.mark.parametrize("seed", range(4))
def test_several_cars_are_in_their_boxes_and_keep_their_labels(tmp_path, seed):
    colors = {3: (250, 0, 0), 5: (0, 250, 0), 8: (0, 0, 250)}
    samples = []
    for label, color in colors.items():
        Image.new("RGB", (120, 60), color).save(tmp_path / f"{label}.png")
        samples.append(Sample(path=tmp_path / f"{label}.png", label=label))
    picture, boxes, labels = several_cars(samples, GRAY, np.random.default_rng(seed))
    assert len(boxes) == len(labels) == len(set(labels))
    assert len(labels) > 1
    for box, label in zip(boxes, labels, strict=True):
        left, top, right, bottom = map(int, box)
        assert 0 <= left < right <= picture.width
        assert 0 <= top < bottom <= picture.height
        assert picture.getpixel(((left + right) // 2, (top + bottom) // 2)) == colors[label]
    assert all(shared_width(one, other) < 0.1 for one in boxes for other in boxes if one is not other)


@pytest.mark.parametrize(("boxes", "found", "extra"), [(3, 100.0, 1), (1, 50.0, 0), (0, 0.0, 0)])
def test_found_ones_of_several_cars_are_counted(monkeypatch, boxes, found, extra):
    """Two cars; a finder that returns one box, or both and one without a car; a classifier that says 4."""
    own = [(0, 0, 50, 40), (60, 0, 100, 44), (0, 60, 30, 100)]
    street = whole_photographs.Street(GRAY, ((0, 0, 50, 50), (60, 0, 100, 50)), (4, 9))
    monkeypatch.setattr(whole_photographs, "all_found_in", lambda *_: [own[:boxes]])
    always_4 = torch.eye(12)[4]
    monkeypatch.setattr(whole_photographs, "logits_of", lambda _, views: always_4.expand(len(views), -1))
    row = whole_photographs.several(None, None, [street])
    assert (row["cars"], row["found_percent"], row["boxes_without_a_car"]) == (2, found, extra)
    named = {3: 50.0, 1: 100.0, 0: 0.0}[boxes]
    assert row["named_percent_of_found"] == row["named_percent_when_cut"] == named


def test_kinds_and_halves():
    names = ["n01_cab.webp", "n02_tench.webp", "n03_school_bus.webp", "n04_grille.webp"]
    assert [kind_of(Path(name)) for name in names] == ["cars", "no cars", "other vehicles", "details"]
    assert len(CARS | DETAILS | OTHER_VEHICLES) == len(CARS) + len(DETAILS) + len(OTHER_VEHICLES)
    first, second = halves(map(Path, names))
    assert [path.name for path in first] == [names[0], names[2]]
    assert [path.name for path in second] == [names[1], names[3]]


def test_the_right_box_has_the_least_loss():
    """One car in the left half of the image, seen by the cells of a 4 x 4 map."""
    boxes = torch.zeros(1, 3, 4)
    boxes[0, 0] = torch.tensor([0.0, 0.0, 0.5, 1.0])

    def outputs(width: float, score: float) -> torch.Tensor:
        raw = torch.full((1, 5, 4, 4), -6.0)
        centers = (torch.arange(4) + 0.5) / 4
        x, y = centers.expand(4, 4), centers[:, None].expand(4, 4)
        raw[0, 0, :, :2] = score
        raw[0, 1:] = torch.stack((x, y, width - x, 1 - y)).clamp(0.01, 0.99).logit()
        return raw

    right, narrow, unsure = (loss_of(outputs(*each), boxes) for each in ((0.5, 1.0), (0.3, 1.0), (0.5, -5.0)))
    assert right < narrow
    assert right < unsure
    assert loss_of(torch.full((1, 5, 4, 4), -9.0), torch.zeros(1, 3, 4)) < 1e-3, "no car, and none found"


def test_overlaps():
    found = torch.tensor([[0, 0, 1, 1.0], [0, 0, 1, 1]])
    wanted = torch.tensor([[0, 0, 0.5, 1.0], [2, 2, 3, 3]])
    assert overlaps_of(found, wanted).tolist() == [0.5, 0]
