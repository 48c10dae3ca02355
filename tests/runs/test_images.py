"""The images of a run: digests, and the first differences by name."""

import shutil

import pytest

from lightcars.data.layouts import find_data
from lightcars.runs.images import differences, digests, image_keys, read_list, write_list

CLASSES = ("Bus", "SUV")
BEFORE = [("train/a.png", 10, 0), ("train/b.png", 20, 0), ("train/c.png", 30, 1)]


def test_a_copy_elsewhere_has_the_same_digests(drawn, tmp_path):
    shutil.copytree(drawn, tmp_path / "copy")
    here, there = (digests(image_keys(find_data(root))) for root in (drawn, tmp_path / "copy"))
    assert here == there
    assert here.keys() == {"train", "val"}


def test_a_file_that_is_gone_has_no_size(drawn_copy):
    records = find_data(drawn_copy)
    records.split("train")[0].path.unlink()
    assert image_keys(records)["train"][0][1] == -1


@pytest.mark.parametrize(
    ("now", "named"),
    [
        ([*BEFORE[:2], ("train/d.png", 30, 1)], ("train/c.png is missing", "train/d.png is new")),
        ([("train/a.png", 11, 0), *BEFORE[1:]], ("train/a.png has 11 bytes, not 10",)),
        ([("train/a.png", -1, 0), *BEFORE[1:]], ("train/a.png has no file, not 10",)),
        ([("train/a.png", 10, 1), *BEFORE[1:]], ("train/a.png was Bus and is SUV",)),
        (BEFORE[::-1], ("they are in another order",)),
        ([], tuple(f"{name} is missing" for name, _, _ in BEFORE)),
        ([(f"{n}", 1, 0) for n in range(9)], tuple(f"{name} is missing" for name, _, _ in BEFORE)),
    ],
)
def test_the_first_differences_are_named(now, named):
    assert differences(BEFORE, now, CLASSES) == named
    assert digests({"train": now}) != digests({"train": BEFORE})


def test_the_list_is_written_and_read_back(tmp_path):
    keys = {"train": BEFORE, "val": [("val/with, comma\nand line.png", 3, 1)]}
    write_list(tmp_path, keys)
    assert read_list(tmp_path) == keys


@pytest.mark.parametrize("content", [b"a,b\n", b"train,x,many,0\n", b"\xff\xfe", b'"'])
def test_a_damaged_list_is_as_none(tmp_path, content):
    assert read_list(tmp_path) == {}
    (tmp_path / "images.csv").write_bytes(content)
    assert read_list(tmp_path) == {}
