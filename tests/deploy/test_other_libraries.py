"""Models of timm and torchvision, and your own: optimized, exported and benchmarked like this library's."""

import copy
import sys

import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch import nn

from lightcars import (
    BenchSettings,
    Calibration,
    InputSize,
    Preprocessing,
    bench,
    export,
    fuse,
    optimize,
)
from lightcars.deploy import measuring
from lightcars.deploy.classifier import describe
from lightcars.deploy.formats import FORMATS
from lightcars.deploy.graphs import program_to_onnx, program_to_openvino, to_program
from lightcars.deploy.other_libraries import folded
from lightcars.deploy.source import Source
from lightcars.errors import ConfigError, ExportError, FusionError, InputError, OptimizationError
from tests.deploy.conftest import settle_norms

SIZE = 64


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(measuring, "TURNS", 1)
    monkeypatch.setattr(measuring, "TURN_S", 0.0)


def timm_model(**changes):
    torch.manual_seed(0)
    return settle_norms(timm.create_model("mobilenetv3_small_050", num_classes=7, **changes))


def torchvision_model():
    torch.manual_seed(0)
    return settle_norms(torchvision.models.shufflenet_v2_x0_5(num_classes=7))


class Plain(nn.Module):
    """A model of the user's own; subclasses change what happens between the layers."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.classifier = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 5)

    def between(self, features):
        return features

    def forward(self, images):
        return self.classifier(self.between(self.norm(self.conv(images)).mean((2, 3))))


class Branch(Plain):
    def between(self, features):
        if features.sum() > 0:
            features = features * 2
        return features


class SingularValues(Plain):
    def between(self, features):
        return torch.linalg.svdvals(features[:, :, None] * features[:, None])


MODELS = {"timm": timm_model, "torchvision": torchvision_model, "own": lambda: settle_norms(Plain())}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@torch.no_grad()
def test_every_engine_runs_them(make):
    model = make()
    fast = optimize(model, 2, input_size=SIZE, precision="fp32")
    assert {row.engine for row in fast.measurements} == {"torch", "onnxruntime", "openvino"}
    assert [row.problem for row in fast.measurements] == [None] * 3
    assert optimize(model, 2, resolution=SIZE, precision="fp32").from_cache
    for shape in [(2, 3, SIZE, SIZE), (3, 3, SIZE, SIZE), (1, 3, 48, 56)]:
        images = torch.randn(shape)
        expected = model(images)
        tolerance = 1e-4 * float(expected.abs().max())
        torch.testing.assert_close(fast(images), expected, atol=tolerance, rtol=0)
    assert fast(torch.zeros(0, 3, SIZE, SIZE)).shape == (0, expected.shape[1])
    assert fast.config is None
    with pytest.raises(InputError, match=r"takes images of shape \(N, 3, H, W\)"):
        fast(torch.zeros(1, 1, SIZE, SIZE))


def test_a_change_of_code_or_settings_is_another_model():
    plain, branch = Plain().eval(), Branch().eval()
    branch.load_state_dict(plain.state_dict())

    def digest(model):
        return Source(model=model, batch=1, resolution=SIZE, threads=1).digest()

    assert digest(plain) == digest(copy.deepcopy(plain))
    assert digest(plain) != digest(branch)
    scaled = copy.deepcopy(plain)
    scaled.scale = 2.0
    assert digest(plain) != digest(scaled)
    scaled.act = torch.relu
    other = copy.deepcopy(scaled)
    other.act = torch.tanh
    assert digest(scaled) != digest(other)


def test_what_timm_says_of_the_input():
    info = describe(timm_model())
    assert info.preprocessing == Preprocessing(
        resolution=224,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        resize="crop",
        crop_fraction=0.875,
        interpolation="bicubic",
    )
    assert (info.name, info.channels, info.resolution) == ("MobileNetV3", 3, 224)
    gray = describe(timm_model(in_chans=1))
    assert (gray.channels, gray.preprocessing) == (1, None), "its statistics are of color images"


UNUSABLE = {
    "empty": {},
    "mean": {"mean": 5},
    "crop": {"crop_mode": "border"},
    "resize": {"interpolation": "lanczos"},
}


@pytest.mark.parametrize("changes", UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_config_of_timm_is_ignored(changes):
    model = timm_model()
    model.pretrained_cfg = {**model.pretrained_cfg, **changes} if changes else {}
    assert describe(model).preprocessing is None
    model.pretrained_cfg = 5
    assert describe(model).preprocessing is None


def test_the_callers_preprocessing_and_classes_go_first(tmp_path):
    model = torchvision_model()
    assert describe(model).preprocessing is None
    with pytest.raises(ConfigError, match="ShuffleNetV2 does not state its input size; give one"):
        optimize(model)
    preprocessing = Preprocessing(resolution=SIZE, mean=(0.5,) * 3, std=(0.2,) * 3)
    done = export(model, tmp_path / "a.pt2", preprocessing=preprocessing)
    assert done.description.preprocessing == preprocessing
    assert done.compared[0] == (1, 3, SIZE, SIZE)
    model.preprocessing, model.classes = preprocessing, list("abcdefg")
    info = describe(model)
    assert (info.preprocessing, info.resolution, info.classes) == (preprocessing, SIZE, tuple("abcdefg"))
    gray = Preprocessing(resolution=64, mean=(0.5,), std=(0.2,))
    with pytest.raises(InputError, match="the preprocessing has 1 channels, ShuffleNetV2 takes 3"):
        export(model, tmp_path / "b.pt2", preprocessing=gray)
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "images" / "a.png")
    unknown = Calibration(folder=tmp_path / "images")
    with pytest.raises(InputError, match=r"give Calibration\(preprocessing"):
        optimize(torchvision_model(), input_size=SIZE, precision="int8", calibration=unknown)


@pytest.mark.parametrize("name", ["onnx", "openvino", "torch-export"])
def test_exports(name, tmp_path):
    done = export(timm_model(), tmp_path / f"a{FORMATS[name].suffix}", size=InputSize(resolution=SIZE))
    assert done.difference <= 1e-4
    assert done.description.model == "MobileNetV3"
    assert done.description.preprocessing.resolution == SIZE


@pytest.mark.parametrize("make", [timm_model, torchvision_model])
@torch.no_grad()
def test_batch_norms_are_folded(make):
    model = make()
    fast = folded(model)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in fast.modules())
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    images = torch.randn(2, 3, SIZE, SIZE)
    torch.testing.assert_close(fast(images), model(images), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_what_cannot_be_folded_is_copied():
    shared = nn.Conv2d(3, 3, 1)
    twice = nn.Sequential(shared, nn.BatchNorm2d(3), shared, nn.Flatten())
    for model in (settle_norms(twice), settle_norms(Branch())):
        fast = folded(model)
        assert any(isinstance(layer, nn.BatchNorm2d) for layer in fast.modules())
        images = torch.randn(2, 3, 32, 32)
        torch.testing.assert_close(fast(images), model(images))


def test_what_cannot_be_exported_is_named():
    branch = r"torch.export does not support this model: .*test_other_libraries.py, line \d+: if features.sum"
    with pytest.raises(ExportError, match=branch):
        to_program(Branch(), resolution=SIZE)
    program = to_program(SingularValues(), batch=1, resolution=SIZE)
    with pytest.raises(
        ExportError, match=r"^ONNX does not .* operator aten\._linalg_svd\S* is not supported$"
    ):
        program_to_onnx(program)
    with pytest.raises(ExportError, match=r"^OpenVINO .* operator aten\._linalg_svd\S* is not supported$"):
        program_to_openvino(program)
    fast = optimize(Branch(), input_size=SIZE, precision="fp32")
    assert fast.engine == "torch"
    assert "if features.sum() > 0" in fast.measurements[-1].problem


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.Linear(10, 3)),
            r"Sequential does not take images of shape \(1, 3, 64, 64\): ",
        ),
        (nn.Conv2d(3, 4, 1), r"Conv2d is not an image classifier: .*shape \(1, 4, 64, 64\), not logits"),
        (nn.LSTM(64, 2), r"LSTM does not take images of shape"),
    ],
)
def test_modules_that_are_not_image_classifiers(model, message, tmp_path):
    with pytest.raises(InputError, match=message):
        optimize(model, input_size=SIZE, engine="torch", precision="fp32")
    with pytest.raises(InputError, match=message):
        export(model, tmp_path / "a.pt2", size=InputSize(resolution=SIZE))
    assert not list(tmp_path.glob("*.pt2"))


def test_fuse_is_for_this_librarys_models():
    with pytest.raises(FusionError, match="fuse takes a model of lightcars, not a ShuffleNetV2"):
        fuse(torchvision_model())


def test_both_names_of_the_size():
    with pytest.raises(ConfigError, match="resolution and input_size are the same setting"):
        optimize(Plain(), resolution=64, input_size=64)
    with pytest.raises(OptimizationError, match="has no weights"):
        optimize(nn.Conv2d(3, 3, 1, device="meta"), input_size=64)


@pytest.mark.slow
def test_bench_measures_them():
    settings = BenchSettings(
        engines=("eager", "torch"), precisions=("fp32",), resolution=SIZE, threads=1, seconds=0.01
    )
    rows = bench({"v2": torchvision_model()}, settings).rows
    assert [row.problem for row in rows] == [None, None]
    assert {row.resolution for row in rows} == {SIZE}
    training = BenchSettings(
        train=True, batches=(2,), precisions=("fp32",), resolution=SIZE, threads=1, seconds=0.01
    )
    assert [row.problem for row in bench({"v2": torchvision_model()}, training).rows] == [None, None]


def test_bench_says_what_cannot_be_sent_to_another_process():
    model = Plain()
    model.hook = lambda: None
    with pytest.raises(ConfigError, match=r"mine cannot be sent to another process \(pickled\)"):
        bench({"mine": model}, BenchSettings(engines=("eager",), precisions=("fp32",), resolution=SIZE))
    assert "timm" in sys.modules
