"""Exports in fp16 and int8: smaller files, verified, with float32 as input and output."""

import sys
from dataclasses import replace

import onnx
import pytest
import torch
from torch import nn

from lightcars import Calibration, InputSize, Preprocessing, export
from lightcars.deploy import export_plan
from lightcars.deploy.formats import FORMATS
from lightcars.deploy.quantize import ATTEMPTS, ONNX_FORM
from lightcars.deploy.verification import TRAINED_LIMITS
from lightcars.errors import ConfigError, DataError, ExportError, InputError
from tests.deploy.conftest import CLASSES, settle_norms, skip_without

HALVED = [name for name, row in FORMATS.items() if "fp16" in row.precisions]
QUANTIZED = [name for name, row in FORMATS.items() if "int8" in row.precisions]


@pytest.fixture(scope="module")
def plain():
    """A small network whose weights, not whose graph, fill its file."""
    torch.manual_seed(0)
    layers = [
        *(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 16, 3, 2, 1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 64, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(64, 4096), nn.ReLU(), nn.Linear(4096, 5)),
    ]
    model = settle_norms(nn.Sequential(*layers))
    model.classes = CLASSES
    model.preprocessing = Preprocessing(resolution=48, mean=(0.5, 0.4, 0.5), std=(0.25, 0.25, 0.3))
    return model


@pytest.fixture(scope="module")
def sizes(plain, tmp_path_factory):
    """Bytes of the float32 artifact of a format; each is made once."""
    found = {}

    def size(name):
        if name not in found:
            folder = tmp_path_factory.mktemp("fp32")
            found[name] = export(plain, folder / f"a{FORMATS[name].suffix}").size_bytes
        return found[name]

    return size


@pytest.fixture
def images(photos):
    return Calibration(folder=photos, num_fitted=16, num_verification=20, max_loss_percent=100)


def check_entries_and_types(name, path, precision):
    artifact = FORMATS[name].artifact
    assert artifact.read_entries(path)["precision"] == f'"{precision}"'
    batch = 1 if FORMATS[name].fixed_batch else 2
    logits = artifact.run(path)(torch.zeros(batch, 3, 48, 48))
    assert (logits.shape, logits.dtype) == ((batch, 5), torch.float32)


@pytest.mark.parametrize("name", HALVED)
def test_fp16_has_half_the_size(name, plain, sizes, tmp_path):
    skip_without(name)
    done = export(plain, tmp_path / f"a{FORMATS[name].suffix}", precision="fp16")
    assert done.size_bytes < 0.6 * sizes(name)
    assert 1e-5 < done.difference <= TRAINED_LIMITS["fp16"], "rounded, and not by more"
    assert (done.precision, done.description.precision) == ("fp16", "fp16")
    assert done.top1_change_percent is None
    check_entries_and_types(name, done.path, "fp16")


@pytest.mark.parametrize("name", QUANTIZED)
def test_int8_has_a_quarter_of_the_size(name, plain, sizes, images, tmp_path, capfd):
    skip_without(name)
    said = []
    path = tmp_path / f"a{FORMATS[name].suffix}"
    done = export(plain, path, precision="int8", calibration=images, say=said.append)
    assert done.size_bytes < 0.4 * sizes(name)
    assert done.difference > 1e-4, "it computes in float"
    assert done.top1_change_percent >= -40, "it no longer agrees with the model"
    assert said[0] == "reading the calibration images"
    assert capfd.readouterr() == ("", "")
    check_entries_and_types(name, done.path, "int8")


def test_fp16_in_onnx_is_a_valid_model_of_float16(plain, tmp_path):
    before = list(sys.path)
    proto = onnx.load(export(plain, tmp_path / "a.onnx", precision="fp16").path)
    assert sys.path == before, "ONNX Runtime's tools are importable as modules of their own"
    onnx.checker.check_model(proto, full_check=True)
    kinds = {tensor.data_type for tensor in proto.graph.initializer if len(tensor.dims) == 4}
    assert kinds == {onnx.TensorProto.FLOAT16}
    ends = [*proto.graph.input, *proto.graph.output]
    assert {end.type.tensor_type.elem_type for end in ends} == {onnx.TensorProto.FLOAT}


