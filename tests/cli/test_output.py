"""Output that no file name breaks: one line is one line, bytes that are not UTF-8, narrow encodings."""

import itertools
import json
import os
import subprocess
import sys

import pytest
from PIL import Image

HOSTILE = "a\nb\x1b[31m\r.png"
NOT_UTF8 = os.fsdecode(b"caf\xe9.png")


def command(*arguments: object, encoding: str | None = None) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **({"PYTHONIOENCODING": encoding} if encoding else {})}
    return subprocess.run(
        [sys.executable, "-m", "lightcars", *map(str, arguments)],
        capture_output=True,
        env=environment,
        check=False,
    )


@pytest.fixture
def images(tmp_path):
    """A data set with class and file names that are hard to print."""
    (tmp_path / "classes.txt").write_text("Citro\u00ebn\n\u4e2d\n")
    for name in (f"train/Citro\u00ebn/{NOT_UTF8}", "train/\u4e2d/0.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        Image.effect_noise((12, 9), 60).save(path)
    (tmp_path / "train" / "\u4e2d" / HOSTILE).write_bytes(b"")
    return tmp_path


def test_an_error_is_one_line(lightcars, tmp_path):
    error = lightcars("predict", tmp_path / HOSTILE).error
    assert error.endswith("a\\nb\\x1b[31m\\r.png.")
    (tmp_path / HOSTILE).write_bytes(b"")
    assert "is empty" in lightcars("predict", tmp_path / HOSTILE).error


def test_a_long_error_keeps_its_beginning_and_end(lightcars):
    error = lightcars("info", "x" * 5000).error
    assert len(error) <= 600
    assert error.startswith("no model named 'xxx")
    assert error.endswith("list_models().")


@pytest.mark.parametrize("encoding", [None, "ascii", "cp1252", "utf-8"])
def test_inspect_prints_whatever_the_encoding(images, encoding):
    shown = command("data", "inspect", images, encoding=encoding)
    assert (shown.returncode, b"Traceback" in shown.stderr) == (0, False)
    assert rb"a\nb\x1b[31m\r.png is empty" in shown.stdout
    assert b"\x1b" not in shown.stdout


@pytest.mark.parametrize("encoding", [None, "ascii", "cp1252", "utf-8"])
def test_json_is_json_and_has_the_names(images, encoding):
    shown = command("data", "inspect", images, "--json", encoding=encoding)
    content = json.loads(shown.stdout.decode(encoding or "utf-8"))
    assert HOSTILE in content["broken"][0]
    assert content["thin_classes"] == {"Citro\u00ebn": 1, "\u4e2d": 2}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_predict_of_a_name_that_is_not_utf8(images):
    path = images / "train" / "Citro\u00ebn" / NOT_UTF8
    for arguments in ((), ("--json",)):
        shown = command("predict", path, *arguments)
        assert (shown.returncode, shown.stderr) == (0, b"")
    assert json.loads(shown.stdout)[0]["image"] == str(path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_run_with_names_that_are_not_utf8(lightcars, tmp_path):
    """Trained to its end, with predictions, report and all that reads them again."""
    odd = os.fsdecode(b"caf\xe9")
    for split, name in itertools.product(("train", "val"), ("bus", odd)):
        folder = tmp_path / "data" / split / name
        folder.mkdir(parents=True)
        for number in range(2):
            Image.effect_noise((32, 32), 60).save(folder / f"{number}{NOT_UTF8}")
    run = tmp_path / "run"
    small = ("--model", "ghostnet_050", "--width", 0.1, "--resolution", 32, "--epochs", 1, "--batch-size", 4)
    assert lightcars("finetune", tmp_path / "data", *small, "--out", run).code == 0
    assert lightcars("finetune", tmp_path / "data", "--resume", "--out", run).code == 0
    assert f"bus/0{NOT_UTF8}".encode(errors="backslashreplace") in (run / "predictions.csv").read_bytes()
    assert lightcars("report", run).code == 0
    shown = lightcars("evaluate", run, tmp_path / "data", "--json")
    assert {one["name"] for one in json.loads(shown.out)["per_class"]} == {"bus", odd}
    shown = lightcars("predict", run, tmp_path / "data" / "val" / odd / f"0{NOT_UTF8}", "--json")
    assert {guess["name"] for guess in json.loads(shown.out)[0]["guesses"]} == {"bus", odd}
