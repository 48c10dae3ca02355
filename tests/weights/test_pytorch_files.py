"""Only archives whose bytes are the tensors' own are mapped; torch reads or refuses the others."""

import io
import zipfile
from collections.abc import Callable

import pytest
import torch

from lightcars.errors import CheckpointError
from lightcars.weights.tensors import read_tensors

CPU = torch.device("cpu")


@pytest.fixture
def tensors():
    shared = torch.randn(50)
    return {"a": torch.randn(30, 20), "b": torch.randn(7), "view": shared[3:9], "of_same": shared[20:]}


def rewritten(
    tensors: object, path, method: int = zipfile.ZIP_STORED, change: Callable[[bytes], bytes] = lambda b: b
) -> None:
    """Write what torch.save writes, with the records of the tensors changed, in a new archive."""
    file = io.BytesIO()
    torch.save(tensors, file)
    with zipfile.ZipFile(file) as before, zipfile.ZipFile(path, "w", method) as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, change(content) if "/data/" in name else content)


@pytest.fixture
def loads(monkeypatch):
    """How each file was read: whether it was mapped."""
    calls = []
    load = torch.load
    monkeypatch.setattr(
        torch, "load", lambda *args, mmap, **more: (calls.append(mmap), load(*args, mmap=mmap, **more))[1]
    )
    return calls


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_what_torch_saves_is_mapped(tensors, loads, tmp_path):
    torch.save({"model": tensors, "optimizer": {"state": {0: {"avg": torch.ones(9)}}}}, tmp_path / "a.pth")
    assert_equal(read_tensors(tmp_path / "a.pth", CPU), tensors)
    assert loads == [True]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_records_are_not_mapped(method, tensors, loads, tmp_path):
    path = tmp_path / "a.pth"
    rewritten(tensors, path, method)
    if method == zipfile.ZIP_DEFLATED:
        assert_equal(read_tensors(path, CPU), tensors)
    else:
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_tensors(path, CPU)
    assert loads == [False]


@pytest.mark.parametrize(
    "change",
    [lambda b: b[: len(b) // 2], lambda b: b[:-1], lambda b: b + b, lambda _: b""],
    ids=["half", "one byte less", "twice", "nothing"],
)
def test_records_of_another_length_are_refused(change, tensors, tmp_path):
    rewritten(tensors, tmp_path / "a.pth", change=change)
    with pytest.raises(CheckpointError, match=r"cannot be read .* copy or download it again"):
        read_tensors(tmp_path / "a.pth", CPU)


def test_bomb(tmp_path):
    rewritten({"a": torch.zeros(10_000_000)}, tmp_path / "a.pth", zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="unpacks to 40000"):
        read_tensors(tmp_path / "a.pth", CPU)


def test_records_nobody_refers_to(tensors, loads, tmp_path):
    """A file with more records than tensors is read by torch, not mapped."""
    torch.save(tensors, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "a") as archive:
        archive.writestr("a/data/99", b"more")
    assert_equal(read_tensors(tmp_path / "a.pth", CPU), tensors)
    assert loads == [True, False]
