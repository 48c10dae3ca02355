"""Checkpoints: exact both ways, written whole or not at all, every fault told in one error of ours."""

import copy
import json
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lightcars.errors import CheckpointError, DeviceError, RunError
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.registry import MODELS
from lightcars.weights.checkpoint import Card, describe_config, load, read_card, read_config, save
from lightcars.zoo import create_model, efficientnet, ghostnet

PREPROCESSING = Preprocessing(
    resolution=96,
    mean=(0.1, 0.2, 0.3),
    std=(0.5, 0.6, 0.7),
    resize="crop",
    crop_fraction=0.875,
    interpolation="bicubic",
)


def model_of_five(**changes) -> ImageModel:
    return ghostnet(width=0.1, num_classes=5, out_channels=16, **changes)


@pytest.fixture
def model() -> ImageModel:
    return model_of_five()


@pytest.fixture
def folder(model, tmp_path) -> Path:
    return save(model, tmp_path / "checkpoint")


def assert_equal_states(ours: nn.Module, theirs: nn.Module) -> None:
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for (name, tensor), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert tensor.dtype == other.dtype, name
        assert torch.equal(tensor, other), name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# What goes in comes out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["ghostnet_100", "ghostnet_thesis", "efficientnet_b0"])
def test_every_tensor_is_exact(name, dtype, tmp_path, randomize_norms):
    model = randomize_norms(create_model(name, width=0.1, num_classes=3)).to(dtype)
    again = load(save(model, tmp_path))
    assert_equal_states(again, model)
    assert again.config == model.config
    assert not again.training
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_mixed_precision_is_kept(model, tmp_path):
    model.half()
    model.classifier.float()
    assert_equal_states(load(save(model, tmp_path)), model)


def test_channels_last_compiled_and_training_models(model, tmp_path):
    expected = copy.deepcopy(model)
    model.to(memory_format=torch.channels_last).train()
    assert_equal_states(load(save(torch.compile(model, backend="eager"), tmp_path)), expected)
    assert model.training, "saving leaves the mode"


@pytest.mark.parametrize("num_classes", [0, 1])
def test_other_numbers_of_classes(num_classes, tmp_path):
    model = model_of_five()
    model.reset_classifier(num_classes)
    assert_equal_states(load(save(model, tmp_path)), model)


def test_saving_what_was_loaded_over_itself(folder):
    first = load(folder)
    save(first, folder)
    assert_equal_states(load(folder), first)


