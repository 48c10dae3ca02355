"""Class folders of whatever people have: whole or not there, and boxes stay with their images."""

import errno
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from lightcars.data import hub as hub_data
from lightcars.data import preparation
from lightcars.data.layouts import find_data, with_validation
from lightcars.data.layouts import parquet as parquet_layout
from lightcars.data.preparation import prepare
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.errors import DataError, DownloadError, MissingExtraError, RunError
from tests.data.made_copies import (
    READABLE,
    RECORDS,
    TRAIN,
    class_folders,
    combined,
    expected,
    found,
    kaggle_folders,
    original,
    parquet,
    put,
    thesis,
)


def refused(source, target: Path) -> str:
    """The one line with which it fails; the target is not there, nor anything else that is new."""
    before = sorted(target.parent.rglob("*"))
    with pytest.raises((DataError, RunError)) as caught:
        prepare(source, target)
    assert sorted(target.parent.rglob("*")) == before
    text = str(caught.value)
    assert "\n" not in text
    assert ".part" not in text
    return text


def pack(folder: Path, archive: Path) -> Path:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for path in files:
                packed.write(path, path.relative_to(folder))
    else:
        with tarfile.open(archive, "w:gz") as packed:
            for path in files:
                packed.add(path, path.relative_to(folder))
    return archive


@pytest.mark.parametrize("kind", READABLE)
def test_every_layout_becomes_class_folders_with_its_boxes(kind, tmp_path):
    make, name, has_boxes = READABLE[kind]
    made = prepare(make(tmp_path / "source"), tmp_path / "new", progress=True)
    data = find_data(tmp_path / "new")
    assert data.layout == "class folders"
    assert data.classes is CLASS_NAMES
    assert found(data) == expected(boxes=has_boxes)
    assert (made.layout, made.root, made.num_classes) == (name, tmp_path / "new", 196)
    assert made.num_images == {"train": 9, "test": 3}
    assert made.num_boxes == (12 if has_boxes else 0)
    assert len(made.mismatches) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "source"]


def test_what_was_prepared_can_be_prepared_again(tmp_path):
    prepare(thesis(tmp_path / "source"), tmp_path / "once")
    prepare(tmp_path / "once", tmp_path / "twice")
    assert found(find_data(tmp_path / "twice")) == expected()
    once, twice = ((tmp_path / name / "annotations.csv").read_text() for name in ("once", "twice"))
    assert sorted(once.splitlines()) == sorted(twice.splitlines())


def test_the_same_validation_split_is_cut_before_and_after(tmp_path):
    before = with_validation(find_data(original(tmp_path / "source")), 3)
    prepare(tmp_path / "source", tmp_path / "new")
    after = with_validation(find_data(tmp_path / "new"), 3)
    names = [{sample.path.name for sample in data.split("val")} for data in (before, after)]
    assert names[0] == names[1]


