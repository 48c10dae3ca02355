"""Cells of predictions.csv: no formula, valid UTF-8, and read back as they were."""

import os

import pytest

from lightcars.evaluation.cells import from_cell, to_cell

NAMES = ["=HYPERLINK(1)", "+1", "-x", "@SUM(A1)", "\tx", "'=1", "''-1", "Audi", "'quoted'", "a=b", "", "'"]


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name):
    cell = to_cell(name)
    assert cell[:1] not in tuple("=+-@\t\r")
    assert from_cell(cell) == name


def test_names_are_not_changed_otherwise():
    assert [to_cell(name) for name in ("Audi", "A-B", "'quoted'")] == ["Audi", "A-B", "'quoted'"]


def test_tables_of_older_versions_are_read():
    assert from_cell("=1+1") == "=1+1"


def test_bytes_of_a_file_name(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    written = to_cell(name).encode("utf-8", "backslashreplace").decode()
    assert from_cell(written) == name
