"""`lightcars export`: what it writes and prints, and mistakes in one line."""

import json
import subprocess
import sys

import pytest

from lightcars import ghostnet, save


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_with_its_standalone_folder(lightcars, finished, cars, elsewhere):
    done = lightcars("export", finished, "--standalone")
    assert done.code == 0, done.err
    assert done.err.splitlines() == ["converting for ONNX Runtime", "comparing ONNX Runtime with PyTorch"]
    first, second, third = done.out.splitlines()
    assert first.startswith("run.onnx: ")
    assert first.endswith(" MB")
    assert "ONNX Runtime differs from PyTorch by " in second
    assert "1 x 3 x 32 x 32, 3 x 3 x 32 x 32" in second
    assert third == "standalone: python run-standalone/predict.py car.jpg"
    image = cars / "val" / "Bus" / "0000.png"
    alone = subprocess.run(
        [sys.executable, "run-standalone/predict.py", str(image), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    (answer,) = json.loads(alone.stdout)
    (expected,) = json.loads(lightcars("predict", finished, image, "--json").out)
    assert answer["image"] == expected["image"]
    assert {g["name"]: g["probability"] for g in answer["guesses"]} == pytest.approx(
        {g["name"]: g["probability"] for g in expected["guesses"]}, abs=1e-4
    )


def test_json(lightcars, finished, elsewhere):
    done = lightcars("export", finished / "best", "--to", "torch-export", "--out", "new/a.pt2", "--json")
    content = json.loads(done.out)
    assert content["path"] == "new/a.pt2"
    assert content["format"] == "torch-export"
    assert content["size_bytes"] == (elsewhere / "new" / "a.pt2").stat().st_size
    assert content["difference"] <= 1e-4
    assert content["compared"] == [[1, 3, 32, 32], [3, 3, 32, 32]]
    assert len(content["description"]["classes"]) == 8
    assert content["standalone"] is None


def test_fp16(lightcars, finished, elsewhere):
    done = lightcars("export", finished, "--to", "openvino", "--precision", "fp16")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0].endswith(" MB, fp16")
    content = json.loads(
        lightcars("export", finished, "--to", "torch-export", "--precision", "fp16", "--json").out
    )
    assert (content["precision"], content["top1_change_percent"]) == ("fp16", None)
    assert content["description"]["precision"] == "fp16"


@pytest.mark.slow
def test_int8(lightcars, finished, cars, elsewhere, monkeypatch):
    monkeypatch.setattr("lightcars.deploy.export_plan.loss_problem", lambda *_: None)  # two epochs
    done = lightcars("export", finished, "--to", "openvino", "--precision", "int8", "--calibration", cars)
    assert done.code == 0, done.err
    assert done.err.splitlines()[0] == "reading the calibration images"
    assert done.out.splitlines()[0].endswith(" MB, int8")
    assert done.out.splitlines()[2].startswith("top-1 changes by ")


def test_a_registered_model_without_weights(lightcars, elsewhere):
    arguments = ("--weights", "fresh", "--to", "torch-export", "--resolution", 32, "--batch-size", 1)
    done = lightcars("export", "ghostnet_050", *arguments)
    assert done.code == 0, done.err
    assert "note: these weights have no class names or no preprocessing" in done.err
    assert [path.name for path in elsewhere.iterdir()] == ["ghostnet_050.pt2"]


def test_weights_from_a_folder(lightcars, elsewhere):
    save(ghostnet("050", num_classes=3, resolution=32), "mine")
    done = lightcars("export", "ghostnet_050", "--weights", "mine", "--to", "torch-export", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["description"]["model"] == "GhostNet"


MISTAKES = {
    "no such format": (["RUN", "--to", "onxx"], "Did you mean onnx?"),
    "nearly the web page": (["RUN", "--to", "webb"], "Did you mean web?"),
    "misspelt model": (["ghostnet_10"], "ghostnet_10 is neither a folder here nor a model. Did you mean"),
    "no run": (["some/where/else"], "there is no run or checkpoint folder"),
    "an empty folder": (["."], "run.json"),
    "no such resolution": (["RUN", "--resolution", "7"], "resolution must be a whole number of at least 32"),
    "no such batch": (["RUN", "--batch-size", "0"], "batch must be a whole number of at least 1, not 0"),
    "two sizes": (["RUN", "--resolution", "64", "--any-size"], "any_size makes the resolution dynamic"),
    "another ending": (
        ["RUN", "--out", "a.xml"],
        "a file for ONNX Runtime has the suffix .onnx, a.xml does not",
    ),
    "weights of a run": (["RUN", "--weights", "imagenet"], "--weights is for names from"),
    "unknown weights": (["ghostnet_050", "--weights", "nowhere"], "nowhere"),
    "not a folder": (["RUN", "--out", "file/a.onnx"], "cannot write to file"),
    "a device": (["RUN", "--out", "/dev/null/a.onnx"], "cannot write to /dev/null"),
    "there already": (["RUN", "--out", "old.onnx"], "old.onnx already exists; --force"),
    "no such precision": (["RUN", "--precision", "fp61"], "Did you mean fp16?"),
    "a precision of others": (["RUN", "--to", "executorch", "--precision", "fp16"], "fp16 is possible with"),
    "int8 without images": (["RUN", "--precision", "int8"], "--calibration FOLDER"),
    "images without int8": (["RUN", "--calibration", "."], "calibration is for int8"),
    "a batch alone": (["RUN", "--standalone", "--batch-size", "2"], "one image at a time, not 2"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(lightcars, finished, elsewhere, arguments, message):
    (elsewhere / "file").write_text("")
    (elsewhere / "old.onnx").write_text("mine")
    done = lightcars("export", *[finished if word == "RUN" else word for word in arguments])
    assert message in done.error
    assert {path.name for path in elsewhere.iterdir()} == {"file", "old.onnx"}
    assert (elsewhere / "old.onnx").read_text() == "mine"


def test_an_engine_that_is_missing(lightcars, finished, elsewhere, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    error = lightcars("export", finished, "--to", "openvino").error
    assert error.endswith("pip install 'lightcars[deploy]'")
    assert list(elsewhere.iterdir()) == []


def test_force(lightcars, finished, elsewhere):
    (elsewhere / "run.pt2").write_text("old")
    assert lightcars("export", finished, "--to", "torch-export", "--force").code == 0
    assert (elsewhere / "run.pt2").stat().st_size > 1000