def test_a_run_folder_is_its_best_epoch(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run" / "best")
    (tmp_path / "run" / "run.json").write_text("{}")
    expected, found = load(folder).state_dict(), load(tmp_path / "run").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_loaded_weights_can_be_trained_without_touching_the_file(folder):
    before = (folder / "model.safetensors").read_bytes()
    loaded = load(folder).train()
    loaded(torch.randn(4, 3, 64, 64)).sum().backward()
    torch.optim.SGD(loaded.parameters(), lr=0.1).step()
    assert (folder / "model.safetensors").read_bytes() == before


def test_loading_draws_no_random_numbers(folder):
    state = torch.get_rng_state()
    load(folder)
    assert torch.equal(torch.get_rng_state(), state)


def test_table_of_the_users_own(tmp_path):
    config = efficientnet(device="meta").config
    model = efficientnet(width=0.1, stages=config.stages[:2], padding="same", num_classes=2)
    again = load(save(model, tmp_path))
    assert again.config == model.config
    assert hash(again.config) == hash(model.config)


def test_card_holds_classes_and_preprocessing(model, tmp_path):
    classes = ["Audi TT", "Škoda 120", 'a "quote"', "five", "\N{AUTOMOBILE}"]
    save(model, tmp_path, classes=classes, preprocessing=PREPROCESSING)
    card = read_card(tmp_path)
    assert card == Card(config=model.config, classes=tuple(classes), preprocessing=PREPROCESSING)
    assert "Škoda 120" in (tmp_path / "config.json").read_text(encoding="utf-8"), "readable by people"


def test_card_without_classes_and_preprocessing(folder, model):
    assert read_card(folder) == Card(config=model.config)


def test_card_is_read_without_the_weights(folder):
    (folder / "model.safetensors").unlink()
    assert read_card(folder).config.num_classes == 5


@pytest.mark.parametrize("name", MODELS)
def test_config_survives_json(name):
    config = MODELS[name].config
    assert read_config(json.loads(json.dumps(describe_config(config)))) == config


def test_files_are_the_usual_two(folder):
    assert names(folder) == ["config.json", "model.safetensors"]
    data = json.loads((folder / "config.json").read_text())
    assert (data["format"], data["family"]) == (1, "ghostnet")
    with safetensors.safe_open(folder / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_folder_can_be_a_string_and_is_made(model, tmp_path):
    target = save(model, str(tmp_path / "a" / "b"))
    assert target == tmp_path / "a" / "b"
    assert load(str(target)).config == model.config


# What cannot be saved


@pytest.mark.parametrize("other", [nn.Linear(2, 2), nn.DataParallel(nn.Linear(2, 2)), None, {}])
def test_only_models_of_ours_are_saved(other, tmp_path):
    kind = "Linear" if isinstance(other, nn.Module) else type(other).__name__
    with pytest.raises(CheckpointError, match=f"save takes a model of lightcars, not a {kind}"):
        save(other, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("classes", [[], ["one"], ["one"] * 6])
def test_class_names_must_match_the_outputs(classes, model, tmp_path):
    with pytest.raises(CheckpointError, match=f"^{len(classes)} class names for 5 outputs"):
        save(model, tmp_path, classes=classes)
    assert names(tmp_path) == []


def test_a_changed_model_is_refused_before_anything_is_written(model, tmp_path):
    model.stem.act = nn.GELU()
    model.classifier = nn.Sequential(nn.Dropout(), nn.Linear(16, 5))
    with pytest.raises(
        CheckpointError,
        match=r"changed: stem\.act is a GELU, not a ReLU; classifier is a Sequential, not a Linear\.$",
    ):
        save(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("num_classes", [0, 3, 5])
def test_a_replaced_linear_head_comes_back(num_classes, model, tmp_path):
    model.classes, model.temperature = tuple("abcde"), 2.0
    model.classifier = nn.Linear(16, num_classes) if num_classes else nn.Identity()
    again = load(save(model, tmp_path))
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(again(x), model.eval()(x))
    assert again.config.num_classes == num_classes
    assert again.classes == (tuple("abcde") if num_classes == 5 else None)
    assert again.temperature == (2.0 if num_classes == 5 else 1.0)


def test_model_without_weights_cannot_be_saved(tmp_path):
    with pytest.raises(CheckpointError):
        save(model_of_five(device="meta"), tmp_path)


def test_file_in_place_of_the_folder(model, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        save(model, tmp_path / "taken")


def fail_with(error: Exception):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(28, "No space left on device"), RunError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (safetensors.SafetensorError("I/O error: No space left on device (os error 28)"), RunError),
    ],
    ids=["disk", "interrupt", "safetensors"],
)
def test_old_checkpoint_is_intact_when_writing_fails_midway(error, raised, folder, model, monkeypatch):
    def half(tensors, path, metadata):
        Path(path).write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(safetensors.torch, "save_file", half)
    with pytest.raises(raised):
        save(model_of_five(), folder)
    assert names(folder) == ["config.json", "model.safetensors"]
    assert_equal_states(load(folder), model)


def test_full_disk_is_a_run_error(folder, model, monkeypatch):
    monkeypatch.setattr(os, "fsync", fail_with(OSError(28, "No space left on device")))
    with pytest.raises(RunError, match="No space left on device"):
        save(model_of_five(), folder)
    monkeypatch.undo()
    assert_equal_states(load(folder), model)
    assert names(folder) == ["config.json", "model.safetensors"]


# What cannot be loaded


def edit_tensors(folder: Path, edit) -> None:
    path = folder / "model.safetensors"
    tensors = dict(load_file(path))
    edit(tensors)
    save_file(tensors, path)


def test_every_key_that_does_not_fit_is_listed(folder):
    def edit(tensors):
        del tensors["stem.conv.weight"], tensors["classifier.bias"]
        tensors["stem.weight"] = torch.zeros(1)
        tensors["extra"] = torch.zeros(1)
        tensors["classifier.weight"] = torch.zeros(7, 16)

    edit_tensors(folder, edit)
    with pytest.raises(CheckpointError) as error:
        load(folder)
    message = str(error.value)
    assert str(folder) in message
    assert "missing: stem.conv.weight, classifier.bias;" in message
    assert "unexpected: extra, stem.weight;" in message
    assert "mis-shaped: classifier.weight (7, 16) for (5, 16)." in message
    assert "\n" not in message


def test_a_missing_classifier_is_listed_and_not_sampled(folder):
    path = folder / "model.safetensors"
    tensors = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("classifier.")}
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"missing: classifier\.weight, classifier\.bias\."):
        load(folder)


def test_file_without_tensors(folder):
    edit_tensors(folder, dict.clear)
    with pytest.raises(CheckpointError, match=r"missing: stem\.conv\.weight, "):
        load(folder)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool])
def test_weights_that_are_no_fractions(dtype, folder):
    edit_tensors(
        folder, lambda tensors: tensors.update({"stem.conv.weight": tensors["stem.conv.weight"].to(dtype)})
    )
    with pytest.raises(CheckpointError, match=r"stem\.conv\.weight"):
        load(folder)


def test_weights_of_another_family(folder, tmp_path):
    other = save(efficientnet(width=0.1, num_classes=5), tmp_path / "other")
    (other / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"missing: .*; unexpected: "):
        load(folder)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -1])
