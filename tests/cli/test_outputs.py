"""One rule for every command that writes: nothing of the user's is replaced unless --force asks for it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_type_hints

import pytest
import typer
from safetensors.torch import load_file

import lightcars as library
from lightcars.cli.main import app

SMALL = {"width": 0.1, "out_channels": 16, "num_classes": 3}
PHOTO = "photo.png"
FRESH = ("--weights", "fresh", "--engines", "eager", "--precision", "fp32", "--seconds", "0.01")

WRITES = {
    "convert FILE": ("convert", "model", "OUT.safetensors"),
    "convert FOLDER": ("convert", "model", "OUT", "--to", "lightcars"),
    "export": (
        "export",
        "model",
        "--to",
        "torch-export",
        "--batch-size",
        "1",
        "--resolution",
        "32",
        "--out",
        "OUT.pt2",
    ),
    "export OUT": ("export", "model", "OUT.onnx", "--resolution", "32"),
    "report": ("report", "run", "--out", "OUT.html"),
    "predict --picture": ("predict", "run", PHOTO, "--picture", "OUT.png"),
    "predict --cam": ("predict", "run", PHOTO, "--cam", "OUT.png"),
    "predict --out": ("predict", "run", PHOTO, "--out", "OUT.csv"),
    "bench --plot": ("bench", "ghostnet_050", *FRESH, "--resolution", "32", "--plot", "OUT.png"),
    "recipes copy": ("recipes", "copy", "c-50", "OUT.yaml"),
    "data prepare": ("data", "prepare", "cars", "OUT"),
    "demo": ("demo", "--out", "OUT"),
    "finetune": ("finetune", "cars", "--out", "OUT"),
    "compare": ("compare", "ghostnet_050", "--data", "cars", "--out", "OUT"),
}
"""Each way in which a command writes to a path that the user names: `OUT` with its suffix."""
NEW_ONLY = {"compare", "data prepare", "demo", "finetune"}
"""Those that write new folders and never replace anything."""
PARAMETERS = {
    "convert": {"target"},
    "copy": {"target"},
    "prepare": {"target"},
    "export": {"out", "target"},
    "report": {"out"},
    "demo": {"out"},
    "finetune": {"out"},
    "compare": {"out"},
    "predict": {"picture", "cam", "out"},
    "bench": {"plot"},
}
"""Command -> its parameters that are paths to write; each has a line in `WRITES`."""
READ = {
    "data",
    "runs",
    "path",
    "calibration",
    "files_from",
    "runtime",
    "texts",
    "folder",
    "certificate",
    "key",
}
"""Parameters that are paths to read."""


@pytest.fixture
def place(finished, cars, tmp_path, monkeypatch) -> Path:
    """A working folder with a run, a checkpoint, images and a photo."""
    (tmp_path / "run").symlink_to(finished)
    (tmp_path / "cars").symlink_to(cars)
    (tmp_path / PHOTO).write_bytes((cars / "val" / "Bus" / "0000.png").read_bytes())
    library.save(library.ghostnet(**SMALL), tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def output(arguments: tuple[str, ...]) -> Path:
    return Path(next(argument for argument in arguments if argument.startswith("OUT")))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def callbacks(application: typer.Typer) -> Iterator[tuple[str, Callable[..., object]]]:
    """Every command's name and function."""
    for command in application.registered_commands:
        assert command.callback is not None
        yield command.name or command.callback.__name__, command.callback
    for group in application.registered_groups:
        assert group.typer_instance is not None
        yield from callbacks(group.typer_instance)


def test_no_command_that_writes_is_forgotten():
    """A new parameter that is a path must be named above, as one to read or one to write."""
    written: dict[str, set[str]] = {}
    for name, function in callbacks(app):
        for parameter, hint in get_type_hints(function).items():
            if "Path" in str(hint) and parameter not in READ:
                written.setdefault(name, set()).add(parameter)
    assert written == PARAMETERS


@pytest.mark.parametrize("name", WRITES)
def test_an_existing_file_or_folder_is_refused(lightcars, place, name):
    arguments = WRITES[name]
    target = output(arguments)
    target.mkdir() if not target.suffix else target.write_text("mine")
    if not target.suffix:
        (target / "config.json").write_text("mine")
    before = contents(place)
    error = lightcars(*arguments).error
    assert str(target) in error
    assert ("--force" in error) == (name not in NEW_ONLY), error
    assert contents(place) == before


