"""Kinds of files: how valid ones are made, how they are damaged, and what reads them."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from tests.fuzz.mutate import mutate_bytes, mutate_json, mutate_text

Mutation = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        place: its path in the working folder; "*" becomes the suffix of the seed.
        seeds: makes the valid files: suffix -> content. The working folder may get other files too.
        mutate: damages one.
        read: reads the file in the folder, as users' commands do; it also checks the result.
        torch: whether reading needs PyTorch.
    """

    place: str
    seeds: Callable[[Path], dict[str, bytes]]
    mutate: Mutation
    read: Callable[[Path], object]
    torch: bool = False


def png(size: tuple[int, int] = (12, 9), format: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    """Return an encoded image."""
    file, pixels = io.BytesIO(), np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(file, format, **options)
    return file.getvalue()


def class_folders(folder: Path) -> None:
    """Write two classes with two images each, in train and test."""
    for split in ("train", "test"):
        for name in ("bus", "van"):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(2):
                (folder / split / name / f"{number}.png").write_bytes(png())


# Without PyTorch


def recipe_seeds(_: Path) -> dict[str, bytes]:
    from lightcars.recipes.files import recipe_names, recipe_text

    return {f"{number}.yaml": recipe_text(name).encode() for number, name in enumerate(recipe_names())}


def read_recipe(path: Path) -> object:
    from lightcars.recipes.files import load_recipe

    return json.dumps(load_recipe(str(path)).to_dict(), allow_nan=False)


def mat_seeds(folder: Path) -> dict[str, bytes]:
    from tests.data.made_copies import write_mat

    rows = [(1, 2, 30, 40, 5, "000001.jpg"), (3, 4, 50, 60, 7, "000002.jpg")]
    fields = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")
    write_mat(folder / "seed.mat", fields, rows)
    return {".mat": (folder / "seed.mat").read_bytes()}


def read_mat_file(path: Path) -> object:
    """As in use, but in a fork of this process, which is quicker than a new one."""
    from lightcars.data.layouts import mat_reader, matlab

    def in_a_fork(path: Path, key: str) -> dict[str, Any]:
        output = path.with_suffix(".json")
        output.unlink(missing_ok=True)
        child = os.fork()
        if not child:
            code = 1
            try:
                with output.open("w") as file, redirect_stdout(file):
                    mat_reader.main(str(path), key)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        try:
            result: dict[str, Any] = json.loads(output.read_bytes())
        except (OSError, ValueError):
            assert status, "no result, but no crash either"
            return {"error": "the reader crashed"}
        return result

    matlab._in_a_process = in_a_fork
    mat_reader._limit_memory = _nothing  # this process has a limit of its own
    rows = matlab.read_mat(path, "annotations")
    return [matlab.sample_of(row, Path("a.jpg"), path, 1, 196) for row in rows]


def csv_seeds(folder: Path) -> dict[str, bytes]:
    class_folders(folder)
    (folder / "classes.txt").write_text("bus\nvan\n")
    own = "path,class,x1,y1,x2,y2\ntrain/bus/0.png,bus,1,2,8,7\ntrain/van/1.png,van,,,,\n"
    return {".csv": own.encode()}


def read_data(path: Path) -> object:
    from lightcars.data.layouts import find_data

    return find_data(path.parent)


def parquet_seeds(_: Path) -> dict[str, bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": png(), "path": f"{number}.png"} for number in range(4)]
    table = pa.table({"image": images, "label": [0, 1, 0, 1]})
    info = {"info": {"features": {"label": {"names": ["bus", "van"], "_type": "ClassLabel"}}}}
    named = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    files = {}
    for suffix, each in (("plain", table), ("named", named)):
        file = io.BytesIO()
        pq.write_table(each, file)
        files[suffix] = file.getvalue()
    return files


def read_parquet(path: Path) -> object:
    from lightcars.data.layouts.parquet import encoded_images, open_parquet

    data = open_parquet(path.parent)
    return [list(encoded_images(data, split)) for split in data.files]


def archive_seeds(folder: Path) -> dict[str, bytes]:
    class_folders(folder / "source")
    files = {}
    for suffix, mode in ((".tar", "w"), (".tgz", "w:gz")):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode, format=tarfile.PAX_FORMAT) as archive:
            archive.add(folder / "source", "cars")
        files[suffix] = file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted((folder / "source").rglob("*.png")):
            zipped.write(path, path.relative_to(folder))
    return {**files, ".zip": file.getvalue()}


def read_archive(path: Path) -> object:
    import shutil

    from lightcars.data.archives import unpack

    target = path.parent / "unpacked"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    try:
        unpack(path, target)
    finally:
        size = sum(found.stat().st_size for found in target.rglob("*") if found.is_file())
        assert size < 100_000_000, f"{size} bytes were unpacked"
        assert not [found for found in target.rglob("*") if found.is_symlink()]
    return size


def image_seeds(_: Path) -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    return {
        ".jpg": png(format="JPEG", exif=exif, quality=80),
        ".png": png(),
        "_16.png": png(mode="I;16"),
        "_palette.png": png(mode="P", transparency=0),
        ".gif": png(format="GIF", mode="P"),
        ".bmp": png(format="BMP"),
        ".tif": png(format="TIFF", compression="tiff_lzw"),
        ".webp": png(format="WEBP"),
        ".ppm": png(format="PPM"),
    }


def read_image_file(path: Path) -> object:
    from lightcars.models.images import read_image, without_advice

    with without_advice():
        image = read_image(path, 3)
    assert image.mode == "RGB"
    return image.tobytes()


def cache_seeds(folder: Path) -> dict[str, bytes]:
    from lightcars.deploy.cache import Cache

    (folder / "engine.bin").write_bytes(b"engine")
    Cache(folder / "cache").store({"a": 1}, {"engine": "eager", "n": 2}, [folder / "engine.bin"])
    (record,) = (folder / "cache").glob("*/record.json")
    record.rename(record.with_name("record.seed"))
    return {".json": record.with_name("record.seed").read_bytes()}


def read_cache(path: Path) -> object:
    from lightcars.deploy.cache import Cache

    (seed,) = (path.parent / "cache").glob("*/record.seed")
    seed.with_name("record.json").write_bytes(path.read_bytes())
    return Cache(path.parent / "cache").find({"a": 1})


# With PyTorch

SMALL = {"width": 0.1, "out_channels": 16, "num_classes": 3}


def small_checkpoint(folder: Path) -> Path:
    import lightcars
    from lightcars.models.preprocessing import Preprocessing

    card = Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.2,) * 3)
    return lightcars.save(lightcars.ghostnet(**SMALL), folder, classes=["a", "b", "c"], preprocessing=card)


