"""The shipped car finder: it is small, fits, and a broken file is one clear error."""

import pytest
import torch

from lightcars.errors import CheckpointError
from lightcars.weights import car_finder
from lightcars.weights.tensors import read_tensors, write_tensors

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def finder():
    return car_finder.load_car_finder(CPU)


def test_the_head_is_small_and_in_half_precision():
    tensors = read_tensors(car_finder.HEAD_FILE, CPU)
    assert {t.dtype for t in tensors.values() if t.is_floating_point()} == {torch.float16}
    assert car_finder.HEAD_FILE.stat().st_size < 100e3


def test_one_box_for_each_cell(finder):
    side = finder.preprocessing.resolution
    assert not finder.training
    with torch.no_grad():
        found = finder(torch.zeros(2, 3, side, side))
    assert found.shape == (2, (side // 16) ** 2, 5)
    assert 0 <= found.min() <= found.max() <= 1


def test_it_is_saved_as_it_is(finder, tmp_path):
    car_finder.save_head(finder, tmp_path / "head.safetensors")
    saved, own = (read_tensors(path, CPU) for path in (tmp_path / "head.safetensors", car_finder.HEAD_FILE))
    assert saved.keys() == own.keys()
    assert all(torch.equal(saved[name], own[name]) for name in own)


def test_another_head_is_an_error(monkeypatch, tmp_path):
    write_tensors(tmp_path / "head.safetensors", {"fine.weight": torch.zeros(3)})
    monkeypatch.setattr(car_finder, "HEAD_FILE", tmp_path / "head.safetensors")
    with pytest.raises(CheckpointError, match="does not fit the car finder; install"):
        car_finder.load_car_finder(CPU)
