"""Exports: what is inside, that they agree with PyTorch, and that nothing is left where they do not."""

import json
import math
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import onnx
import pytest
import torch

from lightcars import InputSize, Preprocessing, export, ghostnet, load, save
from lightcars.deploy import export_plan as exporting
from lightcars.deploy.description import Description
from lightcars.deploy.difference import largest_difference
from lightcars.deploy.formats import FORMATS, find_format, format_of
from lightcars.deploy.graphs import to_program
from lightcars.deploy.verification import TOLERANCES
from lightcars.errors import ConfigError, ExportError, MissingExtraError, RunError
from tests.deploy.conftest import CLASSES, settle

every_format = pytest.mark.parametrize("name", FORMATS)


@every_format
def test_it_agrees_with_pytorch(name, classifier, exported):
    done = exported(name)
    assert 0 <= done.difference <= TOLERANCES["fp32"]
    batches = (1,) if FORMATS[name].fixed_batch else (1, 3)
    assert done.compared == tuple((batch, 3, 48, 48) for batch in batches)
    assert done.size_bytes == sum(file.stat().st_size for file in FORMATS[name].files(done.path))
    assert done.format == name
    engine = FORMATS[name].artifact.run(done.path)
    shapes = [(1, 3, 48, 48), (batches[-1] + 2, 3, 48, 48)][: len(batches)]
    assert largest_difference(classifier, engine, shapes) <= TOLERANCES["fp32"]


@every_format
def test_class_names_and_preprocessing_are_inside(name, classifier, exported):
    entries = FORMATS[name].artifact.read_entries(exported(name).path)
    description = exported(name).description
    assert description.entries().items() <= entries.items()
    assert description.classes == CLASSES
    assert description.preprocessing == classifier.preprocessing
    assert description.model == "GhostNet"


@every_format
def test_it_says_nothing_of_this_machine(name, exported):
    root = str(Path(exporting.__file__).parents[3]).encode()
    for file in FORMATS[name].files(exported(name).path):
        assert root not in file.read_bytes()


@every_format
def test_nothing_else_is_there(name, exported):
    done = exported(name)
    expected = {file.name for file in FORMATS[name].files(done.path)}
    if done.standalone is not None:
        expected.add(done.standalone.name)
    assert {file.name for file in done.path.parent.iterdir()} == expected