def config_seeds(folder: Path) -> dict[str, bytes]:
    return {".json": (small_checkpoint(folder) / "config.json").read_bytes()}


def read_config_file(path: Path) -> object:
    import lightcars

    path.rename(path.with_name("config.json"))
    return lightcars.load(path.parent)


def run_seeds(folder: Path) -> dict[str, bytes]:
    from lightcars.recipes.recipe import Recipe
    from lightcars.runs.description import write_description
    from tests.runs.descriptions import OLD_FILE, description_of

    write_description(folder / "seed.json", description_of(Recipe()))
    return {".json": (folder / "seed.json").read_bytes(), "_old.json": OLD_FILE.read_bytes()}


def read_run_file(path: Path) -> object:
    from lightcars.runs.description import read_description

    return read_description(path).to_dict()


def run_folder(folder: Path) -> Path:
    """Write a finished run of two epochs that nobody has trained."""
    from lightcars.recipes.recipe import Recipe
    from lightcars.runs.description import write_description
    from lightcars.training.callbacks.metrics_csv import COLUMNS, table_text
    from tests.runs.descriptions import description_of

    run = folder / "run"
    write_description(run / "run.json", description_of(Recipe(epochs=2)))
    rows = [{name: float(epoch + 1) for name in COLUMNS} for epoch in range(2)]
    small_checkpoint(run / "best")
    (run / "metrics.csv").write_text(table_text(rows))
    metrics = {
        "best_epoch": 2,
        "epochs": 2,
        "val_top1_percent": 50.0,
        "val_top5_percent": 90.0,
        "val_loss": 1.5,
    }
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "predictions.csv").write_text(
        "path,class,guess_1,probability_1,guess_2,probability_2\n"
        "val/a/0.png,a,a,0.75,b,0.25\nval/b/0.png,b,c,0.5,b,0.25\n"
    )
    return run


