"""Finding images: both layouts, labels in the devkit's order, the cut split, every bad folder named."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lightcars.data.layouts import Sample, find_data, split_stratified, with_validation
from lightcars.data.stanford_cars import CLASS_NAMES, class_index
from lightcars.errors import DataError, MissingExtraError

FEW = ("smart fortwo Convertible 2012", "Audi 100 Sedan 1994", "Ram C/V Cargo Van Minivan 2012")


def fill(root: Path, *files: str, classes: str | None = None) -> Path:
    """Present but empty files below `root`: finding looks at names only."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    if classes is not None:
        (root / "classes.txt").write_text(classes, encoding="utf-8")
    return root


def folders(root: Path, split: str, number: int, names=FEW) -> Path:
    return fill(
        root, *(f"{split}/{name.replace('/', '-')}/{i:05d}.jpg" for name in names for i in range(number))
    )


def write_devkit(root: Path, rows, *, name="cars_train_annos.mat", fields=None, meta=None) -> None:
    """Annotation files in the structure of the devkit's own."""
    savemat = pytest.importorskip("scipy.io").savemat
    devkit = root / "devkit"
    devkit.mkdir(parents=True, exist_ok=True)
    fields = fields or ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")
    annotations = np.array(rows, dtype=[(field, object) for field in fields]).reshape(1, -1)
    savemat(devkit / name, {"annotations": annotations})
    if meta is not None:
        savemat(devkit / "cars_meta.mat", {"class_names": np.array(meta, dtype=object).reshape(1, -1)})


def original(root: Path, rows, **settings) -> Path:
    """The original layout with one present, empty image for each annotated one."""
    write_devkit(root, rows, **settings)
    return fill(root, *(f"cars_train/{row[-1]}" for row in rows))


ROWS = [(39, 116, 569, 375, 14, "00001.jpg"), (1, 2, 3, 4, 196, "00002.jpg"), (5, 6, 7, 8, 1, "00003.jpg")]


def fails(root: Path) -> str:
    """The one line with which looking at `root` fails."""
    with pytest.raises(DataError) as caught:
        find_data(root)
    assert "\n" not in str(caught.value)
    assert str(root) in str(caught.value)
    return str(caught.value)


# Class folders


def test_class_folders_are_labeled_in_devkit_order_not_folder_order(tmp_path):
    folders(tmp_path, "train", 2)
    data = find_data(tmp_path)
    assert data.layout == "class folders"
    assert data.classes is CLASS_NAMES
    found = [(sample.path.parent.name, sample.label) for sample in data.split("train")]
    assert found == [
        (folder, CLASS_NAMES.index(name))
        for folder, name in (
            ("Audi 100 Sedan 1994", "Audi 100 Sedan 1994"),
            ("Ram C-V Cargo Van Minivan 2012", "Ram C/V Cargo Van Minivan 2012"),
            ("smart fortwo Convertible 2012", "smart fortwo Convertible 2012"),
        )
        for _ in range(2)
    ]
    labels = [label for _, label in found]
    assert labels[0] == 16
    assert labels[-1] == 195


@pytest.mark.parametrize(
    ("folder", "split"), [("val", "val"), ("valid", "val"), ("validation", "val"), ("test", "test")]
)
def test_names_of_the_other_split(tmp_path, folder, split):
    folders(folders(tmp_path, "train", 2), folder, 1)
    data = find_data(tmp_path)
    assert {name: len(samples) for name, samples in data.splits.items()} == {"train": 6, split: 3}
    assert data.validation_seed is None


def test_three_splits_stay_three(tmp_path):
    for split, number in (("train", 3), ("val", 2), ("test", 1)):
        folders(tmp_path, split, number)
    assert {k: len(v) for k, v in find_data(tmp_path).splits.items()} == {"train": 9, "val": 6, "test": 3}


def test_only_images_count(tmp_path):
    fill(folders(tmp_path, "train", 1), f"train/{FEW[0]}/notes.txt", f"train/{FEW[0]}/.hidden.jpg")
    fill(tmp_path, f"train/{FEW[0]}/UPPER.JPEG", f"train/{FEW[0]}/new.webp", "train/readme.md")
    names = {sample.path.name for sample in find_data(tmp_path).split("train")}
    assert names == {"00000.jpg", "UPPER.JPEG", "new.webp"}


