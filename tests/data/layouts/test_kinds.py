"""Every layout, on a made copy: found by looking, and label and box stay with their image."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from lightcars.data.layouts import LAYOUTS, DatasetRecords, Sample, find_data, with_validation
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.errors import DataError
from tests.data.made_copies import (
    DEVKIT,
    RAM,
    READABLE,
    RECORDS,
    THESIS_HEAD,
    TRAIN,
    class_folders,
    combined,
    devkit_rows,
    expected,
    found,
    kaggle_folders,
    original,
    parquet,
    put,
    thesis,
    write_mat,
    write_rows,
)


def fails(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        find_data(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit_row(path: Path, number: int, change) -> None:
    """Changes one row of a CSV file, counted from 1 with the head."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    rows[number - 1] = change(rows[number - 1])
    write_rows(path, rows)


@pytest.mark.parametrize("kind", READABLE)
def test_every_layout_is_found_and_nothing_drifts(kind, tmp_path):
    make, name, has_boxes = READABLE[kind]
    data = find_data(make(tmp_path))
    assert data.layout == name
    assert name in LAYOUTS
    assert data.classes is CLASS_NAMES
    assert list(data.splits) == ["train", "test"]
    assert found(data) == expected(boxes=has_boxes)
    assert data.notes == ()


@pytest.mark.parametrize("kind", READABLE)
def test_a_missing_image_shifts_no_label_and_no_box(kind, tmp_path):
    make, _, has_boxes = READABLE[kind]
    data = find_data(make(tmp_path))
    gone = data.split("train")[1].path
    number = int(gone.stem)
    gone.unlink()
    if not has_boxes:
        assert found(find_data(tmp_path)) == {row for row in expected(boxes=False) if row[0] != number}
        return
    text = fails(tmp_path)
    assert gone.name in text
    assert "may be incomplete" in text


@pytest.mark.parametrize("kind", READABLE)
def test_folders_around_it_are_looked_through(kind, tmp_path):
    READABLE[kind][0](tmp_path / "archive" / "stanford_cars")
    (tmp_path / "__MACOSX").mkdir()
    data = find_data(tmp_path)
    assert data.root == tmp_path / "archive" / "stanford_cars"
    assert len(found(data)) == len(RECORDS)


def test_two_folders_are_not_guessed_among(tmp_path):
    class_folders(tmp_path / "one")
    class_folders(tmp_path / "two")
    assert "it contains one, two." in fails(tmp_path)


def test_the_counts_are_checked(tmp_path):
    assert find_data(class_folders(tmp_path)).mismatches == (
        "train has 9 images, Stanford Cars has 8,144 train images",
        "test has 3 images, Stanford Cars has 8,041 test images",
        "3 of the 196 classes have images",
    )


def test_the_official_counts_are_no_mismatch():
    numbers = {"train": 8000, "val": 144, "test": 8041}
    splits = {split: tuple(Sample(Path(f"{i}"), i % 196) for i in range(n)) for split, n in numbers.items()}
    data = DatasetRecords(root=Path(), layout="class folders", classes=CLASS_NAMES, splits=splits)
    assert data.mismatches == ()
    assert replace(data, splits={**splits, "val": ()}).mismatches == (
        "train and val have 8,000 images, Stanford Cars has 8,144 train images",
    )


def test_classes_of_your_own_have_no_official_counts(tmp_path):
    put(tmp_path / "train" / "bus" / "1.jpg", b"")
    (tmp_path / "classes.txt").write_text("bus\n")
    assert find_data(tmp_path).mismatches == ()


# The original


def test_images_without_labels_are_noted(tmp_path):
    original(tmp_path)
    (tmp_path / "cars_test_annos_withlabels.mat").unlink()
    data = find_data(tmp_path)
    assert list(data.splits) == ["train"]
    assert "not used (3 images without labels): cars_test_annos_withlabels.mat" in data.notes[0]


def test_images_without_annotation_are_noted(tmp_path):
    put(original(tmp_path) / "cars_train" / "99999.jpg", b"")
    assert "images without annotation, not used (1, first: 99999.jpg)" in find_data(tmp_path).notes[0]


