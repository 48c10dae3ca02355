"""Small copies of Stanford Cars in every layout in which people have it.

The color of each image tells which record it is of, so that a label or a box that drifted shows.
"""

import csv
import io
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightcars.data.layouts import DatasetRecords
from lightcars.data.stanford_cars import CLASS_NAMES

SIZE = (24, 16)
RAM = CLASS_NAMES.index("Ram C/V Cargo Van Minivan 2012")


@dataclass(frozen=True)
class Record:
    """What is known of one image, before it is written in some layout."""

    number: int
    split: str
    label: int
    box: tuple[int, int, int, int]

    @property
    def image(self) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", SIZE, (self.number, 255 - self.number, 7)).save(file, "PNG")
        return file.getvalue()

    @property
    def name(self) -> str:
        return CLASS_NAMES[self.label]


RECORDS = tuple(
    Record(number, split, label, (1 + number % 5, 2, 10 + number, 16))
    for number, (split, label) in enumerate(
        (split, label)
        for split, times in (("train", 3), ("test", 1))
        for label in (195, 0, RAM)
        for _ in range(times)
    )
)
TRAIN = tuple(record for record in RECORDS if record.split == "train")
TEST = tuple(record for record in RECORDS if record.split == "test")


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_rows(path: Path, rows: Iterable[Iterable[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def write_mat(path: Path, fields: tuple[str, ...], rows: list[tuple], **others: list[str]) -> None:
    """A .mat file with a structure array `annotations`, as MATLAB writes it."""
    savemat = pytest.importorskip("scipy.io").savemat
    path.parent.mkdir(parents=True, exist_ok=True)
    annotations = np.array(rows, dtype=[(field, object) for field in fields]).reshape(1, -1)
    lists = {key: np.array(names, dtype=object).reshape(1, -1) for key, names in others.items()}
    savemat(path, {"annotations": annotations, **lists})


DEVKIT = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")


def shuffled(records: Iterable[Record]) -> list[Record]:
    """In another order than the file names have."""
    mixed = list(records)
    random.Random(1).shuffle(mixed)
    return mixed


def devkit_rows(records: Iterable[Record]) -> list[tuple]:
    return [(*record.box, record.label + 1, f"{record.number:05d}.jpg") for record in shuffled(records)]


def original(
    root: Path,
    *,
    nested: bool = False,
    labels: str = "cars_test_annos_withlabels.mat",
    devkit: str = "devkit",
) -> Path:
    for folder, records in (("cars_train", TRAIN), ("cars_test", TEST)):
        for record in records:
            inner = f"{folder}/{folder}" if nested else folder
            put(root / inner / f"{record.number:05d}.jpg", record.image)
    write_mat(root / devkit / "cars_train_annos.mat", DEVKIT, devkit_rows(TRAIN))
    write_mat(root / labels, DEVKIT, devkit_rows(TEST))
    return root


def combined(root: Path, *, names: bool = True) -> Path:
    fields = ("relative_im_path", *DEVKIT[:4], "class", "test")
    rows = []
    for record in shuffled(RECORDS):
        file = f"car_ims/{record.number:06d}.jpg"
        put(root / file, record.image)
        rows.append((file, *record.box, record.label + 1, int(record.split == "test")))
    lists = {"class_names": list(CLASS_NAMES)} if names else {}
    write_mat(root / "cars_annos.mat", fields, rows, **lists)
    return root


def class_folders(root: Path, slash: str = "-") -> Path:
    for record in RECORDS:
        folder = record.name.replace("/", slash)
        put(root / record.split / folder / f"{record.number:05d}.jpg", record.image)
    return root


def kaggle_folders(root: Path, slash: str = "-") -> Path:
    class_folders(root / "car_data" / "car_data", slash)
    for split, records in (("train", TRAIN), ("test", TEST)):
        rows = [(f"{r.number:05d}.jpg", *r.box, r.label + 1) for r in shuffled(records)]
        write_rows(root / f"anno_{split}.csv", rows)
    write_rows(root / "names.csv", ([name] for name in CLASS_NAMES))
    return root


THESIS_HEAD = ("image_fname", "class", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class_name")


def thesis(root: Path) -> Path:
    for split, records in (("train", TRAIN), ("test", TEST)):
        rows = [(f"{r.number:06d}.jpg", r.label + 1, *r.box, r.name) for r in shuffled(records)]
        write_rows(root / f"{split}_labels.csv", [THESIS_HEAD, *rows])
        for record in records:
            put(root / split / f"{record.number:06d}.jpg", record.image)
    return root


def parquet(
    root: Path,
    *,
    names: Sequence[str] | None = CLASS_NAMES,
    records: Iterable[Record] = RECORDS,
    folder: str = "data",
    shards: int = 2,
) -> Path:
    """Files as the library `datasets` writes them: names of the labels beside the schema."""
    pa = pytest.importorskip("pyarrow")
    writer = pytest.importorskip("pyarrow.parquet")
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    label = {"names": list(names or ()), "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "label": label}
    about = {"huggingface": json.dumps({"info": {"features": features}})} if names is not None else None
    schema = pa.schema([("image", image), ("label", pa.int64())], about)
    records = list(records)
    for split in dict.fromkeys(record.split for record in records):
        members = [record for record in records if record.split == split]
        for shard in range(shards):
            rows = [
                {
                    "image": {"bytes": record.image, "path": None},
                    "label": record.label if names is None else names.index(record.name),
                }
                for record in members[shard::shards]
            ]
            path = root / folder / f"{split}-{shard:05d}-of-{shards:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            writer.write_table(pa.Table.from_pylist(rows, schema), path)
    return root


def found(data: DatasetRecords) -> set[tuple[int, str, int, tuple[int, int, int, int] | None]]:
    """Number, split, label and box of each sample; the number is read off the image."""
    return {
        (Image.open(sample.path).getpixel((0, 0))[0], split, sample.label, sample.box)
        for split, samples in data.splits.items()
        for sample in samples
    }


def expected(*, boxes: bool = True) -> set[tuple[int, str, int, tuple[int, int, int, int] | None]]:
    return {(r.number, r.split, r.label, r.box if boxes else None) for r in RECORDS}


Maker = Callable[[Path], Path]

READABLE: dict[str, tuple[Maker, str, bool]] = {
    "original": (original, "original", True),
    "original, Kaggle's nesting": (lambda root: original(root, nested=True), "original", True),
    "original, labels in devkit": (
        lambda root: original(root, labels="devkit/cars_test_annos_withlabels.mat"),
        "original",
        True,
    ),
    "original, labels downloaded twice": (
        lambda root: original(root, labels="cars_test_annos_withlabels (1).mat"),
        "original",
        True,
    ),
    "original, no devkit folder": (lambda root: original(root, devkit="."), "original", True),
    "car_ims": (combined, "car_ims with cars_annos.mat", True),
    "car_ims, no list of classes": (
        lambda root: combined(root, names=False),
        "car_ims with cars_annos.mat",
        True,
    ),
    "class folders": (class_folders, "class folders", False),
    "class folders, nested slash": (lambda root: class_folders(root, "/"), "class folders", False),
    "class folders, no slash": (lambda root: class_folders(root, ""), "class folders", False),
    "Kaggle's class folders": (kaggle_folders, "class folders", True),
    "Kaggle's class folders, nested slash": (lambda root: kaggle_folders(root, "/"), "class folders", True),
    "thesis": (thesis, "train_labels.csv", True),
}
"""How to make it, what it is called, whether it has boxes."""
