"""Temperature and familiarity travel with the weights, and never with other ones."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lightcars import create_model, fuse, ghostnet, load, save
from lightcars.errors import CheckpointError, ConfigError
from lightcars.models.familiarity import Familiarity
from lightcars.weights.conversion import convert_weights
from lightcars.weights.hub import CONFIG_FILE, FAMILIARITY_FILE

CHANGES = {"width": 0.1, "num_classes": 5, "out_channels": 16}
FEATURES = 40


@pytest.fixture
def model():
    made = ghostnet(**CHANGES)
    made.classes, made.temperature = ("a", "b", "c", "d", "e"), 0.75
    assert sum(info.channels for info in made.feature_info) == FEATURES
    parts = {"mean": (FEATURES,), "directions": (FEATURES, 3), "centers": (5, 3)}
    made.familiarity = Familiarity(
        **{name: torch.rand(size).half() for name, size in parts.items()}, limit=1.5
    )
    return made


@pytest.fixture
def folder(model, tmp_path):
    return save(model, tmp_path / "checkpoint")


def assert_same(ours, theirs):
    assert ours.temperature == theirs.temperature
    assert ours.familiarity.limit == theirs.familiarity.limit
    assert torch.equal(ours.familiarity.mean, theirs.familiarity.mean)
    assert torch.equal(ours.familiarity.directions, theirs.familiarity.directions)
    assert torch.equal(ours.familiarity.centers, theirs.familiarity.centers)


def test_they_come_back(model, folder):
    assert_same(load(folder), model)
    assert_same(create_model("ghostnet_100", weights=folder, width=0.1), model)


def test_fresh_models_and_old_checkpoints_have_none(folder, tmp_path):
    assert (ghostnet(**CHANGES).temperature, ghostnet(**CHANGES).familiarity) == (1.0, None)
    (folder / FAMILIARITY_FILE).unlink()
    config = json.loads((folder / CONFIG_FILE).read_text())
    del config["temperature"], config["familiarity"]
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    assert (load(folder).temperature, load(folder).familiarity) == (1.0, None)


def test_another_model_takes_neither(model, folder):
    save(ghostnet(**CHANGES), folder)
    assert not (folder / FAMILIARITY_FILE).exists()
    assert load(folder).temperature == 1.0


def test_another_classifier_takes_neither(model, folder):
    other = create_model("ghostnet_100", weights=folder, width=0.1, num_classes=7)
    assert (other.temperature, other.familiarity) == (1.0, None)
    model.reset_classifier(7)
    assert (model.temperature, model.familiarity) == (1.0, None)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("mean", torch.zeros(7)),
        ("directions", torch.zeros(7, 3)),
        ("centres", torch.zeros(5, 2)),
        ("centres", torch.zeros(0, 3)),
        ("centres", torch.zeros(3)),
        ("centres", torch.tensor(1.0)),
        ("directions", torch.tensor(1.0)),
        ("mean", torch.zeros(FEATURES, dtype=torch.int64)),
        ("mean", torch.full((FEATURES,), float("nan"))),
        ("limit", torch.tensor(float("nan"))),
        ("limit", torch.tensor(2)),
        ("limit", torch.tensor(-1.0)),
        ("limit", torch.zeros(2)),
        ("more", torch.zeros(1)),
    ],
)
def test_a_file_that_does_not_fit(folder, name, tensor):
    path = folder / FAMILIARITY_FILE
    save_file({**load_file(path), name: tensor}, path)
    with pytest.raises(CheckpointError, match=r"familiarity\.safetensors .*copy it again"):
        load(folder)


def test_a_file_without_directions(folder):
    path = folder / FAMILIARITY_FILE
    empty = {"directions": torch.zeros(FEATURES, 0), "centres": torch.zeros(5, 0)}
    save_file({**load_file(path), **empty}, path)
    with pytest.raises(CheckpointError, match="does not fit the model"):
        load(folder)


def test_a_file_that_is_cut_off(folder):
    path = folder / FAMILIARITY_FILE
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"familiarity\.safetensors cannot be read"):
        load(folder)


def test_a_file_that_is_missing(folder):
    (folder / FAMILIARITY_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"there is no file .*familiarity\.safetensors"):
        load(folder)


def test_an_invalid_temperature_is_not_saved(model, folder):
    model.temperature = 0.0
    before = (folder / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(ConfigError, match="temperature must be a positive number"):
        save(model, folder)
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_fused_model_and_a_converted_folder_keep_them(model, folder, tmp_path):
    assert_same(fuse(model.eval()), model)
    convert_weights(str(folder), tmp_path / "converted", to="lightcars")
    assert_same(load(tmp_path / "converted"), model)


@pytest.mark.parametrize("value", [0, -1, "warm", None, float("inf")])
def test_an_invalid_temperature(folder, value):
    config = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps({**config, "temperature": value}))
    with pytest.raises(CheckpointError, match="temperature must be a positive number"):
        load(folder)