def test_cars_annos_does_not_belong_to_cars_train(tmp_path):
    combined(tmp_path)
    (tmp_path / "car_ims").rename(tmp_path / "cars_train")
    text = fails(tmp_path)
    assert (
        "cars_train_annos.mat is needed (cars_annos.mat is for car_ims/, which numbers the images"
        " differently)" in text
    )


@pytest.mark.parametrize("box", [(9, 1, 3, 4), (1, 5, 3, 4)])
def test_an_empty_box_names_its_annotation(tmp_path, box):
    original(tmp_path)
    rows = devkit_rows(TRAIN)
    rows[4] = (*box, *rows[4][4:])
    write_mat(tmp_path / "devkit" / "cars_train_annos.mat", DEVKIT, rows)
    assert f"cars_train_annos.mat, annotation 5 ({rows[4][-1]}): the box" in fails(tmp_path)


def test_an_image_that_is_annotated_twice(tmp_path):
    original(tmp_path)
    rows = devkit_rows(TRAIN)
    write_mat(tmp_path / "devkit" / "cars_train_annos.mat", DEVKIT, [*rows, rows[0]])
    assert f"list {rows[0][-1]} twice" in fails(tmp_path)


def test_the_real_test_annotations(shared, tmp_path):
    pytest.importorskip("scipy.io")
    (tmp_path / "devkit").symlink_to(shared / "devkit")
    for folder, number in (("cars_train", 8144), ("cars_test", 8041)):
        (tmp_path / folder / folder).mkdir(parents=True)
        for i in range(1, number + 1):
            (tmp_path / folder / folder / f"{i:05d}.jpg").touch()
    data = find_data(tmp_path)
    assert data.num_images == {"train": 8144, "test": 8041}
    assert data.mismatches == ()
    assert data.notes == ()
    first = data.split("test")[0]
    assert (first.path.name, first.label, first.box) == ("00001.jpg", 180, (30, 52, 246, 147))


# car_ims


def test_car_ims_without_annotations(tmp_path):
    combined(tmp_path)
    (tmp_path / "cars_annos.mat").unlink()
    assert "For car_ims/ its cars_annos.mat is needed." in fails(tmp_path)


def test_car_ims_with_the_annotations_of_another_layout(tmp_path):
    combined(tmp_path)
    write_mat(tmp_path / "cars_annos.mat", DEVKIT, devkit_rows(TRAIN))
    assert "cars_annos.mat lacks the fields of the devkit" in fails(tmp_path)


def test_a_broken_cars_annos(tmp_path):
    combined(tmp_path)
    path = tmp_path / "cars_annos.mat"
    path.write_bytes(path.read_bytes()[:300])
    assert f"{path} cannot be read as a file of the devkit" in fails(tmp_path)


# Class folders with anno_*.csv


def test_a_row_that_contradicts_the_folder(tmp_path):
    kaggle_folders(tmp_path)
    edit_row(tmp_path / "anno_train.csv", 3, lambda row: [*row[:5], "18"])
    text = fails(tmp_path)
    assert "anno_train.csv, row 3 says" in text
    assert f"is a {CLASS_NAMES[17]}, its folder says" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row[:5], "row 2 has 5 values"),
        (lambda row: [row[0], "left", *row[2:]], "row 2: x1 is 'left', not a whole number"),
        (lambda row: [*row[:3], "0.5", *row[4:]], "row 2: x2 is '0.5', not a whole number"),
        (lambda row: [*row[:3], "0", *row[4:]], "is empty"),
        (lambda row: [*row[:5], "197"], "row 2: class 197 is not one of 1 to 196"),
        (lambda row: ["77777.jpg", *row[1:]], "77777.jpg, which does not exist"),
        (lambda row: ["nan", "nan", *row[2:]], "x1 is 'nan'"),
    ],
)
def test_broken_rows_are_named(tmp_path, change, words):
    kaggle_folders(tmp_path)
    edit_row(tmp_path / "anno_train.csv", 2, change)
    text = fails(tmp_path)
    assert f"{tmp_path}/anno_train.csv, row 2" in text
    assert words in text


