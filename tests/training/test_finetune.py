"""Fine-tuning: the run folder, the model that comes back, going on after a stop, and every way to fail."""

import csv
import errno
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from lightcars import Recipe, evaluate, finetune, ghostnet, load, predict, report
from lightcars.data.dataset import decode
from lightcars.data.layouts import find_data, with_validation
from lightcars.data.stanford_cars import GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD
from lightcars.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DeviceError,
    InputError,
    MissingExtraError,
    NonFiniteLossError,
    RunError,
    UnknownModelError,
)
from lightcars.recipes.files import recipe_from
from lightcars.recipes.recipe import (
    NO_AUGMENTATION,
    AugmentRecipe,
    ModelRecipe,
    OptimizerRecipe,
    ScheduleRecipe,
)
from lightcars.training import finetune as finetuning
from lightcars.training import trainer as training
from lightcars.training.callbacks.metrics_csv import COLUMNS
from lightcars.training.job import for_model
from lightcars.training.optim.optimizers import parameter_groups
from lightcars.weights.checkpoint import read_card
from tests.training.tiny_settings import TINY_BLOCKS, TINY_MODEL, TINY_RECIPE

FILES = {
    "best/config.json",
    "best/model.safetensors",
    "augmented.jpg",
    "checkpoints/last.ckpt",
    "checkpoints/sha256.json",
    "curves.png",
    "last/config.json",
    "last/model.safetensors",
    "metrics.csv",
    "metrics.json",
    "predictions.csv",
    "report.html",
    "run.json",
    "tensorboard/events",
    "tensorboard/hparams.yaml",
}


