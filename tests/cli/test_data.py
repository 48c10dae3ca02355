"""`lightcars data`: inspect, prepare, stats."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from lightcars.data.layouts import find_data
from lightcars.data.layouts.boxes import ANNOTATIONS_HEAD
from lightcars.data.stanford_cars import CLASS_NAMES

COMMANDS = ("inspect", "prepare", "stats")
NAME = CLASS_NAMES[0]


@pytest.fixture
def photos(tmp_path):
    """Three and one images of one class, with boxes; they differ."""
    root = tmp_path / "photos"
    rows = [",".join(ANNOTATIONS_HEAD)]
    for position, split in enumerate(("train", "train", "train", "val")):
        folder = root / split / NAME
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), (50 * position, 100, 200)).save(folder / f"{position}.png")
        rows.append(f"{split}/{NAME}/{position}.png,{NAME},1,1,10,10")
    (root / "annotations.csv").write_text("\n".join(rows))
    (root / "classes.txt").write_text(f"{NAME}\nA class without an image\n")
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains(lightcars, command):
    shown = lightcars("data", command, "--help")
    assert shown.code == 0
    assert f"Examples: lightcars data {command} " in re.sub(r"\s+", " ", shown.out)
    assert "--json" in shown.out
    assert all(len(line) <= 100 for line in shown.out.splitlines())


def test_help_names_the_commands(lightcars):
    shown = lightcars("data", "--help")
    assert all(re.search(rf"^\W*{command} +\w", shown.out, re.MULTILINE) for command in COMMANDS)
    assert "data" in lightcars("--help").out


# inspect


def test_inspect_a_data_set_in_order(lightcars, cars):
    shown = lightcars("data", "inspect", cars)
    assert shown.code == 0
    assert shown.err == ""
    assert re.search(r"^train +40 +8 +0 +\d+ +0$", shown.out, re.MULTILINE)
    assert re.search(r"^val +16 +8 ", shown.out, re.MULTILINE)
    assert re.search(r"^RGB of train +0\.\d{4}, 0\.\d{4}, 0\.\d{4} ", shown.out, re.MULTILINE)
    assert "cannot be read" not in shown.out


def test_inspect_names_what_is_wrong(lightcars, photos):
    train = photos / "train" / NAME
    (train / "0.png").write_bytes(b"")
    shutil.copy(photos / "val" / NAME / "3.png", train / "2.png")
    (photos / "annotations.csv").write_text(
        (photos / "annotations.csv").read_text().replace(f"1.png,{NAME},1,1,10,10", f"1.png,{NAME},1,1,30,10")
    )
    shown = lightcars("data", "inspect", photos)
    assert shown.code == 0
    assert f"files that cannot be read (1):\n  {train}/0.png is empty" in shown.out
    assert "LEAK: the same file in more than one split (1):" in shown.out
    assert f"train and val: train/{NAME}/2.png = val/{NAME}/3.png" in shown.out
    assert f"boxes outside of their image (1):\n  {train}/1.png: box 1, 1, 30, 10 in 20 x 10" in shown.out
    assert "classes without images in train (1):\n  A class without an image" in shown.out
    assert f"classes with few images in train (1):\n  {NAME}: 3" in shown.out


def test_inspect_says_that_the_counts_are_others(lightcars, photos):
    (photos / "classes.txt").unlink()
    assert (
        "train and val have 4 images, Stanford Cars has 8,144 train images"
        in lightcars("data", "inspect", photos).out
    )


def test_inspect_cuts_long_lists(lightcars, photos):
    (photos / "classes.txt").unlink()
    shown = lightcars("data", "inspect", photos)
    assert "classes without images in train (195):" in shown.out
    assert "  and 185 more; --json lists all" in shown.out


def test_inspect_as_json(lightcars, photos):
    found = json.loads(lightcars("data", "inspect", photos, "--json").out)
    assert found["layout"] == "class folders"
    assert [split["num_images"] for split in found["splits"]] == [3, 1]
    assert found["splits"][0]["num_boxes"] == 3
    assert found["absent_classes"] == ["A class without an image"]
    assert found["width"] == [20, 20, 20]
    assert len(found["rgb"]["mean"]) == 3


def test_the_tables_fit_eighty_columns(lightcars, photos, terminal):
    terminal(80)
    table = lightcars("data", "inspect", photos).out.partition("\n\n")[2].partition("classes without")[0]
    assert all(len(line) <= 80 for line in table.splitlines())


def test_inspect_of_nothing(lightcars, tmp_path):
    assert "it contains nothing" in lightcars("data", "inspect", tmp_path).error
    assert "there is no folder" in lightcars("data", "inspect", tmp_path / "nowhere").error


# prepare


def test_prepare_from_an_archive(lightcars, photos, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", photos)
    shown = lightcars("data", "prepare", archive, tmp_path / "new")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == (f"{tmp_path}/new: train 3, val 1 images of 2 classes, 4 boxes, from class folders\n")
    assert find_data(tmp_path / "new").split("train")[0].box == (1, 1, 10, 10)


def test_prepare_as_json_and_warnings(lightcars, photos, tmp_path):
    (photos / "classes.txt").unlink()
    shown = lightcars("data", "prepare", photos, tmp_path / "new", "--json")
    made = json.loads(shown.out)
    assert made["num_images"] == {"train": 3, "val": 1}
    assert made["root"] == str(tmp_path / "new")
    assert made["mismatches"][0].startswith("train and val have 4 images")
    shown = lightcars("data", "prepare", photos, tmp_path / "newer")
    assert "warning: there is no test split; Stanford Cars has 8,041 test images" in shown.err


def test_prepare_into_something_that_is_there(lightcars, photos):
    assert f"{photos} is where the input" in lightcars("data", "prepare", photos, photos).error


def test_prepare_a_broken_archive(lightcars, tmp_path):
    (tmp_path / "cars.tgz").write_bytes(b"\x1f\x8bnonsense")
    shown = lightcars("data", "prepare", tmp_path / "cars.tgz", tmp_path / "new")
    assert f"{tmp_path}/cars.tgz is corrupt or truncated" in shown.error
    assert [path.name for path in tmp_path.iterdir()] == ["cars.tgz"]


def test_prepare_stopped_by_the_user(lightcars, photos, tmp_path, monkeypatch):
    from lightcars.data import preparation

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "_link", stop)
    shown = lightcars("data", "prepare", photos, tmp_path / "new")
    assert (shown.code, shown.out) == (130, "")
    assert shown.err.strip() == f"stopped; {tmp_path}/new was not written"
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_nothing_is_downloaded_unless_asked_for_by_name(lightcars, tmp_path):
    assert "there is no owner/cars." in lightcars("data", "prepare", "owner/cars", tmp_path / "new").error


# stats


def test_stats(lightcars, photos):
    shown = lightcars("data", "stats", photos)
    assert shown.out == ("train: 3 images\nmean 0.1961, 0.3922, 0.7843\nstd  0.1601, 0.0000, 0.0000\n")


def test_stats_of_a_split_in_gray(lightcars, photos):
    found = json.loads(lightcars("data", "stats", photos, "--split", "val", "--gray", "--json").out)
    assert (found["split"], found["gray"], found["num_images"]) == ("val", True, 1)
    assert len(found["mean"]) == len(found["std"]) == 1


def test_stats_of_a_region(lightcars, photos):
    found = json.loads(lightcars("data", "stats", photos, "--region", "masked", "--json").out)
    assert found["mean"][1] == pytest.approx((100 / 255 + 1) / 2, abs=1e-4)


def test_stats_name_what_is_left_out(lightcars, photos):
    (photos / "train" / NAME / "0.png").write_bytes(b"")
    shown = lightcars("data", "stats", photos)
    assert f"warning: skipped: {photos}/train/{NAME}/0.png is empty" in shown.err
    assert "train: 2 images" in shown.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--split", "test"), "has no split 'test'; it has train, val."),
        (("--region", "crop"), "'crop'"),
        (("--region", "box"), "3 of 3 images have no box"),
    ],
)
def test_stats_of_what_is_not_there(lightcars, photos, options, words):
    (photos / "annotations.csv").unlink()
    assert words in lightcars("data", "stats", photos, *options).error


def test_help_and_reading_load_no_torch(photos):
    program = (
        "import sys; from lightcars.cli.main import app\n"
        "heavy = ('torch', 'numpy', 'PIL', 'scipy', 'pyarrow', 'huggingface_hub')\n"
        "assert not [name for name in heavy if name in sys.modules]\n"
        "from lightcars.data.inspection import inspect_data\n"
        "inspect_data(sys.argv[1])\n"
        "assert not [name for name in ('torch', 'scipy', 'pyarrow') if name in sys.modules]\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, photos],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