def test_an_image_named_twice_in_a_table(tmp_path):
    kaggle_folders(tmp_path)
    table = tmp_path / "anno_test.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[0]]))
    assert "anno_test.csv, row 4 lists" in fails(tmp_path)


def test_images_that_a_table_leaves_out_have_no_box(tmp_path):
    kaggle_folders(tmp_path)
    table = tmp_path / "anno_train.csv"
    table.write_text("\n".join(table.read_text().splitlines()[1:]))
    data = find_data(tmp_path)
    assert sum(sample.box is None for sample in data.split("train")) == 1
    assert "1 images of train have no box" in data.notes[0]


def test_the_same_file_name_in_two_classes(tmp_path):
    for label in (0, 1):
        put(tmp_path / "train" / CLASS_NAMES[label] / "a.jpg", b"")
    write_rows(tmp_path / "anno_train.csv", [("a.jpg", 1, 1, 5, 5, 2), ("a.jpg", 2, 2, 9, 9, 1)])
    boxes = {sample.label: sample.box for sample in find_data(tmp_path).split("train")}
    assert boxes == {0: (2, 2, 9, 9), 1: (1, 1, 5, 5)}


def test_names_in_another_order_than_the_devkits(tmp_path):
    kaggle_folders(tmp_path)
    write_rows(tmp_path / "names.csv", ([name] for name in reversed(CLASS_NAMES)))
    assert "its folder says" in fails(tmp_path)


def test_a_table_that_is_no_text(tmp_path):
    (kaggle_folders(tmp_path) / "anno_train.csv").write_bytes(b"\xff\xfe\x00")
    assert "anno_train.csv is not comma-separated UTF-8 text" in fails(tmp_path)


def test_half_a_class_name_is_no_class(tmp_path):
    put(tmp_path / "train" / "Ram C" / "Something Else" / "1.jpg", b"")
    put(tmp_path / "train" / "Acura RL Sedan 2012" / "1.jpg", b"")
    assert "'Ram C' is not one of the 196" in fails(tmp_path)


def test_an_own_list_of_classes_comes_first(tmp_path):
    class_folders(tmp_path)
    names = [CLASS_NAMES[label] for label in (RAM, 0, 195)]
    (tmp_path / "classes.txt").write_text("\n".join(names))
    assert find_data(tmp_path).classes == tuple(names)


# The thesis's


def test_other_names_of_columns(tmp_path):
    thesis(tmp_path)
    head = ["Filename", "class", "xmin", "ymin", "xmax", "ymax", "x"]
    for split in ("train", "test"):
        edit_row(tmp_path / f"{split}_labels.csv", 1, lambda _: head)
    assert found(find_data(tmp_path)) == expected()


def test_labels_from_zero_and_names_alone(tmp_path):
    thesis(tmp_path)
    records = {f"{record.number:06d}.jpg": record for record in RECORDS}
    for split, head in (("train", "label"), ("test", "class_name")):
        path = tmp_path / f"{split}_labels.csv"
        with path.open() as file:
            files = [row["image_fname"] for row in csv.DictReader(file)]
        values = {"label": lambda r: r.label, "class_name": lambda r: r.name.lower()}
        write_rows(path, [("image", head), *((file, values[head](records[file])) for file in files)])
    assert found(find_data(tmp_path)) == expected(boxes=False)