def files(folder: Path) -> set[str]:
    """The files in a folder; event files, one for each start, go by one name."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name.partition(".out.tfevents.")[0] for name in names}


def in_epoch(monkeypatch, epoch: int, happen, *, at_step: int = 1) -> None:
    """Calls `happen(module)` before one training step; epochs and steps count from 1."""
    step = training.ClassifierModule.training_step

    def training_step(self, batch, batch_idx):
        if (self.current_epoch + 1, batch_idx + 1) == (epoch, at_step):
            happen(self)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(training.ClassifierModule, "training_step", training_step)


def interrupt(_module) -> None:
    raise KeyboardInterrupt


# What a run leaves


def test_the_run_folder_has_these_files_and_no_others(finished):
    assert files(finished.run) == FILES


def test_metrics_csv_has_a_row_for_each_epoch(finished):
    with (finished.run / "metrics.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == COLUMNS
    assert COLUMNS == (
        "epoch",
        "train_loss",
        "train_top1_percent",
        "val_loss",
        "val_top1_percent",
        "val_top5_percent",
        "learning_rate",
        "seconds",
    )
    assert [row[0] for row in rows[1:]] == ["1", "2", "3"]
    assert all(math.isfinite(float(value)) for row in rows[1:] for value in row)


def test_the_learning_rate_ends_at_zero(finished, table):
    rates = [float(row["learning_rate"]) for row in table(finished.run)]
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[0] <= TINY_RECIPE.optimizer.lr
    assert rates[-1] < 0.1 * TINY_RECIPE.optimizer.lr  # of the last step, one before zero


def test_metrics_json_is_the_best_row(finished, table):
    metrics = json.loads((finished.run / "metrics.json").read_text())
    assert metrics == finished.result.metrics
    rows = table(finished.run)
    best = max(rows, key=lambda row: (float(row["val_top1_percent"]), -float(row["val_loss"])))
    assert (metrics["epochs"], metrics["best_epoch"]) == (3, int(best["epoch"]))
    for name in ("train_loss", "train_top1_percent", "val_loss", "val_top1_percent", "val_top5_percent"):
        assert metrics[name] == pytest.approx(float(best[name]), rel=1e-5)


def test_run_json_has_all_that_is_needed_to_do_it_again(finished):
    content = json.loads((finished.run / "run.json").read_text())
    kept = recipe_from(content["recipe"], "run.json")
    assert kept.differences(TINY_RECIPE.settled_by(kept)) == []
    assert kept.images_on_device is False, "as was settled"
    assert content["model"]["name"] == "ghostnet_050"
    assert content["model"]["family"] == "ghostnet"
    settings = content["model"]["config"]
    assert (settings["num_classes"], settings["resolution"], settings["width"]) == (8, 32, 0.5)
    assert len(settings["blocks"]) == len(TINY_BLOCKS)
    digests = content["data"].pop("digests")
    assert digests.keys() == {"train", "val"}
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests.values())
    assert content["data"] == {
        "root": str(finished.data),
        "layout": "class folders",
        "num_classes": 8,
        "num_images": {"train": 48, "val": 24},
        "validation_seed": None,
    }
    assert content["versions"].keys() == {"python", "torch", "torchvision", "lightning"}


def test_the_curves_are_a_png(finished):
    with Image.open(finished.run / "curves.png") as image:
        image.load()
        assert image.format == "PNG"
        assert image.width > image.height > 200


@pytest.mark.parametrize("which", ["best", "last"])
def test_both_checkpoints_load_and_say_what_they_expect(finished, which):
    card = read_card(finished.run / which)
    assert card.classes == find_data(finished.data).classes
    assert (card.preprocessing.resolution, card.preprocessing.mean) == (32, RGB_MEAN)
    assert card.preprocessing.std == RGB_STD
    model = load(finished.run / which)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 8)


def test_last_is_what_resuming_would_go_on_from(finished):
    state = torch.load(finished.run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    last = load(finished.run / "last").state_dict()
    assert {f"model.{name}" for name in last} == state.keys()
    assert all(torch.equal(state[f"model.{name}"], tensor) for name, tensor in last.items())


def test_the_result_is_the_best_model_ready_to_use(finished, same_weights):
    assert same_weights(finished.result.model, load(finished.run / "best"))
    assert not finished.result.model.training


def test_a_run_folder_as_weights_means_its_best(finished, drawn, tiny, tmp_path, same_weights):
    def started_from(weights):
        model = replace(TINY_RECIPE.model, weights=str(weights))
        return tiny(drawn, tmp_path / weights.name, recipe=replace(TINY_RECIPE, model=model, epochs=1)).model

    assert same_weights(started_from(finished.run), started_from(finished.run / "best"))


def test_a_run_without_an_epoch_gives_no_weights(finished, tmp_path):
    run = shutil.copytree(finished.run, tmp_path / "run", ignore=shutil.ignore_patterns("best"))
    recipe = replace(TINY_RECIPE, model=replace(TINY_RECIPE.model, weights=str(run)))
    with pytest.raises(CheckpointError, match="no finished epoch yet"):
        finetune(finished.data, recipe=recipe, out=tmp_path / "next")


def test_its_metrics_are_what_evaluate_measures(finished):
    figures = evaluate(finished.run, finished.data)
    assert figures.num_images == 24
    assert figures.top1_percent == pytest.approx(finished.result.metrics["val_top1_percent"], abs=1e-3)
    assert figures.top5_percent == pytest.approx(finished.result.metrics["val_top5_percent"], abs=1e-3)


def test_best_is_of_the_best_epoch_not_of_the_last(drawn, tiny, tmp_path, monkeypatch, same_weights):
    log = training.ClassifierModule.log
    first = []

    def worse_and_worse(self, name, value, **settings):
        log(self, name, 50.0 - self.current_epoch if name == "val_top1_percent" else value, **settings)
        if self.current_epoch == 0:
            first[:] = [{name: tensor.clone() for name, tensor in self.model.state_dict().items()}]

    monkeypatch.setattr(training.ClassifierModule, "log", worse_and_worse)
    result = tiny(drawn, tmp_path / "run")
    assert result.metrics["best_epoch"] == 1
    assert all(torch.equal(first[0][name], tensor) for name, tensor in result.model.state_dict().items())
    assert same_weights(result.model, load(tmp_path / "run" / "best"))
    assert not same_weights(result.model, load(tmp_path / "run" / "last"))


def test_training_reduces_the_loss(drawn, tiny, tmp_path, table):
    recipe = replace(
        TINY_RECIPE,
        epochs=8,
        optimizer=OptimizerRecipe(lr=1e-2),
        label_smoothing=0.0,
        augment=NO_AUGMENTATION,
    )
    tiny(drawn, tmp_path / "run", recipe=recipe)
    losses = [float(row["train_loss"]) for row in table(tmp_path / "run")]
    assert losses[-1] < 0.95 * losses[0]


def test_the_same_seed_gives_the_same_run(drawn, tiny, finished, tmp_path, table, same_weights):
    torch.manual_seed(99)
    result = tiny(drawn, tmp_path / "run")
    assert table(result.run) == table(finished.run)
    assert same_weights(result.model, finished.result.model)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"augment": NO_AUGMENTATION},
        {"label_smoothing": 0.0},
        {"augment": AugmentRecipe(images=({"RandomRotation": {"degrees": 90}},))},
        {"augment": AugmentRecipe(images=(), tensors=({"RandomErasing": {"p": 1.0}},))},
        {"augment": AugmentRecipe(images=(), batches=({"MixUp": {"alpha": 1.0}}, {"CutMix": {}}))},
        {"optimizer": OptimizerRecipe(name="SGD", settings={"momentum": 0.9, "nesterov": True})},
        {"optimizer": OptimizerRecipe(name="RMSprop", lr=1e-2)},
        {"schedule": ScheduleRecipe(name="constant", warmup_epochs=0)},
        {"accumulate": 2},
        {"clip_norm": 1e-3, "optimizer": OptimizerRecipe(name="SGD", lr=0.1)},
        {"precision": "bf16-mixed"},
    ],
    ids=str,
)
def test_the_recipe_matters(drawn, tiny, finished, tmp_path, table, change):
    result = tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1, **change))
    (ours,), theirs = table(result.run), table(finished.run)[0]
    assert ours["train_loss"] != theirs["train_loss"]
    assert ours["val_loss"] != theirs["val_loss"]
    assert math.isfinite(float(ours["val_loss"]))


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (ScheduleRecipe(name="constant", warmup_epochs=0), [1, 1, 1]),
        (
            ScheduleRecipe(name="MultiStepLR", warmup_epochs=0, settings={"milestones": [1, 2]}),
            [1, 0.1, 0.01],
        ),
        (ScheduleRecipe(name="ExponentialLR", warmup_epochs=0, settings={"gamma": 0.5}), [1, 0.5, 0.25]),
        (
            ScheduleRecipe(
                name="ReduceLROnPlateau",
                warmup_epochs=0,
                settings={"patience": 0, "threshold": 1e3, "threshold_mode": "abs"},
            ),
            [1, 1, 0.1],
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_learning_rate_follows_the_schedule(drawn, tiny, tmp_path, table, schedule, rates):
    """The rate in the table is that of the epoch's steps."""
    tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, schedule=schedule))
    found = [float(row["learning_rate"]) for row in table(tmp_path / "run")]
    assert found == pytest.approx([1e-3 * rate for rate in rates])