def run_part(name: str) -> tuple[Callable[[Path], dict[str, bytes]], Callable[[Path], object]]:
    def seeds(folder: Path) -> dict[str, bytes]:
        run = run_folder(folder)
        seed = (run / name).read_bytes()
        read(_written(folder / "check", seed))
        return {Path(name).suffix: seed}

    def read(path: Path) -> object:
        import shutil

        from lightcars.reports import run_metrics
        from lightcars.reports.write import report

        run_metrics._costs = _no_costs  # counting takes most of the time, and depends on run.json alone
        run = path.parent / "run"
        shutil.copyfile(path, run / name)
        return report(run)

    return seeds, read


def _no_costs(*_: object) -> tuple[int, int]:
    return 1, 1


def _nothing() -> None:
    pass


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def some_tensors() -> dict[str, Any]:
    import torch

    return {
        "stem.conv.weight": torch.randn(4, 3, 3, 3),
        "stem.norm.running_var": torch.rand(4),
        "half": torch.randn(5).half(),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 2),
    }


def safetensors_seeds(_: Path) -> dict[str, bytes]:
    from safetensors.torch import save

    return {".safetensors": save(some_tensors(), metadata={"format": "pt"})}


def read_weights(path: Path) -> object:
    import torch

    from lightcars.weights.tensors import read_tensors

    return {name: tensor.clone() for name, tensor in read_tensors(path, torch.device("cpu")).items()}


def pth_seeds(_: Path) -> dict[str, bytes]:
    import torch

    files = {}
    for protocol in (2, 4, 5):
        for name, is_zip in (("zip", True), ("old", False)):
            file = io.BytesIO()
            torch.save(some_tensors(), file, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
            files[f"_{name}{protocol}.pth"] = file.getvalue()
    return files


def mutate_pth(content: bytes, random: Random) -> bytes:
    """Damage the file, or a record of the archive with its checksum made right again."""
    if not content.startswith(b"PK") or random.random() < 0.4:
        return mutate_bytes(content, random)
    file = io.BytesIO()
    method = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(file, "w", method) as after:
        names = before.namelist()
        damaged = random.choice(names)
        for name in names:
            record = before.read(name)
            after.writestr(name, mutate_bytes(record, random) if name == damaged else record)
    return file.getvalue()


def read_pth(path: Path) -> object:
    """What is accepted is what torch itself reads."""
    import torch

    from lightcars.weights.protocols import copy_in_protocol_2

    found = read_weights(path)
    try:
        expected = torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError:  # a later protocol
        expected = torch.load(copy_in_protocol_2(path), map_location="cpu", weights_only=True)
    assert isinstance(found, dict)
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items()), "wrong weights"
    return found


METRICS, PREDICTIONS, SUMMARY = map(run_part, ("metrics.csv", "predictions.csv", "metrics.json"))
KINDS = {
    "recipe": Kind("input*", recipe_seeds, mutate_text, read_recipe),
    "mat": Kind("input*", mat_seeds, mutate_bytes, read_mat_file),
    "csv": Kind("annotations.csv", csv_seeds, mutate_text, read_data),
    "parquet": Kind("train-00000-of-00001.parquet", parquet_seeds, mutate_bytes, read_parquet),
    "archive": Kind("input*", archive_seeds, mutate_bytes, read_archive),
    "image": Kind("input*", image_seeds, mutate_bytes, read_image_file),
    "cache record": Kind("input*", cache_seeds, mutate_json, read_cache),
    "config.json": Kind("input*", config_seeds, mutate_json, read_config_file, torch=True),
    "run.json": Kind("input*", run_seeds, mutate_json, read_run_file, torch=True),
    "metrics.csv": Kind("input*", METRICS[0], mutate_text, METRICS[1], torch=True),
    "metrics.json": Kind("input*", SUMMARY[0], mutate_json, SUMMARY[1], torch=True),
    "predictions.csv": Kind("input*", PREDICTIONS[0], mutate_text, PREDICTIONS[1], torch=True),
    "safetensors": Kind("input*", safetensors_seeds, mutate_bytes, read_weights, torch=True),
    "pth": Kind("input*", pth_seeds, mutate_pth, read_pth, torch=True),
}
