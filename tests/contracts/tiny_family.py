"""What the rest of the library does with a family that it does not know by name; see test_further_family.py.

These run in a copy of the package that has the family `tiny`.
"""

import importlib.util
import json

import pytest
import torch
from typer.testing import CliRunner

import lightcars
from lightcars.cli.main import app
from lightcars.errors import CheckpointError, ConfigError
from lightcars.models.families import FAMILIES
from lightcars.models.registry import MODELS
from lightcars.weights.checkpoint import describe_config, read_config
from lightcars.weights.conversion import convert_weights
from lightcars.weights.identify import identify
from tests.conftest import ROOT

NAME = "tiny_small"


@pytest.fixture
def model():
    return lightcars.create_model(NAME, num_classes=5).eval()


def test_the_copy_is_tested():
    assert not lightcars.__file__.startswith(str(ROOT))
    assert "tiny" in FAMILIES


def test_it_is_listed():
    assert NAME in lightcars.list_models()
    assert lightcars.list_models("tiny*") == [NAME]
    assert NAME in CliRunner().invoke(app, ["list"]).output
    shown = json.loads(CliRunner().invoke(app, ["info", NAME, "--json"]).output)
    assert shown["config"]["blocks"][0] == {"channels": 8, "stride": 2}
    assert shown["num_params"] == MODELS[NAME].num_params


def test_misspelt_settings_are_errors():
    with pytest.raises(ConfigError, match=r"TinyConfig has no setting 'width'\."):
        lightcars.create_model(NAME, width=2.0)


def test_its_rows_are_read_by_their_types():
    config = MODELS[NAME].config
    described = json.loads(json.dumps(describe_config(config)))
    assert described["family"] == "tiny"
    assert read_config(described) == config
    described["config"]["blocks"][1]["stride"] = "2"
    with pytest.raises(ConfigError, match="stride must be a whole number, not '2'"):
        read_config(described)


@torch.no_grad()
def test_checkpoints(model, tmp_path):
    x = torch.randn(2, 3, 64, 64)
    folder = lightcars.save(model, tmp_path / "model", classes=list("abcde"))
    again = lightcars.load(folder)
    torch.testing.assert_close(again(x), model(x))
    assert again.classes == tuple("abcde")
    finetuned = lightcars.create_model(NAME, weights=folder, num_classes=3, img_channels=1, out_channels=32)
    assert finetuned.origin.adapted == ("stem.conv.weight",)
    assert {name.partition(".")[0] for name in finetuned.origin.initialized} == {"head", "classifier"}
    assert finetuned(x[:, :1]).shape == (2, 3)


@torch.no_grad()
def test_a_file_alone(model, tmp_path):
    lightcars.save(model, tmp_path)
    file = (tmp_path / "model.safetensors").rename(tmp_path / "alone.safetensors")
    (tmp_path / "config.json").unlink()
    assert identify(model.state_dict(), "a file") == NAME
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(lightcars.create_model(NAME, weights=file)(x), model(x))
    done = convert_weights(str(file), tmp_path / "ours", to="lightcars")
    assert (done.model, done.tensors) == (NAME, len(model.state_dict()))
    with pytest.raises(
        CheckpointError, match=r"^Tiny does not exist with the names of 'timm', only .* lightcars"
    ):
        lightcars.state_dict_for(model, "timm")


@torch.no_grad()
def test_it_is_fused_and_exported(model, tmp_path):
    x = torch.randn(1, 3, 64, 64)
    expected = model(x)
    torch.testing.assert_close(lightcars.fuse(model)(x), expected, atol=1e-5, rtol=1e-4)
    formats = ["pt2", *(["onnx"] if importlib.util.find_spec("onnxruntime") else [])]
    for suffix in formats:
        assert lightcars.export(model, tmp_path / f"tiny.{suffix}").difference < 1e-4


def test_it_has_a_model_card(model, tmp_path):
    lightcars.save_pretrained(model, tmp_path)
    assert "# Tiny" in (tmp_path / "README.md").read_text()


def test_it_is_in_the_tables_of_the_docs(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from scripts.zoo import overview

    assert f"| `{NAME}` | {MODELS[NAME].num_params:,} |" in overview.model_table()


def test_torch_hub_finds_it():
    spec = importlib.util.spec_from_file_location("hubconf", ROOT / "hubconf.py")
    hubconf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hubconf)
    assert hubconf.create_model(NAME, num_classes=2).config.num_classes == 2
    assert not hasattr(hubconf, "tiny"), "no function of its own"