def test_a_plateau_is_remembered_by_a_resumed_run(drawn, tiny, tmp_path, monkeypatch, table, same_weights):
    plateau = ScheduleRecipe(
        name="ReduceLROnPlateau",
        warmup_epochs=0,
        settings={"patience": 0, "threshold": 1e3, "threshold_mode": "abs"},
    )
    recipe = replace(TINY_RECIPE, epochs=4, schedule=plateau)
    whole = tiny(drawn, tmp_path / "whole", recipe=recipe)
    rates = [float(row["learning_rate"]) for row in table(whole.run)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])
    with monkeypatch.context() as patch:
        in_epoch(patch, 3, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "run", recipe=recipe)
    tiny(drawn, tmp_path / "run", recipe=None, resume=True)
    assert_same_run(tmp_path / "run", whole.run, table, same_weights)


def test_another_model_takes_no_settings_over():
    recipe = for_model(TINY_RECIPE, "efficientnet_b0")
    assert recipe.model == ModelRecipe(name="efficientnet_b0")
    assert for_model(TINY_RECIPE, "ghostnet_050") is TINY_RECIPE


def test_an_average_of_the_weights_is_kept_and_resumed(
    drawn, tiny, tmp_path, monkeypatch, table, same_weights
):
    recipe = replace(TINY_RECIPE, ema_decay=0.9)
    whole = tiny(drawn, tmp_path / "whole", recipe=recipe)
    plain = tiny(drawn, tmp_path / "plain", recipe=TINY_RECIPE)
    assert table(whole.run)[-1]["train_loss"] == table(plain.run)[-1]["train_loss"]
    assert table(whole.run)[-1]["val_loss"] != table(plain.run)[-1]["val_loss"]
    assert not same_weights(load(whole.run / "last"), load(plain.run / "last"))
    measured = evaluate(whole.run / "best", drawn).top1_percent
    assert measured == pytest.approx(whole.metrics["val_top1_percent"], abs=1e-3)
    with monkeypatch.context() as patch:
        in_epoch(patch, 3, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "run", recipe=recipe)
    tiny(drawn, tmp_path / "run", recipe=None, resume=True)
    assert_same_run(tmp_path / "run", whole.run, table, same_weights)


@pytest.mark.parametrize(("freeze_epochs", "moves"), [(None, False), (3, False), (1, True)])
def test_a_frozen_backbone(drawn, tiny, tmp_path, freeze_epochs, moves):
    frozen = replace(TINY_RECIPE.model, freeze_epochs=freeze_epochs)
    recipe = replace(TINY_RECIPE, model=frozen, schedule=ScheduleRecipe(name="constant", warmup_epochs=0))
    torch.manual_seed(TINY_RECIPE.seed)
    start = ghostnet("050", num_classes=8, resolution=32, **TINY_MODEL)
    tiny(drawn, tmp_path / "run", recipe=recipe)
    last = load(tmp_path / "run" / "last")
    assert torch.equal(last.stem.conv.weight, start.stem.conv.weight) != moves
    assert torch.equal(last.stem.norm.running_mean, start.stem.norm.running_mean) != moves
    assert not torch.equal(last.classifier.weight, start.classifier.weight)


def test_the_backbone_at_a_lower_rate_and_norms_without_decay():
    model = ghostnet(num_classes=8, **TINY_MODEL)
    recipe = OptimizerRecipe(lr=1.0, backbone_lr_factor=0.1, weight_decay=0.5, decay_norms=False)
    groups = parameter_groups(model, recipe)
    settings = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(settings) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        rate = 1.0 if name.startswith("classifier") else 0.1
        assert settings[id(parameter)] == (rate, 0.5 if parameter.ndim > 1 else 0.0), name
    assert len(parameter_groups(model, OptimizerRecipe())) == 1


def test_crops_are_cut_from_larger_images(drawn, tiny, tmp_path, monkeypatch):
    sizes = {}

    def noting(samples, like, *, name="", **settings):
        sizes[name] = like.resolution
        return decode(samples, like, name=name, **settings)

    monkeypatch.setattr(finetuning, "decode", noting)
    crop = AugmentRecipe(images=({"RandomResizedCrop": {"scale": [0.5, 1.0]}},))
    result = tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, decode_resolution=48, augment=crop))
    assert sizes == {"train": 48, "val": 32}
    assert result.model.preprocessing.resolution == 32


def test_training_images_are_cut_to_their_boxes(drawn_copy, tiny, tmp_path, monkeypatch):
    regions = {}

    def noting(samples, like, *, region="whole", name="", progress=False):
        regions[name] = region
        return decode(samples, like, name=name, progress=progress)

    monkeypatch.setattr(finetuning, "decode", noting)
    tiny(drawn_copy, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1, region="box"))
    assert regions == {"train": "box", "val": "whole"}
    result = tiny(drawn_copy, tmp_path / "b", recipe=replace(TINY_RECIPE, epochs=1, val_region="masked"))
    assert regions["val"] == "masked"
    with pytest.raises(DataError, match="box"):
        evaluate(result.run, drawn_copy)