@pytest.mark.parametrize("name", WRITES)
def test_a_folder_where_a_file_goes_and_a_file_where_a_folder_goes(lightcars, place, name):
    arguments = WRITES[name]
    target = output(arguments)
    target.write_text("mine") if not target.suffix else target.mkdir()
    force = () if name in NEW_ONLY else ("--force",)
    assert str(target) in lightcars(*arguments, *force).error
    assert target.is_dir() == bool(target.suffix)


QUICK = [
    "convert FILE",
    "convert FOLDER",
    "report",
    "predict --picture",
    "predict --cam",
    "predict --out",
    "recipes copy",
]


@pytest.mark.parametrize("name", QUICK)
def test_force_replaces_it(lightcars, place, name):
    arguments = WRITES[name]
    target = output(arguments)
    target.mkdir() if not target.suffix else target.write_text("mine")
    if not target.suffix:
        (target / "config.json").write_text("mine")
        (target / "other.txt").write_text("mine")
    shown = lightcars(*arguments, "--force")
    assert shown.code == 0, shown.err
    written = target if target.suffix else target / "config.json"
    assert written.read_bytes() != b"mine"
    if not target.suffix:
        assert (target / "other.txt").read_text() == "mine"


@pytest.mark.parametrize("name", [name for name in WRITES if output(WRITES[name]).suffix])
def test_the_suffix_fits(lightcars, place, name):
    arguments = [argument.replace("OUT", "OUT.txt/..").replace("..", "") for argument in WRITES[name]]
    arguments = ["OUT.txt" if argument.startswith("OUT") else argument for argument in arguments]
    assert "OUT.txt" in lightcars(*arguments, "--force").error
    assert not (place / "OUT.txt").exists()


INPUTS = {
    "a file on itself": ("convert", "w.safetensors", "w.safetensors"),
    "through a link": ("convert", "w.safetensors", "link.safetensors"),
    "by another path": ("convert", "w.safetensors", "model/../w.safetensors"),
    "a file of the folder": ("convert", "model", "model/model.safetensors"),
    "the folder on itself": ("convert", "model", "model", "--to", "lightcars"),
    "inside of the folder": ("convert", "model", "model/inner", "--to", "lightcars"),
    "into the folder of a file": ("convert", "model/model.safetensors", "model", "--to", "lightcars"),
    "an image": ("predict", "run", PHOTO, "--picture", PHOTO),
    "an image for the map": ("predict", "run", PHOTO, "--cam", PHOTO),
    "a picture of the run": ("predict", "run", PHOTO, "--cam", "run/curves.png"),
    "a page in the data": ("report", "run", "--data", "cars", "--out", "cars/page.html"),
}  # fmt: skip


@pytest.mark.parametrize("arguments", INPUTS.values(), ids=INPUTS)
def test_an_input_is_never_an_output(lightcars, place, arguments):
    (place / "w.safetensors").write_bytes((place / "model" / "model.safetensors").read_bytes())
    (place / "link.safetensors").symlink_to(place / "w.safetensors")
    page = place / "cars" / "page.html"
    page.write_text("mine")
    before = contents(place)
    assert " input " in lightcars(*arguments, "--force").error
    assert contents(place) == before
    page.unlink()


def test_the_source_of_prepare(lightcars, place, cars):
    before = contents(cars)
    for target in ("cars", "cars/sub", "cars/val/new"):
        assert target in lightcars("data", "prepare", "cars", target).error
    assert contents(cars) == before


def test_a_link_to_nothing_is_something(lightcars, place):
    (place / "OUT.safetensors").symlink_to("nowhere")
    assert "already exists" in lightcars(*WRITES["convert FILE"]).error
    assert (place / "OUT.safetensors").is_symlink()


def test_without_anything_there_nothing_is_asked(lightcars, place):
    assert lightcars(*WRITES["convert FILE"]).code == 0
    assert load_file("OUT.safetensors").keys() == load_file("model/model.safetensors").keys()