def test_classes_of_your_own_keep_the_order_of_the_file(tmp_path):
    fill(tmp_path, "train/tram/1.png", "train/bus/1.png", classes="tram\n\n  bus  \n")
    data = find_data(tmp_path)
    assert data.classes == ("tram", "bus")
    assert {sample.path.parent.name: sample.label for sample in data.split("train")} == {"tram": 0, "bus": 1}


def test_a_byte_order_mark_is_no_part_of_a_class(tmp_path):
    fill(tmp_path, "train/tram/1.png", classes="\ufefftram\n")
    assert find_data(tmp_path).classes == ("tram",)


def test_classes_in_other_scripts(tmp_path):
    fill(tmp_path, "train/電車/1.png", "train/自動車/1.png", classes="電車\n自動車\n")
    assert {sample.label for sample in find_data(tmp_path).split("train")} == {0, 1}


def test_hidden_folders_are_no_classes(tmp_path):
    fill(folders(tmp_path, "train", 1), "train/.ipynb_checkpoints/x.jpg")
    assert len(find_data(tmp_path).split("train")) == 3


def test_an_unknown_split_says_which_there_are(tmp_path):
    data = find_data(folders(tmp_path, "train", 1))
    with pytest.raises(DataError, match=r"has no split 'val'; it has train\."):
        data.split("val")


# The original layout


def test_original_layout(tmp_path):
    data = find_data(original(tmp_path, ROWS))
    assert data.layout == "original"
    assert data.classes is CLASS_NAMES
    assert list(data.splits) == ["train"]
    assert data.split("train")[0] == Sample(tmp_path / "cars_train" / "00001.jpg", 13, (39, 116, 569, 375))
    assert [sample.label for sample in data.split("train")] == [13, 195, 0]


def test_a_single_annotation(tmp_path):
    assert len(find_data(original(tmp_path, ROWS[:1])).split("train")) == 1


def test_original_layout_with_names_of_its_own(tmp_path):
    rows = [(1, 1, 2, 2, 2, "a.jpg"), (1, 1, 2, 2, 1, "b.jpg")]
    data = find_data(original(tmp_path, rows, meta=["Bus", "Tram"]))
    assert data.classes == ("Bus", "Tram")
    assert [data.classes[sample.label] for sample in data.split("train")] == ["Tram", "Bus"]


def test_the_test_images_are_a_split_only_with_their_labels(tmp_path):
    original(tmp_path, ROWS)
    fill(tmp_path, "cars_test/00001.jpg")
    assert list(find_data(tmp_path).splits) == ["train"]
    write_devkit(tmp_path, [(1, 1, 2, 2, 181, "00001.jpg")], name="cars_test_annos_withlabels.mat")
    assert [sample.label for sample in find_data(tmp_path).split("test")] == [180]


def test_the_real_devkit(shared, tmp_path):
    pytest.importorskip("scipy.io")
    (tmp_path / "devkit").symlink_to(shared / "devkit")
    fill(tmp_path, *(f"cars_train/{number:05d}.jpg" for number in range(1, 8145)))
    data = find_data(tmp_path)
    samples = data.split("train")
    assert len(samples) == 8144
    assert data.classes is CLASS_NAMES
    assert samples[0] == Sample(tmp_path / "cars_train" / "00001.jpg", 13, (39, 116, 569, 375))
    assert (samples[-1].path.name, samples[-1].label) == ("08144.jpg", 16)
    per_class = Counter(sample.label for sample in samples)
    assert len(per_class) == 196
    assert (min(per_class.values()), max(per_class.values())) == (24, 68)


def test_the_real_devkit_half_copied(shared, tmp_path):
    pytest.importorskip("scipy.io")
    (tmp_path / "devkit").symlink_to(shared / "devkit")
    fill(tmp_path, *(f"cars_train/{number:05d}.jpg" for number in range(1, 5001)))
    assert "lacks 3144 of 8144 annotated images (first: 05001.jpg)" in fails(tmp_path)


def test_without_scipy_the_extra_is_named(tmp_path, monkeypatch):
    original(tmp_path, ROWS)
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lightcars\[cars\]'"):
        find_data(tmp_path)


# The validation split that is cut


def two_classes(root: Path, numbers=(50, 17)) -> tuple[Sample, ...]:
    return tuple(
        Sample(root / f"class{label}" / f"{i:04d}.jpg", label)
        for label, number in enumerate(numbers)
        for i in range(number)
    )


def names(samples) -> list[str]:
    return [f"{sample.path.parent.name}/{sample.path.name}" for sample in samples]