def test_test_is_evaluated_once_when_asked(drawn_copy, tiny, tmp_path):
    shutil.copytree(drawn_copy / "val", drawn_copy / "test")
    result = tiny(drawn_copy, tmp_path / "run", test=True)
    assert result.metrics["test_top1_percent"] == pytest.approx(result.metrics["val_top1_percent"], abs=1e-3)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == result.metrics


def test_selecting_on_test_is_said_and_trains_on_all_of_train(drawn_copy, tiny, tmp_path):
    (drawn_copy / "val").rename(drawn_copy / "test")
    result = tiny(drawn_copy, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1, select_on="test"))
    assert result.metrics["selected_on"] == "test"
    assert "The test split selected the epoch" in (tmp_path / "run" / "report.html").read_text()
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    assert content["recipe"]["select_on"] == "test"
    assert content["data"]["num_images"] == {"train": 48, "test": 24}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"optimizer": OptimizerRecipe(settings={"momentun": 0.9})}, "AdamW does not take"),
        ({"schedule": ScheduleRecipe(name="ExponentialLR", warmup_epochs=0)}, "ExponentialLR does not take"),
        (
            {
                "schedule": ScheduleRecipe(
                    name="ReduceLROnPlateau", warmup_epochs=0, settings={"patience": "x"}
                )
            },
            "ReduceLROnPlateau does not take",
        ),
        ({"augment": AugmentRecipe(images=({"RandomRotation": {}},))}, "RandomRotation does not take"),
        ({"optimizer": OptimizerRecipe(settings={"betas": [0.9]})}, "AdamW does not take"),
        ({"optimizer": OptimizerRecipe(name="Muon", settings={"betas": [0.9]})}, "Muon does not take"),
        ({"optimizer": OptimizerRecipe(name="Muon", settings={"ns_steps": 200})}, "Muon does not take"),
        ({"optimizer": OptimizerRecipe(name="Muon", settings={"ns_steps": 2.5})}, "Muon does not take"),
        ({"precision": "16-mixed", "accelerator": "cpu"}, "needs a GPU"),
    ],
)
def test_settings_that_torch_does_not_take(drawn, tiny, tmp_path, change, text):
    with pytest.raises(ConfigError, match=text) as caught:
        tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, **change))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_nothing_is_left_elsewhere_and_the_default_folder_is_under_runs(drawn, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = tiny(drawn, None, recipe=replace(TINY_RECIPE, epochs=1))
    assert result.run.parent == Path("runs")
    assert {path.parts[0] for path in Path().iterdir()} == {"runs"}
    assert files(result.run) == FILES


def test_the_bar_counts_epochs_as_the_lines_do(drawn, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=2), progress=True)
    printed = capsys.readouterr()
    shown = printed.err
    assert printed.out == ""
    assert "epoch 1/2:" in shown, "the bar"
    assert "epoch 2/2:" in shown
    assert re.search(r"epoch 1/2  train loss", shown), "the line"
    assert "Epoch 0" not in shown


def test_shown_progress_leaves_stdout_alone(drawn, tiny, tmp_path, capsys):
    tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=2), progress=True)
    shown = capsys.readouterr()
    assert "epoch 2/2" in shown.err
    assert str(tmp_path / "run") in shown.err
    assert shown.out == ""


def test_silent_unless_asked(drawn, tiny, tmp_path, capfd):
    tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1))
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")


# Models


def test_grayscale(drawn, tiny, tmp_path):
    gray = ModelRecipe(name="ghostnet_050", settings={**TINY_MODEL, "img_channels": 1})
    result = tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1, model=gray))
    assert result.model.config.img_channels == 1
    preprocessing = read_card(tmp_path / "run" / "best").preprocessing
    assert (preprocessing.mean, preprocessing.std) == (GRAY_MEAN, GRAY_STD)
    assert evaluate(tmp_path / "run", drawn).top1_percent == pytest.approx(result.metrics["val_top1_percent"])
    assert len(predict(tmp_path / "run", next(drawn.rglob("*.png")))[0].guesses) == 5


def test_the_thesis_form(drawn, tiny, tmp_path):
    thesis = ModelRecipe(name="ghostnet_thesis", settings=TINY_MODEL)
    result = tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1, model=thesis))
    assert result.model.config.form == "thesis"
    assert evaluate(tmp_path / "run", drawn).top1_percent == pytest.approx(result.metrics["val_top1_percent"])


def test_a_replaced_head_is_trained(drawn, tiny, tmp_path):
    model = ghostnet(num_classes=5, **TINY_MODEL)
    head = model.classifier = torch.nn.Linear(16, 8)
    start = head.weight.detach().clone()
    result = tiny(drawn, tmp_path / "run", model=model, recipe=replace(TINY_RECIPE, epochs=1))
    assert model.classifier is head
    assert not torch.equal(head.weight, start)
    assert result.model.config.num_classes == 8


def test_a_changed_model_is_refused_before_the_first_epoch(drawn, tiny, tmp_path):
    model = ghostnet(num_classes=8, **TINY_MODEL)
    model.classifier = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(16, 8))
    with pytest.raises(
        ConfigError, match=r"^finetune writes .* was changed: classifier is a Sequential, not a Linear\.$"
    ):
        tiny(drawn, tmp_path / "run", model=model, recipe=replace(TINY_RECIPE, epochs=1))
    assert not (tmp_path / "run" / "metrics.csv").exists()


