"""Corrupt .mat files are one line, whatever scipy's reader does with them."""

import random

import numpy as np
import pytest

from lightcars.data.layouts import mat_reader, matlab
from lightcars.data.layouts.matlab import read_mat
from lightcars.errors import DataError, MissingVariableError


@pytest.fixture
def path(tmp_path):
    savemat = pytest.importorskip("scipy.io").savemat
    rows = np.array(
        [(1, 2, 3, 4, 5, "1.jpg"), (9, 8, 7, 6, 5, "caf\u00e9.jpg")],
        dtype=[(name, object) for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")],
    )
    names = np.array(["Audi A4", "BMW"], dtype=object)
    savemat(tmp_path / "a.mat", {"annotations": rows, "class_names": names}, do_compression=True)
    return tmp_path / "a.mat"


def test_structures_are_dictionaries(path):
    first, second = read_mat(path, "annotations")
    assert (first["bbox_x1"], first["class"], first["fname"]) == (1, 5, "1.jpg")
    assert second["fname"] == "caf\u00e9.jpg"
    assert read_mat(path, "class_names") == ["Audi A4", "BMW"]


def test_a_variable_that_is_not_there(path):
    with pytest.raises(MissingVariableError, match="has no variable other"):
        read_mat(path, "other")


def test_a_reader_that_crashes_is_one_line(path, monkeypatch, tmp_path):
    script = tmp_path / "crash.py"
    script.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(mat_reader, "__file__", str(script))
    with pytest.raises(
        DataError, match=r"a\.mat cannot be read as a file of the devkit \(the reader crashed\)"
    ):
        read_mat(path, "annotations")


def test_a_reader_that_does_not_end_is_stopped(path, monkeypatch, tmp_path):
    script = tmp_path / "sleep.py"
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(mat_reader, "__file__", str(script))
    monkeypatch.setattr(matlab, "TIMEOUT_S", 0.5)
    with pytest.raises(DataError, match="not finished after"):
        read_mat(path, "annotations")


def test_damaged_files_are_read_or_one_line(path):
    content, chance = path.read_bytes(), random.Random(0)
    for _ in range(12):
        damaged = bytearray(content)
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(bytes(damaged[: chance.randrange(1, len(damaged) + 1)]))
        problem = None
        try:
            read_mat(path, "annotations")
        except DataError as error:
            problem = str(error)
        assert problem is None or (problem.startswith(f"{path} ") and len(problem.splitlines()) == 1)