def test_the_cut_is_stratified_and_disjoint():
    samples = two_classes(Path("a"))
    train, val = split_stratified(samples, 0, 0.12)
    assert Counter(sample.label for sample in val) == {0: 6, 1: 2}
    assert set(train) | set(val) == set(samples)
    assert not set(train) & set(val)
    assert list(train) == [sample for sample in samples if sample in set(train)]


def test_the_cut_depends_on_the_seed():
    samples = two_classes(Path("a"))
    assert split_stratified(samples, 0, 0.12) == split_stratified(samples, 0, 0.12)
    assert split_stratified(samples, 0, 0.12) != split_stratified(samples, 1, 0.12)


def test_the_cut_depends_neither_on_the_place_nor_on_the_order():
    here, there = two_classes(Path("a")), two_classes(Path("/somewhere/else"))
    assert names(split_stratified(here, 3, 0.12)[1]) == names(split_stratified(there, 3, 0.12)[1])
    assert set(split_stratified(here[::-1], 3, 0.12)[1]) == set(split_stratified(here, 3, 0.12)[1])


def test_classes_are_cut_independently():
    few, many = two_classes(Path("a"), (50, 17)), two_classes(Path("a"), (50, 40))
    first = [[n for n in names(split_stratified(s, 0, 0.12)[1]) if "class0" in n] for s in (few, many)]
    assert first[0] == first[1]


@pytest.mark.parametrize(("number", "expected"), [(1, 0), (2, 1), (4, 1), (25, 3)])
def test_every_class_of_two_or_more_gives_at_least_one(number, expected):
    train, val = split_stratified(two_classes(Path("a"), (number,)), 0, 0.12)
    assert len(val) == expected
    assert len(train) == number - expected > 0