def test_a_model_given_as_module_gets_a_classifier_for_the_data(drawn, tiny, tmp_path):
    model = ghostnet(num_classes=5, **TINY_MODEL)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    recipe = replace(TINY_RECIPE, epochs=1, optimizer=OptimizerRecipe(lr=1e-9))
    result = tiny(drawn, tmp_path / "run", model=model, recipe=recipe)
    assert result.model.config.num_classes == 8
    for name, tensor in result.model.state_dict().items():
        if "running" in name or "num_batches" in name or name.startswith("classifier"):
            continue
        torch.testing.assert_close(tensor, start[name], rtol=0, atol=1e-6)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["model"]["config"]["num_classes"] == 8


def test_a_module_that_fits_keeps_its_classifier(drawn, tiny, tmp_path):
    model = ghostnet(num_classes=8, **TINY_MODEL)
    before = model.classifier.weight.detach().clone()
    tiny(
        drawn,
        tmp_path / "run",
        model=model,
        recipe=replace(TINY_RECIPE, epochs=1, optimizer=OptimizerRecipe(lr=1e-9)),
    )
    torch.testing.assert_close(load(tmp_path / "run" / "last").classifier.weight, before, rtol=0, atol=1e-6)


def test_without_a_resolution_it_is_the_models_own(drawn, tiny, tmp_path):
    model = ghostnet(num_classes=8, resolution=40, **TINY_MODEL)
    tiny(drawn, tmp_path / "run", model=model, recipe=replace(TINY_RECIPE, epochs=1, resolution=None))
    assert read_card(tmp_path / "run" / "best").preprocessing.resolution == 40


def of_model(**settings) -> Recipe:
    return replace(TINY_RECIPE, model=ModelRecipe(name="ghostnet_050", settings=settings))


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"test": True}, DataError, "has no split 'test'"),
        ({"model": "ghostnet_10"}, UnknownModelError, "Did you mean .*ghostnet_100"),
        ({"recipe": of_model(img_chanels=1)}, ConfigError, "Did you mean img_channels"),
        ({"recipe": of_model(img_channels=2)}, ConfigError, "1 or 3 channels, the model takes 2"),
        ({"recipe": of_model(width=0)}, ConfigError, "width must be a positive number"),
        ({"recipe": replace(TINY_RECIPE, mean=(0.5,), std=(0.5,))}, ConfigError, "have 1 channels"),
        ({"recipe": replace(TINY_RECIPE, select_on="test")}, DataError, "has no split 'test'"),
        ({"recipe": "c-99"}, ConfigError, "there is no recipe 'c-99'"),
        ({"model": ghostnet(**TINY_MODEL)}, ConfigError, "the recipe sets model.settings or model.weights"),
        ({"resume": True, "out": None}, ConfigError, "resuming needs the run folder"),
    ],
)
def test_settings_that_cannot_be_leave_nothing_behind(drawn, tmp_path, monkeypatch, settings, error, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=text) as caught:
        finetune(drawn, **{"out": "run", "recipe": TINY_RECIPE, **settings})
    assert "\n" not in str(caught.value)
    assert list(Path().iterdir()) == []


# Splits


def only_train(data: Path) -> None:
    """Puts the images of val among those of train."""
    for path in sorted((data / "val").rglob("*.png")):
        path.rename(data / "train" / path.parent.name / f"more{path.name}")
    shutil.rmtree(data / "val")


def test_without_a_val_split_a_seeded_one_is_cut_and_evaluate_uses_it(drawn_copy, tiny, tmp_path):
    only_train(drawn_copy)
    result = tiny(drawn_copy, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1, seed=3))
    described = json.loads((tmp_path / "run" / "run.json").read_text())["data"]
    assert described["validation_seed"] == 3
    assert described["num_images"] == {"train": 64, "val": 8}
    figures = evaluate(tmp_path / "run", drawn_copy)
    assert figures.num_images == 8
    assert figures.top1_percent == pytest.approx(result.metrics["val_top1_percent"], abs=1e-3)
    assert figures.top5_percent == pytest.approx(result.metrics["val_top5_percent"], abs=1e-3)
    assert evaluate(tmp_path / "run", drawn_copy, split="train").num_images == 64


def test_the_images_of_the_cut_split_are_not_trained_on(drawn_copy, tiny, tmp_path, monkeypatch):
    only_train(drawn_copy)
    decoded = {}

    def remember(samples, preprocessing, *, name, **settings):
        decoded[name] = samples
        return decode(samples, preprocessing, name=name, **settings)

    monkeypatch.setattr(finetuning, "decode", remember)
    tiny(drawn_copy, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1, seed=4))
    expected = with_validation(find_data(drawn_copy), 4)
    assert set(decoded["val"]) == set(expected.split("val"))
    assert not set(decoded["train"]) & set(decoded["val"])


def test_the_test_split_is_never_read(drawn_copy, tiny, finished, tmp_path, table):
    for kind in (drawn_copy / "train").iterdir():
        broken = drawn_copy / "test" / kind.name / "0.png"
        broken.parent.mkdir(parents=True)
        broken.write_bytes(b"")  # a warning, so an error here, if it were read
    tiny(drawn_copy, tmp_path / "run")
    assert table(tmp_path / "run") == table(finished.run)


