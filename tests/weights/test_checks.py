"""Tensors that cannot be the weights of a model are refused in one line, by every way of loading."""

import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import lightcars
from lightcars.cli.main import app
from lightcars.errors import CheckpointError
from lightcars.weights.checks import check_tensors
from lightcars.weights.tensors import read_tensors

NAN, INF = float("nan"), float("inf")
NORM = "stem.norm.running_var"


def quantized() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)


def sparse_rows() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.eye(3).to_sparse_csr()


WRONG = [
    ("w", torch.tensor([1.0, NAN]), "NaN or infinite values in w;"),
    ("w", torch.tensor([1.0, INF]), "NaN or infinite values in w;"),
    ("w", torch.tensor([-INF, 1.0]).half(), "NaN or infinite values in w;"),
    ("w", torch.tensor([NAN]).bfloat16(), "NaN or infinite values in w;"),
    (NORM, torch.tensor([1.0, -1e-3]), f"negative variances in {NORM};"),
    ("w", torch.eye(3).to_sparse(), r"w in .* is a sparse tensor"),
    ("w", torch.ones(4).to(torch.float8_e4m3fn), r"w in .* is of float8_e4m3fn"),
    ("w", torch.ones(4, dtype=torch.complex64), r"w in .* is of complex64"),
    ("w", torch.ones(4, device="meta"), "has no values"),
    ("w", torch.zeros(1).expand(1000), "repeats the same values"),
]


@pytest.mark.parametrize(("name", "tensor", "message"), WRONG)
def test_wrong_tensors(name, tensor, message):
    with pytest.raises(CheckpointError, match=message) as error:
        check_tensors({"other": torch.ones(2), name: tensor}, "file")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [quantized, sparse_rows])
def test_kinds_that_warn_when_made(make):
    with pytest.raises(CheckpointError, match=r"is a (quantized|sparse) tensor"):
        check_tensors({"w": make()}, "file")


def test_many_views_of_one_tensor():
    base = torch.ones(1000)
    check_tensors({"a": base, "tied": base}, "file")
    with pytest.raises(CheckpointError, match="share 4000 bytes and would take 40000"):
        check_tensors({f"view{number}": base.view(10, 100) for number in range(10)}, "file")


def test_right_tensors():
    check_tensors({}, "file")
    tensors = {
        "half": torch.tensor([65504.0]).half(),
        "double": torch.ones(2).double(),
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(3),
        "mask": torch.tensor([True]),
        NORM: torch.zeros(3),
        "strided": torch.ones(4, 4).t()[1:, ::2],
    }
    check_tensors(tensors, "file")


def test_many_are_named_in_one_line():
    with pytest.raises(CheckpointError, match="in t0, t1, t2 and 7 more;"):
        check_tensors({f"t{number}": torch.tensor(NAN) for number in range(10)}, "file")


SMALL = {"width": 0.25, "num_classes": 4, "out_channels": 16}


def assert_refused(path, tmp_path, message):
    """By load, create_model and convert."""
    with pytest.raises(CheckpointError, match=message):
        lightcars.create_model("ghostnet_100", weights=path, **SMALL)
    target = tmp_path / "converted.safetensors"
    done = CliRunner().invoke(app, ["convert", str(path), str(target)])
    assert isinstance(done.exception, CheckpointError), done.output
    assert not target.exists()


@pytest.mark.parametrize(("value", "message"), [(NAN, "NaN or infinite"), (-2.0, "negative variances")])
def test_checkpoint_folder(value, message, tmp_path):
    folder = lightcars.save(lightcars.ghostnet(**SMALL), tmp_path / "model")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file({**tensors, NORM: torch.full_like(tensors[NORM], value)}, path)
    with pytest.raises(CheckpointError, match=message):
        lightcars.load(folder)
    assert_refused(path, tmp_path, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.to_sparse(), "sparse tensor"),
        (lambda t: t.to(torch.float8_e5m2), "float8_e5m2"),
        (lambda t: t.to("meta"), "meta"),
        (lambda t: t[:1].clone().expand_as(t), "repeats the same values"),
    ],
    ids=["sparse", "float8", "meta", "stride of 0"],
)
def test_pytorch_file(change, message, tmp_path):
    tensors = lightcars.ghostnet(**SMALL).state_dict()
    tensors["stem.conv.weight"] = change(tensors["stem.conv.weight"])
    torch.save(tensors, tmp_path / "model.pth")
    assert_refused(tmp_path / "model.pth", tmp_path, message)


def test_large_values_of_double_precision_are_finite(tmp_path):
    torch.save({"a": torch.full((2,), 1e300, dtype=torch.float64)}, tmp_path / "model.pth")
    assert read_tensors(tmp_path / "model.pth", torch.device("cpu"))["a"][0] == 1e300