def test_files_are_the_same_files_or_copies(tmp_path, monkeypatch):
    source = class_folders(tmp_path / "source")
    prepare(source, tmp_path / "linked")
    one = next((tmp_path / "linked").rglob("*.jpg"))
    assert one.stat().st_nlink == 2

    def no_links(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    prepare(source, tmp_path / "copied")
    copy = tmp_path / "copied" / one.relative_to(tmp_path / "linked")
    assert copy.stat().st_nlink == 1
    assert copy.read_bytes() == one.read_bytes()


def test_links_to_images_are_followed(tmp_path):
    source = class_folders(tmp_path / "source")
    for path in list(source.rglob("*.jpg")):
        path.rename(tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    prepare(source, tmp_path / "new")
    assert not any(path.is_symlink() for path in (tmp_path / "new").rglob("*"))
    assert found(find_data(tmp_path / "new")) == expected(boxes=False)


def test_classes_of_your_own_are_kept_in_order(tmp_path):
    for name in ("tram", "C/V"):
        put(tmp_path / "source" / "train" / name.replace("/", "_") / "1.png", RECORDS[0].image)
    (tmp_path / "source" / "classes.txt").write_text("tram\nC/V\n")
    made = prepare(tmp_path / "source", tmp_path / "new")
    data = find_data(tmp_path / "new")
    assert data.classes == ("tram", "C/V")
    assert [sample.label for sample in data.split("train")] == [1, 0]
    assert made.mismatches == ()


# Archives


@pytest.mark.parametrize("suffix", [".zip", ".tgz", ".tar.gz"])
@pytest.mark.parametrize("make", [original, combined, kaggle_folders, thesis])
def test_archives_are_read_directly(make, suffix, tmp_path):
    archive = pack(make(tmp_path / "packed"), tmp_path / f"cars{suffix}")
    prepare(archive, tmp_path / "new", progress=True)
    assert found(find_data(tmp_path / "new")) == expected()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["packed", archive.name, "new"])


def test_a_folder_with_the_official_archives(tmp_path):
    """What the original site gave: two archives of images, one of the devkit, and a loose file."""
    original(tmp_path / "all")
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for name in ("cars_train", "cars_test", "devkit"):
        with tarfile.open(downloads / f"{name}.tgz", "w:gz") as packed:
            packed.add(tmp_path / "all" / name, name)
    (tmp_path / "all" / "cars_test_annos_withlabels.mat").rename(
        downloads / "cars_test_annos_withlabels (1).mat"
    )
    prepare(downloads, tmp_path / "new")
    assert found(find_data(tmp_path / "new")) == expected()


def test_a_folder_with_the_archives_of_the_thesis(tmp_path):
    combined(tmp_path / "all")
    with tarfile.open(tmp_path / "all" / "car_ims.tgz", "w:gz") as packed:
        packed.add(tmp_path / "all" / "car_ims", "car_ims")
    for path in (tmp_path / "all" / "car_ims").iterdir():
        path.unlink()
    (tmp_path / "all" / "car_ims").rmdir()
    prepare(tmp_path / "all", tmp_path / "new")
    assert found(find_data(tmp_path / "new")) == expected()


def test_archives_beside_unpacked_folders_are_noted(tmp_path):
    source = class_folders(tmp_path / "source")
    put(source / "cars_test.tgz", b"")
    assert prepare(source, tmp_path / "new").notes == (f"archives in {source} are not used: cars_test.tgz",)


def test_an_archive_of_something_else(tmp_path):
    put(tmp_path / "holiday" / "notes.txt", b"words")
    archive = pack(tmp_path / "holiday", tmp_path / "holiday.zip")
    text = refused(archive, tmp_path / "new")
    assert f"{archive} has neither class folders" in text
    assert "it contains notes.txt" in text


def test_a_cut_off_archive_leaves_nothing(tmp_path):
    archive = pack(class_folders(tmp_path / "packed"), tmp_path / "cars.tgz")
    archive.write_bytes(archive.read_bytes()[:-200])
    assert f"{archive} is corrupt or truncated" in refused(archive, tmp_path / "new")


def test_an_incomplete_archive_names_the_archive(tmp_path):
    thesis(tmp_path / "packed")
    (tmp_path / "packed" / "train" / f"{TRAIN[0].number:06d}.jpg").unlink()
    archive = pack(tmp_path / "packed", tmp_path / "cars.zip")
    text = refused(archive, tmp_path / "new")
    assert f"{archive}/train lacks 1 of 9 annotated images (first: 000000.jpg)" in text


# Parquet


@pytest.mark.parametrize("folder", ["", "data", "default/train"])
def test_parquet_files_are_written_out_byte_for_byte(folder, tmp_path):
    prepare(parquet(tmp_path / "source", folder=folder), tmp_path / "new")
    data = find_data(tmp_path / "new")
    assert found(data) == expected(boxes=False)
    contents = {path.read_bytes() for path in (tmp_path / "new").rglob("*.png")}
    assert contents == {record.image for record in RECORDS}


def test_labels_in_another_order_are_matched_by_name(tmp_path):
    parquet(tmp_path / "source", names=sorted(CLASS_NAMES, key=str.casefold))
    made = prepare(tmp_path / "source", tmp_path / "new")
    assert found(find_data(tmp_path / "new")) == expected(boxes=False)
    assert made.notes == ()


def test_labels_without_names_are_said_to_be_assumed(tmp_path):
    made = prepare(parquet(tmp_path / "source", names=None), tmp_path / "new")
    assert found(find_data(tmp_path / "new")) == expected(boxes=False)
    assert "the order of the devkit is assumed" in made.notes[0]


def test_other_classes_are_listed(tmp_path):
    names = [record.name for record in TRAIN[::3]]
    prepare(parquet(tmp_path / "source", names=names), tmp_path / "new")
    assert find_data(tmp_path / "new").classes == tuple(names)


def test_splits_by_folder_and_other_splits(tmp_path):
    parquet(tmp_path / "source", shards=1, folder="default/contrast")
    for split in ("train", "test"):
        (tmp_path / "source" / "default" / split).mkdir()
        path = tmp_path / "source" / "default" / "contrast" / f"{split}-00000-of-00001.parquet"
        path.rename(tmp_path / "source" / "default" / split / "0000.parquet")
    put(tmp_path / "source" / "default" / "contrast" / "0000.parquet", b"is not even looked at")
    made = prepare(tmp_path / "source", tmp_path / "new")
    assert found(find_data(tmp_path / "new")) == expected(boxes=False)
    assert made.notes == ("parquet files of contrast are not used",)


def test_a_missing_shard_is_named(tmp_path):
    parquet(tmp_path / "source")
    (tmp_path / "source" / "data" / "train-00001-of-00002.parquet").unlink()
    assert "data/train-00001-of-00002.parquet is missing" in refused(tmp_path / "source", tmp_path / "new")


def test_only_other_splits(tmp_path):
    pytest.importorskip("pyarrow")
    put(tmp_path / "source" / "contrast-00000-of-00001.parquet", b"")
    assert "has no parquet files of train, val or test, only contrast" in refused(
        tmp_path / "source", tmp_path / "new"
    )


@pytest.mark.parametrize("content", [b"", b"PAR1" + bytes(50), "half"])
def test_a_broken_parquet_file_is_named(content, tmp_path):
    parquet(tmp_path / "source", shards=1)
    path = tmp_path / "source" / "data" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content == "half" else content)
    text = refused(tmp_path / "source", tmp_path / "new")
    assert f"{path} cannot be read as parquet" in text


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"image": {"bytes": b"", "path": None}, "label": 3}, "row 2 has no image"),
        ({"image": None, "label": 3}, "row 2 has no image"),
        (
            {"image": {"bytes": b"\x89PNG", "path": None}, "label": 196},
            "row 2: label 196 is not one of 0 to 195",
        ),
        ({"image": {"bytes": b"\x89PNG", "path": None}, "label": -1}, "row 2: label -1 is not one of"),
        ({"image": {"bytes": b"\x89PNG", "path": None}, "label": None}, "row 2: label None is neither"),
    ],
)
def test_a_broken_row_is_named(row, words, tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    good = {"image": {"bytes": RECORDS[0].image, "path": None}, "label": 1}
    table = pa.Table.from_pylist([good, row], pa.schema([("image", image), ("label", pa.int64())]))
    (tmp_path / "source").mkdir()
    pq.write_table(table, tmp_path / "source" / "train.parquet")
    text = refused(tmp_path / "source", tmp_path / "new")
    assert f"{tmp_path}/source/train.parquet, {words}" in text


def test_other_columns_are_named(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    (tmp_path / "source").mkdir()
    pq.write_table(pa.table({"img": [1], "fine_label": [2]}), tmp_path / "source" / "train.parquet")
    text = refused(tmp_path / "source", tmp_path / "new")
    assert "train.parquet has no columns image and label; it has img, fine_label." in text


def test_labels_that_are_names(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = [{"image": record.image, "label": record.name} for record in TRAIN]
    (tmp_path / "source").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "source" / "train.parquet")
    prepare(tmp_path / "source", tmp_path / "new")
    assert found(find_data(tmp_path / "new")) == {row for row in expected(boxes=False) if row[1] == "train"}


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    parquet(tmp_path / "source")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lightcars\[parquet\]'"):
        prepare(tmp_path / "source", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


# The Hub


def test_a_data_set_of_the_hub_is_asked_for_by_name(tmp_path, monkeypatch):
    import huggingface_hub

    asked = {}

    def snapshot_download(repository, **settings):
        asked.update(settings, repository=repository)
        return str(parquet(tmp_path / "cache"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    prepare("hf:owner/cars@v1", tmp_path / "new")
    assert found(find_data(tmp_path / "new")) == expected(boxes=False)
    assert (asked["repository"], asked["repo_type"], asked["revision"]) == ("owner/cars", "dataset", "v1")


def test_only_files_of_the_splits_are_fetched():
    from huggingface_hub.utils import filter_repo_objects

    files = [
        "README.md",
        "data/train-00000-of-00002.parquet",
        "data/contrast-00000-of-00001.parquet",
        "test-00000-of-00001.parquet",
        "default/train/0000.parquet",
        "default/pixelate/0000.parquet",
        "data/validation.parquet",
        "data/train.zip",
    ]
    wanted = list(filter_repo_objects(files, allow_patterns=hub_data._PATTERNS))
    assert wanted == [files[1], files[3], files[4], files[6]]


@pytest.mark.parametrize("name", ["hf:", "hf:cars", "hf:a/b/c", "hf:../cars", "hf:a/b@"])
def test_what_is_no_name_of_a_data_set(name, tmp_path):
    assert f"'{name}' is not hf:owner/name" in refused(name, tmp_path / "new")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("RepositoryNotFoundError", "there is no data set owner/cars on the Hub"),
        ("RevisionNotFoundError", "owner/cars has no revision 'v1'"),
        ("GatedRepoError", "asks for its terms"),
        ("LocalEntryNotFoundError", "is not in the cache and cannot be fetched: no way"),
        ("OSError", "cannot be fetched: no way"),
    ],
)
def test_the_hub_fails(error, words, tmp_path, monkeypatch):
    import builtins

    import huggingface_hub
    from huggingface_hub import errors

    kind = getattr(errors, error, None) or getattr(builtins, error)

    def snapshot_download(*_, **__):
        raised = kind.__new__(kind)
        raised.args = ("no way",)
        raise raised

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(DownloadError) as caught:
        prepare("hf:owner/cars@v1", tmp_path / "new")
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# Whole or not there


@pytest.mark.parametrize("taken", ["file", "folder"])
def test_a_target_that_is_there_is_left_alone(taken, tmp_path):
    source = class_folders(tmp_path / "source")
    put(tmp_path / "new" / "kept" if taken == "folder" else tmp_path / "new", b"kept")
    found = refused(source, tmp_path / "new")
    assert f"{tmp_path}/new already exists" in found or f"{tmp_path}/new is a file" in found


def test_an_empty_folder_and_missing_parents_are_fine(tmp_path):
    source = class_folders(tmp_path / "source")
    (tmp_path / "empty").mkdir()
    prepare(source, tmp_path / "empty")
    prepare(source, tmp_path / "a" / "b" / "new")
    assert len(found(find_data(tmp_path / "empty"))) == len(found(find_data(tmp_path / "a/b/new"))) == 12


@pytest.mark.parametrize("source", ["nowhere", "photo.jpg"])
def test_a_source_that_is_none(source, tmp_path):
    put(tmp_path / "photo.jpg", b"x")
    assert str(tmp_path / source) in refused(tmp_path / source, tmp_path / "new")


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    class_folders(tmp_path / "source")
    done = []

    def full(source, target):
        if len(done) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(target)
        Path(target).write_bytes(b"x")

    monkeypatch.setattr(preparation, "_link", full)
    text = refused(tmp_path / "source", tmp_path / "new")
    assert text == f"cannot write {tmp_path}/new: No space left on device."
    assert len(done) == 5


@pytest.mark.parametrize("moment", ["unpack", "_link", "_read_back"])
def test_an_interrupt_leaves_nothing(moment, tmp_path, monkeypatch):
    archive = pack(class_folders(tmp_path / "packed"), tmp_path / "cars.tgz")
    before = sorted(tmp_path.rglob("*"))

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, moment, stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(archive, tmp_path / "new")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_interrupt_while_parquet_is_written(tmp_path, monkeypatch):
    parquet(tmp_path / "source")
    rows = parquet_layout.encoded_images

    def interrupted(data, split):
        yield next(rows(data, split))
        raise KeyboardInterrupt

    monkeypatch.setattr(parquet_layout, "encoded_images", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "source", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_what_would_be_read_otherwise_is_not_made(tmp_path, monkeypatch):
    """The made folder is read back and compared: here its boxes got lost."""
    monkeypatch.setattr(preparation, "_write_tables", lambda *_: None)
    thesis(tmp_path / "source")
    assert "differs from the source when it is read back" in refused(tmp_path / "source", tmp_path / "new")


def test_a_folder_that_cannot_be_written_to(tmp_path):
    if os.geteuid() == 0:
        (tmp_path / "file").touch()
        target = tmp_path / "file" / "new"
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        target = tmp_path / "locked" / "new"
    with pytest.raises(DataError, match="cannot"):
        prepare(class_folders(tmp_path / "source"), target)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_name_that_is_not_utf8_is_written_in_utf8(tmp_path):
    folder = tmp_path / "source" / "train" / "Acura RL Sedan 2012"
    folder.mkdir(parents=True)
    name = os.fsdecode(b"caf\xe9.png")
    Image.new("L", (8, 8)).save(folder / name)
    prepare(tmp_path / "source", tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").rglob("*.png")] == ["caf-.png"]
