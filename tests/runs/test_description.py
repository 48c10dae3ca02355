"""`run.json`: written and read back, older versions, and damaged files."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lightcars.errors import RunError
from lightcars.models.ghost_config import GhostBlock
from lightcars.models.ghostnet.config import GhostNetConfig
from lightcars.recipes.recipe import Recipe
from lightcars.runs.description import FORMAT, TrainingSpeed, read_description, write_description
from tests.runs.descriptions import OLD_FILE, description_of

WHOLE = description_of(
    Recipe(epochs=3),
    weights="imagenet",
    training_speed=TrainingSpeed(
        chosen="32-true contiguous", milliseconds={"32-true contiguous": 3.5}, batch=8, resolution=32
    ),
    training_resolutions={1: 32, 3: 64},
    versions={"torch": "2.15.0"},
    machine="x86_64",
    trackers=("csv",),
    tracker_runs={"wandb": "abc"},
    lightcars_version="0.2.0",
)
WHOLE = replace(
    WHOLE, data=replace(WHOLE.data, digests={"train": "00ff"}, unreadable={"val": 2}, validation_seed=7)
)
SHORT = description_of(Recipe())


@pytest.mark.parametrize("description", [WHOLE, SHORT], ids=["whole", "short"])
def test_written_and_read_back(tmp_path, description):
    write_description(tmp_path / "run.json", description)
    assert read_description(tmp_path / "run.json") == description
    assert json.loads((tmp_path / "run.json").read_text())["format"] == FORMAT


def test_what_does_not_apply_is_left_out():
    content = SHORT.to_dict()
    assert not {"training_speed", "training_resolutions"} & content.keys()
    assert not {"digests", "unreadable"} & content["data"].keys()


def test_a_run_of_the_version_before():
    """Without `format`, with keys of the recipe in their old spelling, without digests."""
    assert '"trunk_lr_factor": 0.5' in OLD_FILE.read_text()
    found = read_description(OLD_FILE)
    assert found.model.name == "ghostnet_050"
    assert isinstance(found.model.config, GhostNetConfig)
    assert isinstance(found.model.config.blocks[0], GhostBlock)
    recipe = found.recipe
    assert (recipe.epochs, recipe.optimizer.backbone_lr_factor, recipe.images_on_device) == (2, 0.5, False)
    assert "ColorJitter" in recipe.augment.images[-1]
    assert found.data.root == Path("/data/cars")
    assert (found.data.num_classes, found.data.num_images) == (8, {"train": 48, "val": 24})
    assert (found.data.digests, found.data.unreadable) == ({}, {})
    assert (found.trackers, found.tracker_runs) == (("csv", "tensorboard"), {"tensorboard": "tensorboard"})
    assert found.versions["torch"] == "2.15.0"


def put(value, *keys):
    """A change of the file's content."""

    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


def without(*keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("model"), "there is no model"),
        (without("data"), "there is no data"),
        (without("recipe"), "there is no recipe"),
        (without("model", "name"), "there is no model.name"),
        (without("model", "family"), "family"),
        (without("data", "root"), "there is no data.root"),
        (without("data", "num_images"), "there is no data.num_images"),
        (put([], "model"), "model is not an object"),
        (put("x", "data"), "data is not an object"),
        (put(3, "data", "root"), "data.root is not a text"),
        (put(True, "data", "num_classes"), "data.num_classes is not a whole number"),
        (put({"train": "48"}, "data", "num_images"), "data.num_images.train is not a whole number"),
        (put("7", "data", "validation_seed"), "data.validation_seed is not a whole number"),
        (put({"train": 3}, "data", "digests"), "data.digests.train is not a text"),
        (put("resnet", "model", "family"), "unknown model family 'resnet'"),
        (put(3, "model", "config"), ""),
        (put({"epochs": 0}, "recipe"), "epochs must be"),
        (put({"epoch": 3}, "recipe"), "there is no such setting"),
        (put("csv", "trackers"), "trackers is not a list"),
        (put([3], "trackers"), "trackers is not a text"),
        (put([], "tracker_runs"), "tracker_runs is not an object"),
        (put({"x": 1}, "versions"), "versions.x is not a text"),
        (put({"one": 32}, "training_resolutions"), "'one' is not an epoch"),
        (put({}, "training_speed"), "there is no training_speed.chosen"),
        (put("another", "training_speed", "chosen"), "training_speed.milliseconds does not have 'another'"),
        (put(FORMAT + 1, "format"), "a newer lightcars wrote it"),
        (put(-1, "format"), "a newer lightcars wrote it"),
        (put("1", "format"), "format is not a whole number"),
    ],
)
def test_an_incomplete_file_is_one_line(tmp_path, change, reason):
    content = copy.deepcopy(WHOLE.to_dict())
    change(content)
    assert_refused(tmp_path, json.dumps(content), reason)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        '{"recipe": 3}',
        '{"recipe": {}, "trackers": 3}',
        "[" * 100_000,
        '{"a":' * 50_000,
        '{"format": NaN}',
        '{"format": -Infinity}',
        '{"format": ' + "9" * 5000 + "}",
        "\ud83d".encode("utf-8", "surrogatepass"),
        b"\xff\xfe",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_damaged_file_is_one_line(tmp_path, text):
    assert_refused(tmp_path, text, "")


def assert_refused(folder, text, reason) -> None:
    path = folder / "run.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RunError) as caught:
        read_description(path)
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be read (")
    assert reason in message
    assert "\n" not in message


def test_a_folder_in_its_place(tmp_path):
    with pytest.raises(RunError, match="Is a directory"):
        read_description(tmp_path)


def test_the_speed_in_a_line():
    milliseconds = {"32-true contiguous": 412.0, "bf16-mixed channels_last": 229.0}
    speed = TrainingSpeed(
        chosen="bf16-mixed channels_last", milliseconds=milliseconds, batch=64, resolution=224
    )
    assert str(speed) == (
        "training in bf16-mixed channels_last: 1.80x the speed of 32-true contiguous here"
        " (412 -> 229 ms for 64 images of 224 px, forward and backward)"
    )
    assert str(replace(speed, chosen="32-true contiguous")) == (
        "training in 32-true contiguous: 412 ms for 64 images of 224 px, forward and backward"
    )