def test_a_program_needs_no_lightcars(exported):
    code = (
        "import sys, torch; sys.modules['lightcars'] = None;"
        f"print(torch.export.load({str(exported('torch-export').path)!r}).module()"
        "(torch.zeros(2, 3, 48, 48)).shape)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "torch.Size([2, 5])"


def test_any_size(classifier, tmp_path):
    done = export(classifier, tmp_path / "any.onnx", size=InputSize(any_size=True, batch=2))
    assert done.compared == ((2, 3, 48, 48), (2, 3, 37, 43))
    engine = FORMATS["onnx"].artifact.run(done.path)
    assert largest_difference(classifier, engine, [(2, 3, 90, 33), (2, 3, 32, 64)]) <= TOLERANCES["fp32"]


def test_another_resolution_is_said_in_the_preprocessing(classifier, tmp_path):
    done = export(classifier, tmp_path / "a.pt2", size=InputSize(resolution=33))
    assert done.description.preprocessing == replace(classifier.preprocessing, resolution=33)
    assert done.compared[0] == (1, 3, 33, 33)


def test_weights_that_do_not_say_what_they_are(tmp_path):
    model = settle(ghostnet(num_classes=5, width=0.1, resolution=40))
    done = export(model, tmp_path / "a.pt2")
    assert done.compared[0] == (1, 3, 40, 40)
    entries = FORMATS["torch-export"].artifact.read_entries(done.path)
    assert entries.keys() == {"model", "lightcars_version", "precision", "temperature"}
    with pytest.raises(ExportError, match="class names and preprocessing"):
        export(model, tmp_path / "b.pt2", standalone=True)


def test_the_license_of_weights_goes_on_with_them(tmp_path):
    done = export(ghostnet(weights="cars196"), tmp_path / "cars.pt2", size=InputSize(resolution=64))
    assert done.description.license == "non-commercial"
    assert FORMATS["torch-export"].artifact.read_entries(done.path)["license"] == '"non-commercial"'


def test_the_license_is_inherited_by_fine_tuned_weights(tmp_path):
    model = ghostnet(weights="cars196", num_classes=3)
    with torch.no_grad():
        model.classifier.bias += 1  # trained
    again = load(save(model, tmp_path / "first", classes=list("abc")))
    assert again.origin.license == "non-commercial"
    third = ghostnet("thesis", weights=str(save(again, tmp_path / "second")), num_classes=2)
    done = export(third.eval(), tmp_path / "cars.pt2", size=InputSize(resolution=64))
    assert done.description.license == "non-commercial"
    fresh = load(save(ghostnet(width=0.1), tmp_path / "fresh"))
    assert fresh.origin.license is None


def test_the_steps_are_said(classifier, tmp_path):
    steps = []
    export(classifier, tmp_path / "a.pt2", say=steps.append)
    assert steps == ["converting for torch.export", "comparing torch.export with PyTorch"]


@pytest.mark.parametrize("folder", ["", "new/folder"])
def test_an_artifact_whose_outputs_differ_is_not_written(classifier, tmp_path, monkeypatch, folder):
    other = ghostnet("thesis", num_classes=5, width=0.1, out_channels=16).eval()
    monkeypatch.setattr(exporting, "to_program", lambda _, **settings: to_program(other, **settings))
    target = tmp_path / folder / "a.pt2"
    with pytest.raises(
        ExportError, match=r"the outputs of torch.export differ from PyTorch's by \d.*\(the limit"
    ):
        export(classifier, target)
    assert list(tmp_path.iterdir()) == []


def test_a_slight_difference_counts(classifier):
    def off(part):
        return lambda images: classifier(images) * (1 + part)

    with torch.no_grad():
        assert largest_difference(classifier, off(2e-4), [(1, 3, 48, 48)]) > TOLERANCES["fp32"]
        assert 1e-5 < largest_difference(classifier, off(5e-5), [(1, 3, 48, 48)]) < TOLERANCES["fp32"]
        nan = largest_difference(classifier, off(float("nan")), [(1, 3, 48, 48), (3, 3, 48, 48)])
    assert math.isnan(nan)


def test_an_artifact_of_no_numbers_is_not_written(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(ExportError, match=r"the outputs of torch\.export differ"):
        export(classifier, tmp_path / "a.pt2")
    assert list(tmp_path.iterdir()) == []


def test_corrupt_weights(tmp_path):
    model = settle(ghostnet(num_classes=5, width=0.1))
    with torch.no_grad():
        model.classifier.weight[0, 0] = float("nan")
    with pytest.raises(ExportError, match="logits are not finite"):
        export(model, tmp_path / "a.pt2", size=InputSize(resolution=32))
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_fails_is_one_line(classifier):
    def broken(_):
        raise RuntimeError("no such kernel\nin line 3")

    with pytest.raises(ExportError, match=r"does not run on .* \(1, 3, 48, 48\): no such kernel$"):
        largest_difference(classifier, broken, [(1, 3, 48, 48)])
    with pytest.raises(ExportError, match=r"returns \(1, 4\), PyTorch \(1, 5\)"):
        largest_difference(classifier, lambda _: torch.zeros(1, 4), [(1, 3, 48, 48)])


def test_existing_files_are_kept_without_force(classifier, tmp_path):
    target = tmp_path / "a.pt2"
    target.write_text("mine")
    with pytest.raises(RunError, match=r"a.pt2 already exists; --force"):
        export(classifier, target)
    assert target.read_text() == "mine"
    export(classifier, target, force=True)
    assert target.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [target]


def test_the_second_file_is_kept_too(classifier, tmp_path):
    (tmp_path / "a.bin").write_text("mine")
    with pytest.raises(RunError, match=r"a.bin already exists"):
        export(classifier, tmp_path / "a.xml")
    (tmp_path / "a-standalone").mkdir()
    (tmp_path / "a-standalone" / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match=r"a-standalone already exists and is not an empty folder; --force"):
        export(classifier, tmp_path / "a.onnx", standalone=True)


def test_a_folder_that_cannot_be_written_to(classifier, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write to .*file"):
        export(classifier, tmp_path / "file" / "a.pt2")


@pytest.mark.parametrize("package", ["openvino", "onnx", "onnxscript", "onnxruntime"])
def test_an_engine_that_is_not_installed(classifier, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    suffix = ".xml" if package == "openvino" else ".onnx"
    with pytest.raises(MissingExtraError, match=rf"{package} .*pip install 'lightcars\[deploy\]'") as caught:
        export(classifier, tmp_path / f"a{suffix}")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_executorch_has_an_extra_of_its_own(classifier, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "executorch.exir", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lightcars\[executorch\]'"):
        export(classifier, tmp_path / "a.pte")


def test_litert_has_an_extra_of_its_own_and_one_size(classifier, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lightcars\[litert\]'"):
        export(classifier, tmp_path / "a.tflite")
    with pytest.raises(ConfigError, match="LiteRT takes images of one size; give a resolution instead"):
        export(classifier, tmp_path / "a.tflite", size=InputSize(any_size=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 0}, "batch must be a whole number of at least 1, not 0"),
        ({"batch": True}, "batch must be"),
        ({"resolution": 16}, "resolution must be a whole number of at least 32, not 16"),
        ({"resolution": 64, "any_size": True}, "any_size makes the resolution dynamic"),
    ],
)
def test_invalid_sizes(settings, message):
    with pytest.raises(ConfigError, match=message):
        InputSize(**settings)


def test_what_is_no_size_or_no_file(classifier, tmp_path):
    with pytest.raises(
        ConfigError, match=r"size must be an InputSize, such as InputSize\(batch=1\), not \(1, 3\)"
    ):
        export(classifier, tmp_path / "a.onnx", size=(1, 3))
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(RunError, match=r"folder.onnx is a folder; name a file"):
        export(classifier, tmp_path / "folder.onnx", force=True)


@torch.no_grad()
def test_autocast_around_an_export_changes_nothing(classifier, tmp_path):
    with torch.autocast("cpu"):
        found = export(classifier, tmp_path / "a.onnx")
    assert found.difference <= 1e-4


def test_a_standalone_folder_for_several_at_once(classifier, tmp_path):
    with pytest.raises(ConfigError, match="one image at a time, not 4"):
        export(classifier, tmp_path / "a.onnx", size=InputSize(batch=4), standalone=True)


def test_formats_by_name_and_ending():
    assert format_of(Path("x.xml")).name == "openvino"
    assert find_format("executorch").suffix == ".pte"
    with pytest.raises(
        ConfigError, match=r"the suffix of x.pth is not an export format; use one of .onnx \(onnx\)"
    ):
        format_of(Path("x.pth"))
    with pytest.raises(ConfigError, match=r"unknown format 'onxx'. Did you mean onnx\?"):
        find_format("onxx")


def test_entries_are_json_of_what_is_known():
    preprocessing = Preprocessing(resolution=32, mean=(0.5,), std=(0.25,))
    entries = Description(model="GhostNet", classes=CLASSES, preprocessing=preprocessing).entries()
    assert json.loads(entries["classes"]) == list(CLASSES)
    assert json.loads(entries["preprocessing"]) == json.loads(json.dumps(asdict(preprocessing)))
    assert set(Description(model="X").entries()) == {"model", "temperature", "lightcars_version", "precision"}


def test_onnx_passes_the_checker(exported):
    onnx.checker.check_model(str(exported("onnx").path), full_check=True)