def test_broken_images_are_left_out_with_a_count(drawn_copy, tiny, tmp_path):
    for kind, content in (("Bus", b""), ("SUV", b"not a picture")):
        path = drawn_copy / "train" / kind / "0000.png"
        path.unlink()
        path.write_bytes(content)
    with pytest.warns(UserWarning, match="^2 images of train left out: .*Bus/0000.png is empty"):
        result = tiny(drawn_copy, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1))
    assert files(result.run) == FILES


def test_a_set_smaller_than_a_batch_is_one_batch(drawn, tiny, tmp_path):
    result = tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1, batch_size=64))
    assert math.isfinite(result.metrics["train_loss"])


def test_bad_data_leave_the_run_folder_free(drawn_copy, drawn, tiny, tmp_path):
    for path in (drawn_copy / "val").rglob("*.png"):
        path.unlink()
        path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        tiny(drawn_copy, tmp_path / "run")
    tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1))


def test_data_without_training_images_leave_the_run_folder_free(drawn_copy, tiny, tmp_path):
    (drawn_copy / "train").rename(drawn_copy / "test")
    with pytest.raises(DataError, match="has no split 'train'; it has val, test"):
        tiny(drawn_copy, tmp_path / "run")
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").iterdir())


# Going on after a stop


def assert_same_run(run: Path, reference: Path, table, same_weights) -> None:
    assert table(run) == table(reference)
    for which in ("best", "last"):
        assert same_weights(load(run / which), load(reference / which))
    assert json.loads((run / "metrics.json").read_text()) == json.loads(
        (reference / "metrics.json").read_text()
    )
    assert files(run) == FILES


def test_the_report_of_a_run_that_goes_on_is_replaced_at_its_end(drawn, stopped, tiny):
    report(stopped)
    assert "not finished" in (stopped / "report.html").read_text()
    tiny(drawn, stopped, resume=True, recipe=None)
    assert "not finished" not in (stopped / "report.html").read_text()


def test_a_run_killed_behind_its_last_file_is_finished(drawn, finished, tmp_path, table, same_weights):
    run = tmp_path / "run"
    shutil.copytree(finished.run, run)
    (run / "report.html").unlink()
    shutil.copytree(run / "best", run / "initial")
    shutil.copyfile(run / "checkpoints" / "last.ckpt", run / "checkpoints" / "previous.ckpt")
    finetune(drawn, out=run, resume=True)
    assert_same_run(run, finished.run, table, same_weights)


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_run_stopped_by_the_user_ends_as_if_it_had_not_been(
    drawn, tiny, finished, tmp_path, monkeypatch, table, same_weights, epoch
):
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        in_epoch(patch, epoch, interrupt, at_step=4)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is handler
    assert (tmp_path / "run" / "metrics.csv").exists() == (epoch > 1)
    torch.manual_seed(epoch)
    result = tiny(drawn, tmp_path / "run", resume=True, recipe=TINY_RECIPE)
    assert_same_run(tmp_path / "run", finished.run, table, same_weights)
    assert same_weights(result.model, finished.result.model)


def test_the_recipe_need_not_be_given_again(
    drawn, tiny, finished, tmp_path, monkeypatch, table, same_weights
):
    with monkeypatch.context() as patch:
        in_epoch(patch, 2, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "run")
    finetune(drawn, out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", finished.run, table, same_weights)


def test_stopped_after_the_first_row_but_before_the_trainers_checkpoint(
    drawn, tiny, finished, tmp_path, monkeypatch, table, same_weights
):
    with monkeypatch.context() as patch:
        patch.setattr(training.ModelCheckpoint, "on_train_epoch_end", lambda *_: interrupt(None))
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "run")
    assert len(table(tmp_path / "run")) == 1
    tiny(drawn, tmp_path / "run", resume=True, recipe=None)
    assert_same_run(tmp_path / "run", finished.run, table, same_weights)


KILLED = """
import sys, threading
from pathlib import Path
import torch
from tests.training.tiny_settings import TINY_RECIPE
from lightcars import finetune
from lightcars.training import trainer as training

torch.set_num_threads(1)
step = training.ClassifierModule.training_step

def training_step(self, batch, batch_idx):
    if self.current_epoch == 1 and batch_idx == 2:
        Path(sys.argv[3]).touch()
        threading.Event().wait(60)
    return step(self, batch, batch_idx)

training.ClassifierModule.training_step = training_step
finetune(sys.argv[1], recipe=TINY_RECIPE, out=sys.argv[2])
"""


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(
    drawn, tiny, finished, tmp_path, table, same_weights
):
    run, marker = tmp_path / "run", tmp_path / "in-the-second-epoch"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, drawn, run, marker],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        for _ in range(1000):
            if marker.exists() or process.poll() is not None:
                break
            threading.Event().wait(0.1)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert len(table(run)) == 1
    tiny(drawn, run, resume=True, recipe=None)
    assert_same_run(run, finished.run, table, same_weights)


def test_resuming_a_finished_run_changes_nothing(drawn, tiny, finished, tmp_path, table, same_weights):
    tiny(drawn, tmp_path / "run")
    tiny(drawn, tmp_path / "run", resume=True, recipe=None)
    assert_same_run(tmp_path / "run", finished.run, table, same_weights)


@pytest.fixture
def stale(monkeypatch):
    """A validation loss that never falls, so that early stopping has its reason."""
    log = training.ClassifierModule.log

    def constant(self, name, value, **settings):
        log(self, name, torch.tensor(2.0) if name == "val_loss" else value, **settings)

    monkeypatch.setattr(training.ClassifierModule, "log", constant)