def test_what_onnx_keeps_in_higher_precision(exported):
    proto = onnx.load(exported("onnx").path)
    nncf = type("Fake", (), {"IgnoredScope": staticmethod(lambda names, validate: names)})
    kinds = {node.name: node.op_type for node in proto.graph.node}

    def kept(attempt):
        return {kinds[name] for name in ONNX_FORM.scope(nncf, proto, attempt.kept)}

    assert kept(ATTEMPTS[0]) == set()
    assert kept(ATTEMPTS[1]) <= {"Gemm", "MatMul"} != set()
    assert kept(ATTEMPTS[3]) - kept(ATTEMPTS[1]) == {"Mul"}
    assert kept(ATTEMPTS[5]) - kept(ATTEMPTS[4]) == {"Conv"}
    names = ONNX_FORM.scope(nncf, proto, ("GroupConvolution",))
    convolutions = [name for name, kind in kinds.items() if kind == "Conv"]
    assert 0 < len(names) < len(convolutions), "only the depthwise ones"


def test_int8_with_a_fixed_batch(plain, images, tmp_path):
    size = InputSize(batch=2, resolution=40)
    done = export(plain, tmp_path / "a.xml", size=size, precision="int8", calibration=images)
    assert done.compared == ((2, 3, 40, 40),)
    assert done.description.preprocessing.resolution == 40


def test_int8_that_loses_too_much_is_not_written(plain, images, tmp_path, monkeypatch):
    monkeypatch.setattr(export_plan, "top1_change", lambda *_: -12.5)
    strict = replace(images, max_loss_percent=2)
    target = tmp_path / "new" / "a.xml"
    with pytest.raises(
        ExportError, match=r"it loses 12 points of top-1 on 20 images, the limit is 2; nothing"
    ):
        export(plain, target, precision="int8", calibration=strict)
    assert not target.parent.exists()


def test_fp16_that_differs_too_much_is_not_written(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(export_plan, "largest_difference", lambda *_: 0.02)
    with pytest.raises(ExportError, match=r"differ from PyTorch's by 2.0e-02 .* \(the limit is [5-9]e-03\)"):
        export(plain, tmp_path / "a.pt2", precision="fp16")
    assert list(tmp_path.iterdir()) == []


def test_images_are_calibrated_with_the_given_preprocessing(plain, images, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(export_plan, "top1_change", lambda _, source: seen.append(source) or 0.0)
    monkeypatch.setattr(plain, "preprocessing", None)
    given = Preprocessing(resolution=40, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5))
    target = tmp_path / "a.xml"
    with pytest.raises(InputError, match="the preprocessing of these weights is not known"):
        export(plain, target, size=InputSize(resolution=40), precision="int8", calibration=images)
    export(plain, target, preprocessing=given, precision="int8", calibration=images)
    assert seen[0].calibration_images.preprocessing == given


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("a.onnx", {"precision": "fp61"}, r"no precision 'fp61' of exports\. Did you mean fp16\?"),
        (
            "a.pte",
            {"precision": "fp16"},
            "artifacts for ExecuTorch are in fp32; fp16 is possible with the formats",
        ),
        (
            "a.pt2",
            {"precision": "int8", "calibration": "x"},
            "torch.export are in fp32 or fp16; int8 is possible",
        ),
        ("a.onnx", {"precision": "int8"}, r"give calibration=FOLDER \(--calibration FOLDER\), such as"),
        ("a.onnx", {"calibration": "x"}, "calibration is for int8, and the precision is fp32"),
        (
            "a.onnx",
            {"precision": "int8", "calibration": 5},
            "calibration must be a folder of images or a Calibration",
        ),
    ],
)
def test_impossible_precisions(name, settings, message, classifier, tmp_path):
    with pytest.raises(ConfigError, match=message):
        export(classifier, tmp_path / name, **settings)
    assert list(tmp_path.iterdir()) == []


def test_calibration_images_that_cannot_be_read(plain, images, photos, tmp_path):
    for file in (photos / "Audi A4").iterdir():
        file.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"\.png cannot be read as an image"):
        export(plain, tmp_path / "a.xml", precision="int8", calibration=images)
    with pytest.raises(DataError, match=r"there is no folder .*nowhere to calibrate with"):
        export(plain, tmp_path / "a.xml", precision="int8", calibration=tmp_path / "nowhere")