def test_truncated_weights(keep, folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"model\.safetensors (cannot be read|is empty) .*copy or"):
        load(folder)


@pytest.mark.parametrize("content", [b"PK\x03\x04 a pickle in a zip", b"\xff" * 64, b"{}"])
def test_weights_that_are_something_else(content, folder):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(folder)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("config.json", "contains no config.json"), ("model.safetensors", "contains no model.safetensors")],
)
def test_missing_files(missing, message, folder):
    (folder / missing).unlink()
    with pytest.raises(CheckpointError, match=message):
        load(folder)
    (folder / missing).mkdir()
    with pytest.raises(CheckpointError, match=message):
        load(folder)


@pytest.mark.parametrize("path", ["nowhere", "note.txt", ""])
def test_no_checkpoint_there(path, tmp_path):
    (tmp_path / "note.txt").write_text("")
    with pytest.raises(CheckpointError, match=r"config\.json; give a folder that lightcars\.save wrote"):
        load(tmp_path / path)


def test_no_such_device(folder):
    with pytest.raises(DeviceError):
        load(folder, device="nonsense")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"3",
        b'"text"',
        b"{}",
        b"\xff\xfe",
        b'{"family": "ghostnet"}',
        b"{'family': 1}",
    ],
)
def test_broken_config(content, folder):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json is not a lightcars config \("):
        load(folder)


def edit_card(folder: Path, edit) -> None:
    path = folder / "config.json"
    card = json.loads(path.read_text())
    edit(card)
    path.write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda card: card["config"].update(new_setting=1),
            "unknown settings new_setting; a newer lightcars",
        ),
        (lambda card: card.update(family="resnet"), "unknown model family 'resnet'; a newer lightcars"),
        (lambda card: card.update(family=["ghostnet"]), "unknown model family ['ghostnet']"),
        (lambda card: card.update(family="efficientnet"), "unknown settings blocks, form"),
        (lambda card: card.update(config=None), "GhostNetConfig must be a mapping of settings, not None"),
        (lambda card: card["config"].update(width=-1), "width must be a positive number"),
        (lambda card: card["config"].update(width=float("nan")), "width must be a positive number"),
        (lambda card: card["config"].update(num_classes="5"), "num_classes must be a whole number, not '5'"),
        (
            lambda card: card["config"].update(num_classes=True),
            "num_classes must be a whole number, not True",
        ),
        (lambda card: card["config"].update(form=["thesis"]), "form must be one of official, thesis, not ["),
        (lambda card: card["config"]["blocks"][0].update(squeeze=1), "squeeze must be true or false, not 1"),
        (lambda card: card["config"]["blocks"][0].pop("stride"), "GhostBlock lacks stride"),
        (lambda card: card["config"].update(blocks=5), "blocks must be a list, not 5"),
        (lambda card: card["config"].update(blocks=[3]), "GhostBlock must be a mapping of settings, not 3"),
        (lambda card: card["config"].update(blocks=[{"kernel": 3}]), "unknown settings kernel"),
        (lambda card: card.update(classes=5), "classes must be a list of names"),
        (lambda card: card.update(preprocessing=[1]), "Preprocessing must be a mapping of settings"),
        (lambda card: card.update(preprocessing={"mean": [0.5]}), "Preprocessing lacks resolution, std"),
        (
            lambda card: card.update(preprocessing={"mean": 1, "std": 1, "resolution": 2}),
            "mean must be a list, not 1",
        ),
    ],
)
def test_invalid_config(edit, message, folder):
    edit_card(folder, edit)
    with pytest.raises(CheckpointError, match="is not a lightcars config") as error:
        load(folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_that_a_newer_version_may_leave_out_take_their_defaults(folder, model):
    edit_card(folder, lambda card: card["config"].pop("dropout"))
    assert load(folder).config.dropout == model.config.dropout == 0.2


@pytest.mark.parametrize(
    "edit",
    [
        lambda card: card.update(format=2),
        lambda card: card.update(classes=["only one"]),
        lambda card: card.update(classes="abcde"),
        lambda card: card["config"].update(blocks=[]),
        lambda card: card["config"]["blocks"][0].update(hidden_channels="many"),
        lambda card: card["config"].update(num_classes=10**30),
        lambda card: card.update(preprocessing={"mean": [0.5], "std": [0.5], "resolution": "big"}),
    ],
    ids=["format", "classes", "letters", "no blocks", "block", "huge", "preprocessing"],
)
def test_invalid_config_that_passes(edit, folder):
    edit_card(folder, edit)
    with pytest.raises(CheckpointError):
        load(folder)


def test_config_nested_too_deeply(folder):
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError):
        load(folder)


def test_config_and_weights_that_do_not_belong_together(folder):
    edit_card(folder, lambda card: card["config"].update(num_classes=6))
    with pytest.raises(CheckpointError, match=r"mis-shaped: classifier\.weight \(5, 16\) for \(6, 16\)"):
        load(folder)