@pytest.mark.usefixtures("stale")
def test_early_stopping(drawn, tiny, tmp_path, table):
    result = tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=9, patience=2))
    assert result.metrics["epochs"] == len(table(tmp_path / "run")) == 3


@pytest.mark.usefixtures("stale")
def test_a_run_that_stopped_early_stays_stopped_when_resumed(drawn, tiny, tmp_path, table):
    tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=9, patience=2))
    before = table(tmp_path / "run")
    tiny(drawn, tmp_path / "run", resume=True, recipe=None)
    assert table(tmp_path / "run") == before


@pytest.mark.usefixtures("stale")
def test_a_run_that_stopped_early_and_then_died_trains_no_more_when_resumed(
    drawn, tiny, tmp_path, monkeypatch, table
):
    recipe = replace(TINY_RECIPE, epochs=9, patience=2)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finetuning, "draw_curves", killed)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "run", recipe=recipe)
    monkeypatch.undo()  # from here on the loss falls again
    result = tiny(drawn, tmp_path / "run", resume=True, recipe=None)
    assert result.metrics["epochs"] == len(table(tmp_path / "run")) == 3


def test_a_resumed_run_keeps_its_model_and_test(drawn, stopped, tiny):
    for change in ({"model": "ghostnet_100"}, {"test": True}):
        with pytest.raises(ConfigError, match="keeps its model and test"):
            finetune(drawn, out=stopped, resume=True, **change)
    with pytest.raises(ConfigError, match="keeps its model and test, epochs; leave them out"):
        finetune(drawn, out=stopped, resume=True, epochs=3)
    with pytest.raises(ConfigError, match=r"\(test False -> True\)"):
        finetune(drawn, out=stopped, resume=True, recipe=TINY_RECIPE, test=True)


def test_keys_of_the_recipe_are_arguments_too(drawn, tmp_path):
    changes = {"epochs": 1, "seed": 5, "batch_size": 4, "optimizer": {"lr": 0.01}}
    result = finetune(drawn, recipe=TINY_RECIPE, out=tmp_path / "run", **changes)
    recipe = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert result.metrics["epochs"] == 1
    assert (recipe["epochs"], recipe["seed"], recipe["batch_size"]) == (1, 5, 4)
    assert recipe["optimizer"]["lr"] == 0.01
    assert recipe["resolution"] == TINY_RECIPE.resolution, "the rest is the recipe's"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 1}, "no key 'epoch'. Did you mean epochs"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"source": "me"}, "no key 'source'"),
        ({"optimizer": "sgd"}, "finetune: optimizer: input should be an object, not 'sgd'"),
        ({"optimizer": {"lrr": 1}}, "there is no such setting"),
        ({"compile": "yes"}, "finetune: compile: input should be a valid boolean"),
        ({"seed": object()}, "seed must be values of a recipe"),
    ],
)
def test_bad_arguments_write_nothing(drawn, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        finetune(drawn, recipe=TINY_RECIPE, out=tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_the_same_call_resumes(drawn, tmp_path, monkeypatch):
    call = {"model": "ghostnet_050", "recipe": replace(TINY_RECIPE, model=ModelRecipe(), epochs=1)}
    with monkeypatch.context() as patch:
        in_epoch(patch, 1, interrupt)
        with pytest.raises(KeyboardInterrupt):
            finetune(drawn, out=tmp_path / "run", **call)
    assert finetune(drawn, out=tmp_path / "run", resume=True, **call).metrics["epochs"] == 1


@pytest.mark.parametrize("variable", ["NODE_RANK", "SLURM_PROCID"])
def test_one_process_of_several_that_nobody_asked_for(drawn, tiny, tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ConfigError, match=f"{variable} says"):
        tiny(drawn, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_not_overwritten(drawn, finished, tiny):
    before = {path: path.read_bytes() for path in finished.run.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=r"already holds a run.*--resume"):
        tiny(drawn, finished.run)
    assert {path: path.read_bytes() for path in finished.run.rglob("*") if path.is_file()} == before


def test_resuming_with_another_recipe(drawn, finished, tiny):
    with pytest.raises(ConfigError, match=r"was started with another recipe \(epochs 3 -> 5\)"):
        tiny(drawn, finished.run, resume=True, recipe=replace(TINY_RECIPE, epochs=5))


@pytest.fixture
def stopped(drawn, tiny, tmp_path, monkeypatch) -> Path:
    """A run that was stopped in its second epoch."""
    with monkeypatch.context() as patch:
        in_epoch(patch, 2, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "stopped")
    return tmp_path / "stopped"


def test_resuming_with_other_data(drawn_copy, stopped, tiny):
    (drawn_copy / "train" / "Bus" / "0000.png").unlink()
    with pytest.raises(DataError, match="is not the data that") as caught:
        tiny(drawn_copy, stopped, resume=True, recipe=None)
    assert str(drawn_copy) in str(caught.value)


def test_resuming_with_other_classes(drawn_copy, stopped, tiny):
    classes = drawn_copy / "classes.txt"
    names = classes.read_text().split()
    classes.unlink()
    classes.write_text("\n".join(reversed(names)))
    with pytest.raises(DataError, match="is not the data that"):
        tiny(drawn_copy, stopped, resume=True, recipe=None)


def test_resuming_where_there_is_no_run(drawn, tiny, tmp_path):
    with pytest.raises(RunError, match=f"{tmp_path} holds no run"):
        tiny(drawn, tmp_path, resume=True, recipe=None)


# What stops a run


def fill_with_nan(module) -> None:
    with torch.no_grad():
        module.model.classifier.weight.fill_(float("nan"))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_best(
    drawn, tiny, finished, tmp_path, monkeypatch, table
):
    in_epoch(monkeypatch, 2, fill_with_nan)
    with pytest.raises(
        NonFiniteLossError, match=r"became nan in epoch 2, step 1;.*lower the learning"
    ) as caught:
        tiny(drawn, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert table(tmp_path / "run") == table(finished.run)[:1]
    for which in ("best", "last"):
        model = load(tmp_path / "run" / which)
        assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert evaluate(tmp_path / "run", drawn).num_images == 24


def test_a_learning_rate_without_measure(drawn, tiny, tmp_path):
    recipe = replace(
        TINY_RECIPE, optimizer=OptimizerRecipe(lr=1e12), schedule=ScheduleRecipe(warmup_epochs=0)
    )
    with pytest.raises(
        NonFiniteLossError, match=r"in epoch 1, step \d+; lower the learning rate \(now 1e\+12\)"
    ):
        tiny(drawn, tmp_path / "run", recipe=recipe)


def test_a_validation_loss_that_is_not_finite_is_no_success(drawn, tiny, tmp_path, monkeypatch):
    step = training.ClassifierModule.validation_step

    def not_finite(self, batch, batch_idx):
        if self.current_epoch == 1:
            fill_with_nan(self)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(training.ClassifierModule, "validation_step", not_finite)
    with pytest.raises(NonFiniteLossError):
        tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, patience=5))
    assert all(tensor.isfinite().all() for tensor in load(tmp_path / "run" / "last").state_dict().values())


def no_space(*_args, **_settings):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_space_for_tensors(*_args, **_settings):
    from safetensors import SafetensorError

    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    ("target", "failure"),
    [
        ("lightcars.files.os.fsync", no_space),
        ("safetensors.torch.save_file", no_space_for_tensors),
        ("lightning.pytorch.callbacks.ModelCheckpoint._save_checkpoint", no_space),
    ],
    ids=["files", "weights", "trainer"],
)
def test_no_space_is_one_line_and_what_was_written_stays(  # noqa: PLR0917 - fixtures
    drawn, tiny, finished, tmp_path, monkeypatch, table, same_weights, target, failure
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        in_epoch(patch, 2, lambda _: patch.setattr(target, failure))
        with pytest.raises(RunError, match="No space left on device") as caught:
            tiny(drawn, run)
    assert "\n" not in str(caught.value)
    assert not [name for name in files(run) if name.endswith(".part")]
    assert table(run)[:1] == table(finished.run)[:1]
    for which in ("best", "last"):
        load(run / which)
    tiny(drawn, run, resume=True, recipe=None)
    assert_same_run(run, finished.run, table, same_weights)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_a_gpu_that_is_not_there(drawn, tiny, tmp_path, accelerator):
    with pytest.raises(DeviceError, match="no CUDA device"):
        tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, accelerator=accelerator))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("accelerator", ["tpu", "cpuu"])