def test_the_cut_is_the_same_in_another_process(tmp_path):
    folders(tmp_path, "train", 20)
    program = (
        "import sys; from lightcars.data.layouts import find_data, with_validation\n"
        "for s in with_validation(find_data(sys.argv[1]), 5).split('val'): print(s.path)\n"
        "assert 'torch' not in sys.modules"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        env={**os.environ, "PYTHONHASHSEED": "123"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")[:-1]
    assert printed == [str(s.path) for s in with_validation(find_data(tmp_path), 5).split("val")]


def test_with_validation_says_with_which_seed_it_cut(tmp_path):
    data = with_validation(find_data(folders(tmp_path, "train", 10)), 7)
    assert data.validation_seed == 7
    assert {name: len(samples) for name, samples in data.splits.items()} == {"train": 27, "val": 3}


def test_a_split_that_came_with_the_data_is_left_alone(tmp_path):
    data = find_data(folders(folders(tmp_path, "train", 4), "val", 1))
    assert with_validation(data, 7) is data


def test_the_test_split_is_never_cut_into(tmp_path):
    data = find_data(folders(folders(tmp_path, "train", 10), "test", 5))
    assert with_validation(data, 0).split("test") == data.split("test")
    assert all("/train/" in sample.path.as_posix() for sample in with_validation(data, 0).split("val"))


def test_too_few_images_to_cut_from(tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path} has too few images per class"):
        with_validation(find_data(folders(tmp_path, "train", 1)), 0)


# What can be wrong with a folder


def test_missing_folder(tmp_path):
    assert "there is no folder" in fails(tmp_path / "nowhere")


def test_a_file_in_place_of_a_folder(tmp_path):
    assert "is not a folder; convert an archive to one" in fails(fill(tmp_path, "cars.zip") / "cars.zip")


def test_empty_folder(tmp_path):
    assert "it contains nothing" in fails(tmp_path)


def test_a_folder_of_something_else_shows_what_it_holds(tmp_path):
    text = fails(fill(tmp_path, *(f"{letter}.txt" for letter in "abcdefgh")))
    assert "a.txt, b.txt, c.txt, d.txt, e.txt, f.txt, ..." in text
    assert "neither class folders" in text


def test_images_without_the_devkit(tmp_path):
    assert "neither class folders" in fails(fill(tmp_path, "cars_train/00001.jpg"))


def test_split_without_class_folders(tmp_path):
    text = fails(fill(tmp_path, "train/1.txt"))
    assert f"{tmp_path}/train contains no class folders" in text


def test_empty_class_folder(tmp_path):
    folders(tmp_path, "train", 1)
    (tmp_path / "train" / "Acura RL Sedan 2012").mkdir()
    assert f"{tmp_path}/train/Acura RL Sedan 2012 contains no images" in fails(tmp_path)


def test_a_folder_that_is_no_class_has_the_nearest_names(tmp_path):
    text = fails(fill(tmp_path, "train/Acura RL Sedan 2013/1.jpg"))
    assert f"{tmp_path}/train/Acura RL Sedan 2013" in text
    assert "not one of the 196 classes of Stanford Cars. Did you mean Acura RL Sedan 2012" in text
    assert f"{tmp_path}/classes.txt" in text


def test_train_lacks_classes_of_val(tmp_path):
    folders(tmp_path, "train", 1, FEW[:1])
    folders(tmp_path, "val", 1)
    text = fails(tmp_path)
    assert "train has no images of some classes in val (2, first: Audi 100 Sedan 1994)" in text


@pytest.mark.parametrize("second", ["valid", "validation"])
def test_two_folders_for_val(tmp_path, second):
    folders(folders(folders(tmp_path, "train", 1), "val", 1), second, 1)
    assert f"more than one folder for val (val and {second}); remove one" in fails(tmp_path)


@pytest.mark.parametrize("content", ["", "\n \n", "Bus\nBus\n", "Bus\nCitro\u00ebn\nCitroe\u0308n\n"])
def test_class_list_that_is_empty_or_says_a_class_twice(tmp_path, content):
    text = fails(fill(tmp_path, "train/Bus/1.jpg", classes=content))
    assert f"{tmp_path}/classes.txt must list each class once" in text


def test_class_list_that_is_not_utf8(tmp_path):
    fill(tmp_path, "train/x/1.jpg")
    (tmp_path / "classes.txt").write_bytes("Citroën\n".encode("latin-1"))
    assert f"{tmp_path}/classes.txt" in fails(tmp_path)


def test_missing_images_are_counted(tmp_path):
    original(tmp_path, ROWS)
    (tmp_path / "cars_train" / "00002.jpg").unlink()
    text = fails(tmp_path)
    assert f"{tmp_path}/cars_train lacks 1 of 3 annotated images (first: 00002.jpg)" in text


def test_missing_annotations(tmp_path):
    fill(tmp_path, "cars_train/1.jpg", "devkit/README.txt")
    assert f"{tmp_path}/devkit/cars_train_annos.mat is missing" in fails(tmp_path)


@pytest.mark.parametrize("label", [0, 197, -1])
def test_label_out_of_range(tmp_path, label):
    text = fails(original(tmp_path, [*ROWS, (1, 1, 2, 2, label, "00004.jpg")]))
    assert f"cars_train_annos.mat gives 00004.jpg class {label} of 196" in text


def test_annotations_without_labels(tmp_path):
    fields = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "fname")
    text = fails(original(tmp_path, [(1, 2, 3, 4, "00001.jpg")], fields=fields))
    assert "cars_train_annos.mat lacks the fields of the devkit" in text


@pytest.mark.parametrize(
    "content",
    [b"", b"MATLAB 5.0", b"<html>404 Not Found</html>" * 40, b"PK\x03\x04" + bytes(200)],
    ids=["empty", "cut short", "web page", "archive"],
)
def test_a_broken_mat_file(tmp_path, content):
    fill(tmp_path, "cars_train/1.jpg", "devkit/x")
    (tmp_path / "devkit" / "cars_train_annos.mat").write_bytes(content)
    assert f"{tmp_path}/devkit/cars_train_annos.mat cannot be read" in fails(tmp_path)


def test_a_mat_file_cut_in_the_middle(tmp_path):
    original(tmp_path, ROWS)
    path = tmp_path / "devkit" / "cars_train_annos.mat"
    path.write_bytes(path.read_bytes()[:500])
    assert f"{path} cannot be read" in fails(tmp_path)


def test_another_mat_file(tmp_path):
    write_devkit(tmp_path, ROWS, meta=["Bus"])
    fill(tmp_path, "cars_train/1.jpg")
    (tmp_path / "devkit" / "cars_meta.mat").replace(tmp_path / "devkit" / "cars_train_annos.mat")
    assert "cars_train_annos.mat has no variable annotations" in fails(tmp_path)


def test_every_folder_of_the_real_copy_is_a_class(shared):
    found = sorted(class_index(folder.name) for folder in (shared / "train").iterdir())
    assert found == list(range(196))
