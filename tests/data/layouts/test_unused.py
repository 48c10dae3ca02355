"""Nothing is dropped silently: every usual image and split name is read, and what is not used is counted."""

import pytest
from PIL import Image

from lightcars.data.inspection import inspect_data
from lightcars.data.layouts import find_data
from lightcars.data.layouts.splits import split_of
from lightcars.errors import DataError

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".JPG": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PPM",
    ".pgm": "PPM",
    "": "PNG",
}


def put(path, kind="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 5), 90).save(path, format=kind)
    return path


@pytest.fixture
def root(tmp_path):
    (tmp_path / "classes.txt").write_text("Audi\nBMW\n")
    for name in ("train/Audi/0.png", "train/BMW/0.png"):
        put(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_usual_format_is_read(root, suffix):
    path = put(root / "train" / "BMW" / f"photo{suffix}", FORMATS[suffix])
    data = find_data(root)
    assert path in [sample.path for sample in data.split("train")]
    assert data.notes == ()
    assert inspect_data(root).broken == ()


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(
            ("Val", "val"),
            ("VALIDATION", "val"),
            ("valid", "val"),
            ("validation_set", "val"),
            ("val-set", "val"),
        ),
        *(
            ("dev", "val"),
            ("Test", "test"),
            ("testing", "test"),
            ("test_images", "test"),
            ("Test Set", "test"),
        ),
    ],
)
def test_the_usual_names_of_splits_in_any_case(root, name, split):
    put(root / name / "Audi" / "0.png")
    data = find_data(root)
    assert data.num_images == {"train": 2, split: 1}
    assert data.notes == ()


@pytest.mark.parametrize("name", ["Training", "TRAIN", "train_set"])
def test_training_images_too(root, name):
    (root / "train").rename(root / name)
    assert find_data(root).num_images == {"train": 2}


@pytest.mark.parametrize("name", ["Audi", "trains", "value", "latest", "set", "", "images"])
def test_other_names_are_not_splits(name):
    assert split_of(name) is None


def test_two_folders_for_one_split(root):
    put(root / "val" / "Audi" / "0.png")
    put(root / "Validation" / "Audi" / "0.png")
    with pytest.raises(DataError, match=r"more than one folder for val \(Validation and val\); remove one"):
        find_data(root)


@pytest.mark.parametrize(
    "name", ["train/Audi/more/1.png", "train/1.jpg", "extra/Audi/1.png", "1.tif", "holdout/2.gif"]
)
def test_images_elsewhere_are_counted_and_named(root, name):
    put(root / name)
    notes = find_data(root).notes
    assert notes == (f"1 image is not used: not in a class folder of a split (first: {name})",)
    assert inspect_data(root).notes == notes


def test_other_files_in_the_folders_of_splits_are_counted(root):
    for name in ("a.txt", "b.txt", "c.heic", "README"):
        (root / "train" / "Audi" / name).write_text("text")
    (note,) = find_data(root).notes
    assert note.startswith("4 files are not used: not an image (.heic, .txt, no suffix) (first: train/Audi/")


def test_what_systems_leave_and_runs_write_is_not_counted(root):
    for name in ("train/Audi/Thumbs.db", "train/.DS_Store", "__MACOSX/train/Audi/._0.png", "README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("text")
    put(root / "runs" / "first" / "curves.png")
    (root / "runs" / "first" / "run.json").write_text("{}")
    assert find_data(root).notes == ()


def test_links_in_a_circle_end(root):
    for name in ("one", "two"):
        (root / "train" / "Audi" / name).symlink_to(root)
    assert find_data(root).notes == ()