def test_an_accelerator_that_is_not_there(drawn, tiny, tmp_path, accelerator):
    with pytest.raises((DeviceError, ConfigError)) as caught:
        tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, accelerator=accelerator))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_batch_of_one_that_the_model_cannot_take(drawn, tiny, tmp_path):
    recipe = replace(TINY_RECIPE, epochs=1, batch_size=1, resolution=64)
    with pytest.raises(InputError, match="batch"):
        tiny(drawn, tmp_path / "run", model="ghostnet_thesis", recipe=recipe)


@pytest.mark.parametrize("package", ["lightning", "scipy", "matplotlib"])
def test_a_missing_extra_comes_with_the_line_that_installs_it(drawn, tiny, tmp_path, monkeypatch, package):
    monkeypatch.setattr(finetuning, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(MissingExtraError, match=rf"needs {package}: pip install 'lightcars\[cars\]'"):
        tiny(drawn, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_handler_of_ctrl_c_is_as_before(drawn, tiny, tmp_path):
    def handler(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handler)
    try:
        tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1))
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_runs_in_a_thread_too(drawn, tiny, tmp_path):
    outcome = []

    def work():
        try:
            outcome.append(
                tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1)).metrics["epochs"]
            )
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome == [1]


# Processes


def test_workers_change_nothing_but_the_time(drawn, tiny, finished, tmp_path, table, same_weights):
    tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, workers=1))
    assert_same_run(tmp_path / "run", finished.run, table, same_weights)


TWO_DEVICES = """
import sys
from dataclasses import replace
import torch
from tests.training.tiny_settings import TINY_RECIPE
from lightcars import finetune

if __name__ == "__main__":
    torch.set_num_threads(1)
    recipe = replace(TINY_RECIPE, epochs=2, batch_size=4, accelerator="cpu", devices=2)
    finetune(sys.argv[1], recipe=recipe, out=sys.argv[2])
"""


@pytest.mark.slow
def test_two_devices_share_one_run_folder(drawn, tmp_path, table, run_script):
    run = tmp_path / "run"
    run_script(TWO_DEVICES, drawn, run)
    assert len(table(run)) == 2
    assert files(run) == FILES
    assert len(list((run / "tensorboard").glob("events*"))) == 1  # the first process alone