def test_a_number_that_contradicts_the_name(tmp_path):
    thesis(tmp_path)
    edit_row(tmp_path / "train_labels.csv", 4, lambda row: [row[0], "3", *row[2:]])
    text = fails(tmp_path)
    assert f"{tmp_path}/train_labels.csv, row 4 contradicts itself: class is Acura TL Sedan 2012" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: [row[0], "0", *row[2:]], "class 0 is not one of 1 to 196"),
        (lambda row: [row[0], "", *row[2:6], ""], "has no class"),
        (lambda row: [*row[:6], "Trabant"], "'Trabant' is not one of the 196"),
        (lambda row: row[:4], "has 4 values, but the header has 7"),
        (lambda row: [*row[:2], "", *row[3:]], "x1 is ''"),
        (lambda row: ["1.jpg", *row[1:]], "lacks 1 of 9 annotated images (first: 1.jpg)"),
    ],
)
def test_broken_rows_of_the_thesis_table(tmp_path, change, words):
    thesis(tmp_path)
    edit_row(tmp_path / "train_labels.csv", 3, change)
    text = fails(tmp_path)
    assert words in text
    assert "row 3" in text or "lacks" in text


def test_a_table_without_the_column_of_files(tmp_path):
    thesis(tmp_path)
    edit_row(tmp_path / "train_labels.csv", 1, lambda row: ["picture", *row[1:]])
    text = fails(tmp_path)
    assert "train_labels.csv has no column image_fname or filename" in text
    assert "it has picture, class" in text


@pytest.mark.parametrize("content", ["", ",".join(THESIS_HEAD) + "\n"])
def test_an_empty_table(tmp_path, content):
    (thesis(tmp_path) / "train_labels.csv").write_text(content)
    assert "train_labels.csv" in fails(tmp_path)


def test_a_split_without_its_table_is_noted(tmp_path):
    (thesis(tmp_path) / "test_labels.csv").unlink()
    data = find_data(tmp_path)
    assert list(data.splits) == ["train"]
    assert data.notes == (f"{tmp_path}/test is not used: test_labels.csv is missing",)


# What has to be prepared


def test_parquet_files_say_what_to_do(tmp_path):
    text = fails(parquet(tmp_path))
    assert text == (
        f"{tmp_path} contains parquet files; convert them to class folders: lightcars data prepare {tmp_path}"
        " DST"
    )


def test_an_archive_says_what_to_do(tmp_path):
    put(tmp_path / "cars.zip", b"")
    assert f"lightcars data prepare {tmp_path}/cars.zip DST" in fails(tmp_path / "cars.zip")
    assert f"lightcars data prepare {tmp_path} DST" in fails(tmp_path)


# Custom classes, without a list


@pytest.mark.parametrize("split", ["train", "Training_Set"])
def test_custom_class_folders_are_their_own_classes(tmp_path, split):
    for name in ("van", "Bus", "truck 2"):
        put(tmp_path / split / name / "1.jpg", b"")
    data = find_data(tmp_path)
    assert data.classes == ("Bus", "truck 2", "van")
    assert [sample.label for sample in data.split("train")] == [0, 1, 2]


def test_class_folders_alone_are_the_training_split(tmp_path):
    for name in ("van", "bus"):
        for number in range(10):
            put(tmp_path / name / f"{number}.jpg", b"")
    put(tmp_path / "stray.jpg", b"")
    data = find_data(tmp_path)
    assert (data.layout, data.classes, data.num_images) == (
        "class folders without splits",
        ("bus", "van"),
        {"train": 20},
    )
    assert any("stray.jpg" in note for note in data.notes)
    split = with_validation(data, seed=0)
    assert split.num_images == {"train": 18, "val": 2}
    assert split == with_validation(data, seed=0)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/van"], "van is the only class folder in .*train; at least two"),
        (["train/van", "train/Van"], "differ only in case: Van, van"),
        (["train/van", "train/bus", "val/car"], "train has no images of some classes in val .1, first: car"),
    ],
)
def test_custom_class_folders_that_cannot_be_used(tmp_path, names, message):
    for name in names:
        put(tmp_path / name / "1.jpg", b"")
    with pytest.raises(DataError, match=message):
        find_data(tmp_path)


def test_custom_class_folders_without_images(tmp_path):
    put(tmp_path / "train" / "van" / "1.jpg", b"")
    (tmp_path / "train" / "bus").mkdir()
    with pytest.raises(DataError, match="bus contains no images"):
        find_data(tmp_path)
