"""Folders that are nearly class folders: one line names the folder and what to do."""

from pathlib import Path

import pytest

from lightcars.data.layouts import find_data, with_validation
from lightcars.errors import DataError


def put(root: Path, *paths: str) -> Path:
    """Makes empty folders of paths that end in "/" and empty image files of the others."""
    for path in paths:
        target = root / path
        (target if path.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            target.touch()
    return root


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        (("1.png", "2.png"), "{root} has images but no class folders; move the images of each class"),
        (("train/1.png", "val/1.png"), "{root}/train has images but no class folders"),
        (("a/1.png", "a/2.png"), "{root}/a is the only class folder in {root}; at least two are needed."),
        (("all/mine/a/1.png",), "{root}/all/mine/a is the only class folder in {root}/all/mine;"),
        (
            ("pets/cat/1.png", "pets/dog/1.png", "cars/suv/1.png"),
            "{root}/cars contains folders of images (first: suv) instead of images; class folders cannot be"
            " nested: move them to {root}, or the images to {root}/cars.",
        ),
        (
            ("train/pets/cat/1.png", "train/pets/dog/1.png", "train/van/1.png"),
            "{root}/train/pets contains folders of images (first: cat) instead of images",
        ),
        (("train/a/1.png", "train/b/1.png", "val/"), "{root}/val is empty; fill it with class folders or"),
        (("train/", "val/a/1.png", "val/b/1.png"), "{root}/train is empty; fill it with class folders or"),
        (("train/a/1.png", "train/b/", "val/a/1.png"), "{root}/train/b contains no images"),
        (("a/1.png", "b/1.png", "c/"), "{root}/c contains no images"),
        (("a/1.png", "A/1.png"), "class folders differ only in case: A, a; rename or merge them."),
        (("train/a/1.png", "train/b/1.png", "val/B/1.png"), "class folders differ only in case: B, b;"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, paths, text):
    with pytest.raises(DataError) as caught:
        find_data(put(tmp_path, *paths))
    assert text.format(root=tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_image_per_class_cannot_be_split(tmp_path):
    with pytest.raises(DataError, match="give each class at least two, or add val/"):
        with_validation(find_data(put(tmp_path, "a/1.png", "b/1.png")), seed=0)


def test_a_class_with_one_image_is_noted(tmp_path):
    found = with_validation(find_data(put(tmp_path, "a/1.png", "a/2.png", "b/1.png")), seed=0)
    assert found.num_images == {"train": 2, "val": 1}
    assert found.notes == ("1 class has too few images to be in the validation split (first: b)",)


@pytest.mark.parametrize("stray", ["1.png", "train/1.png", "train/a/more/1.png"])
def test_images_outside_of_class_folders_are_noted(tmp_path, stray):
    files = [f"train/{name}/{number}.jpg" for name in "ab" for number in range(3)]
    found = find_data(put(tmp_path, *files, stray))
    assert found.num_images == {"train": 6}
    assert found.notes == (f"1 image is not used: not in a class folder of a split (first: {stray})",)
