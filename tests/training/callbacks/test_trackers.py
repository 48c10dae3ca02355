"""Trackers beside a run: what they are told, how a resumed run goes on in them, and that none can stop it."""

import errno
import json
import os
import shutil
import sys
import threading
from dataclasses import replace

import pytest
from lightning.pytorch.loggers.logger import DummyLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightcars import load
from lightcars.errors import ConfigError, MissingExtraError, RunError
from lightcars.training.callbacks import trackers
from lightcars.training.callbacks.metrics_csv import COLUMNS
from lightcars.training.callbacks.trackers import grouped, tell
from lightcars.training.module import ClassifierModule
from tests.training.callbacks.fake_trackers import fake_mlflow, fake_wandb
from tests.training.test_finetune import in_epoch, interrupt
from tests.training.tiny_settings import TINY_RECIPE

STEPS = 6
"""Optimizer steps of an epoch of the tiny recipe."""


def described(run) -> dict:
    return json.loads((run / "run.json").read_text())


def curve(run, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def assert_as_finished(run, finished, table, same_weights) -> None:
    assert table(run) == table(finished.run)
    assert json.loads((run / "metrics.json").read_text()) == finished.result.metrics
    for which in ("best", "last"):
        assert same_weights(load(run / which), load(finished.run / which))


# TensorBoard


def test_tensorboard_shows_the_metrics_of_metrics_csv(finished, table):
    rows = table(finished.run)
    for name in set(COLUMNS) - {"seconds"}:
        points = curve(finished.run, grouped(name))
        assert [step for step, _ in points] == [STEPS, 2 * STEPS, 3 * STEPS]
        assert [value for _, value in points] == pytest.approx([float(row[name]) for row in rows], rel=1e-5)


def test_tensorboard_groups_by_split_and_shows_the_first_batch(finished):
    events = EventAccumulator(str(finished.run / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    groups = {
        name: {tag.partition("/")[2] for tag in tags["scalars"] if tag.startswith(f"{name}/")}
        for name in ("train", "val")
    }
    assert groups["train"] == {"loss", "top1_percent", "learning_rate", "seconds"}
    assert groups["val"] == {"loss", "top1_percent", "top5_percent"}
    assert tags["images"] == ["train/augmented"]
    with Image.open(finished.run / "augmented.jpg") as picture:
        shown = events.Images("train/augmented")[0]
        assert (shown.step, shown.width, shown.height) == (0, *picture.size)


def test_tensorboard_has_the_recipe(finished):
    events = EventAccumulator(str(finished.run / "tensorboard"))
    events.Reload()
    assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")
    assert "optimizer.lr: 0.001\n" in (finished.run / "tensorboard" / "hparams.yaml").read_text()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_training_loss_of_every_few_steps(drawn, tiny, tmp_path, monkeypatch, accumulate):
    losses = []
    compute = ClassifierModule.training_step

    def training_step(self, batch, batch_idx):
        loss = compute(self, batch, batch_idx)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr(trackers, "STEPS_BETWEEN", 2)
    monkeypatch.setattr(ClassifierModule, "training_step", training_step)
    tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=2, accumulate=accumulate))
    points = curve(tmp_path / "run", "train/loss_step")
    steps = [step for step, _ in points]
    assert steps == list(range(2, 2 * STEPS // accumulate + 1, 2))
    assert [value for _, value in points] == pytest.approx([losses[step * accumulate - 1] for step in steps])


def test_metrics_of_the_split_that_chose_say_so(drawn_copy, tiny, tmp_path):
    (drawn_copy / "val").rename(drawn_copy / "test")
    run = tmp_path / "run"
    tiny(drawn_copy, run, recipe=replace(TINY_RECIPE, epochs=1, select_on="test"))
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    tags = events.Tags()["scalars"]
    assert "val/top1_percent_chosen_on_test" in tags
    assert "val/loss_chosen_on_test" in tags
    assert not {"val/top1_percent", "val/top5_percent", "val/loss"} & set(tags)
    assert "train/loss" in tags


@pytest.mark.parametrize("there", [False, True])
def test_ctrl_c_while_a_tracker_starts_leaves_nothing(drawn, tiny, tmp_path, monkeypatch, there):
    def waiting(*_):
        raise KeyboardInterrupt

    run = tmp_path / "run"
    if there:
        run.mkdir()
    monkeypatch.setitem(trackers._OPENERS, "tensorboard", waiting)
    with pytest.raises(KeyboardInterrupt):
        tiny(drawn, run)
    assert list(tmp_path.rglob("*")) == ([run] if there else [])


def test_none_switches_tensorboard_off(drawn, tiny, finished, tmp_path, table, same_weights):
    tiny(drawn, tmp_path / "run", trackers=("none",))
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert described(tmp_path / "run")["trackers"] == []
    assert_as_finished(tmp_path / "run", finished, table, same_weights)


def test_a_resumed_run_has_each_step_once(drawn, tiny, finished, tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "STEPS_BETWEEN", 1)
    with monkeypatch.context() as patch:
        in_epoch(patch, 2, interrupt, at_step=4)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "run")
    assert [step for step, _ in curve(tmp_path / "run", "train/loss_step")] == list(range(1, STEPS + 4))
    tiny(drawn, tmp_path / "run", resume=True, recipe=None)
    assert len(list((tmp_path / "run" / "tensorboard").glob("events*"))) == 2
    assert [step for step, _ in curve(tmp_path / "run", "train/loss_step")] == list(range(1, 3 * STEPS + 1))
    assert curve(tmp_path / "run", "val/loss") == curve(finished.run, "val/loss")


# Weights & Biases, MLflow


@pytest.fixture
def wandb(monkeypatch):
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return fake_wandb(monkeypatch)


@pytest.fixture
def mlflow(monkeypatch):
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return fake_mlflow(monkeypatch)


def test_wandb_is_told_all_and_gone_on_with(drawn, tiny, finished, tmp_path, monkeypatch, wandb, table):
    run = tmp_path / "first"
    with monkeypatch.context() as patch:
        in_epoch(patch, 3, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, run, trackers=("wandb",))
    tiny(drawn, run, resume=True, recipe=None)
    begun, resumed = wandb
    assert begun.settings["name"] == "first"
    assert begun.settings["project"] == "lightcars"
    assert begun.settings["dir"] == str(run)
    assert begun.config.values["optimizer"]["lr"] == 1e-3
    assert (begun.exit_code, resumed.exit_code) == (1, 0)
    assert resumed.settings["id"] == begun.id == described(run)["tracker_runs"]["wandb"]
    assert resumed.settings["resume"] == "allow"
    rows = table(finished.run)
    logged = [*begun.logged, *resumed.logged]
    assert [figures["trainer/global_step"] for figures in logged] == [STEPS, 2 * STEPS, 3 * STEPS]
    for figures, row in zip(logged, rows, strict=True):
        assert figures["val_loss"] == pytest.approx(float(row["val_loss"]), rel=1e-5)
        assert set(COLUMNS) < figures.keys()


def test_mlflow_is_told_all_and_gone_on_with(drawn, tiny, tmp_path, monkeypatch, mlflow):
    run = tmp_path / "first"
    with monkeypatch.context() as patch:
        in_epoch(patch, 3, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, run, trackers=("mlflow",))
    tiny(drawn, run, resume=True, recipe=replace(TINY_RECIPE, workers=1))
    ((run_id, kept),) = mlflow.runs.items()
    assert described(run)["tracker_runs"] == {"mlflow": run_id}
    assert kept.info.experiment_id == "lightcars"
    assert kept.tags["mlflow.runName"] == "first"
    assert kept.params["optimizer.lr"] == "0.001"
    assert kept.status == ["RUNNING", "FAILED", "RUNNING", "FINISHED"]
    losses = [(metric.step, metric.value) for metric in kept.metrics if metric.key == "val_loss"]
    assert [step for step, _ in losses] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert {metric.key for metric in kept.metrics} == set(COLUMNS)


@pytest.mark.usefixtures("wandb", "mlflow")
def test_their_own_variables_name_the_project(drawn, tiny, tmp_path, monkeypatch, wandb, mlflow):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
    tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1), trackers=("wandb", "mlflow"))
    assert wandb[0].settings["project"] == "mine"
    assert set(mlflow.experiments) == {"ours"}


def test_another_choice_at_resuming_is_kept(drawn, tiny, tmp_path, monkeypatch, wandb):
    run = tmp_path / "run"
    for epoch, settings in (
        (2, {"trackers": ("csv", "wandb")}),
        (3, {"trackers": ("none",), "resume": True}),
    ):
        with monkeypatch.context() as patch:
            in_epoch(patch, epoch, interrupt)
            with pytest.raises(KeyboardInterrupt):
                tiny(drawn, run, **settings)
    assert len(wandb) == 1
    assert described(run)["trackers"] == []
    tiny(drawn, run, resume=True, recipe=None, trackers=("wandb",))
    assert [each.id for each in wandb] == [described(run)["tracker_runs"]["wandb"]] * 2


@pytest.mark.skipif("wandb" in sys.modules, reason="the stand-in is in place")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_the_packages_themselves_without_a_network(drawn, tiny, finished, tmp_path, monkeypatch, name, table):
    """Needs `pip install wandb mlflow`, which the tests do not ask for."""
    pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    tiny(drawn, tmp_path / "run", trackers=(name,))
    assert table(tmp_path / "run") == table(finished.run)
    assert described(tmp_path / "run")["tracker_runs"][name]


# Trackers that fail


class Failing(DummyLogger):
    """A logger of which one method fails, from a certain call on."""

    def __init__(self, method: str, error: Exception, after: int = 0) -> None:
        super().__init__()
        self.calls = 0

        def fail(*_, **__) -> None:
            self.calls += 1
            if self.calls > after:
                raise error

        setattr(self, method, fail)


NO_NETWORK = ConnectionError("network is unreachable\nand more lines")
NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def put(monkeypatch, name: str, logger) -> None:
    monkeypatch.setitem(trackers._OPENERS, name, lambda *_: (logger, "id"))


@pytest.mark.parametrize(
    ("logger", "reason"),
    [
        (Failing("log_metrics", NO_NETWORK), "network is unreachable"),
        (Failing("log_metrics", NO_NETWORK, after=2), "network is unreachable"),
        (Failing("save", NO_SPACE, after=1), "No space left on device"),
        (Failing("finalize", ValueError()), "ValueError"),
    ],
    ids=["metrics", "metrics later", "save", "finalize"],
)
def test_a_tracker_that_fails_is_left_out_with_one_line(  # noqa: PLR0917 - fixtures
    drawn, tiny, finished, tmp_path, monkeypatch, table, same_weights, logger, reason
):
    put(monkeypatch, "mlflow", logger)
    monkeypatch.setattr("lightcars.training.callbacks.tracker_names.find_spec", lambda _: object())
    with pytest.warns(UserWarning, match=f"^tracker mlflow failed .*{reason}") as caught:
        tiny(drawn, tmp_path / "run", trackers=("mlflow", "tensorboard"))
    (warning,) = caught
    assert "\n" not in str(warning.message)
    assert_as_finished(tmp_path / "run", finished, table, same_weights)
    assert curve(tmp_path / "run", "val/loss") == curve(finished.run, "val/loss")


def test_event_files_that_cannot_be_written_do_not_stop_the_run(
    drawn, tiny, finished, tmp_path, monkeypatch, table, same_weights, capfd
):
    folder = tmp_path / "run" / "tensorboard"

    def fill_with_nan(_module) -> None:
        shutil.rmtree(folder)
        folder.touch()

    in_epoch(monkeypatch, 2, fill_with_nan)
    printing = threading.excepthook
    with pytest.warns(
        UserWarning, match=r"^tracker tensorboard failed \(.*is left out.*metrics.csv"
    ) as caught:
        tiny(drawn, tmp_path / "run")
    assert len(caught) == 1
    assert capfd.readouterr().err == ""
    assert threading.excepthook is printing
    assert_as_finished(tmp_path / "run", finished, table, same_weights)


def test_a_tracker_that_cannot_start_leaves_nothing_behind(drawn, tiny, tmp_path, monkeypatch, wandb, mlflow):
    monkeypatch.setattr(mlflow, "get_experiment_by_name", Failing("save", NO_NETWORK).save)
    with pytest.raises(RunError, match=r"^tracker mlflow cannot start \(network is unreachable\)") as caught:
        tiny(drawn, tmp_path / "run", trackers=("wandb", "mlflow"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    assert wandb[0].exit_code == 1


def test_a_tracker_that_is_not_there_when_resuming_can_be_left_out(
    drawn, tiny, finished, tmp_path, monkeypatch, mlflow, table, same_weights
):
    with monkeypatch.context() as patch:
        in_epoch(patch, 2, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "run", trackers=("mlflow",))
    mlflow.runs.clear()
    with pytest.raises(RunError, match=r"tracker mlflow cannot start .*--tracker"):
        tiny(drawn, tmp_path / "run", resume=True, recipe=None)
    tiny(drawn, tmp_path / "run", resume=True, recipe=None, trackers=("none",))
    assert_as_finished(tmp_path / "run", finished, table, same_weights)


@pytest.mark.parametrize(
    ("name", "error"), [("wandb", MissingExtraError), ("neptune", ConfigError), ("comet", ConfigError)]
)
def test_a_tracker_that_is_not_to_be_had_leaves_nothing_behind(
    drawn, tiny, tmp_path, monkeypatch, name, error
):
    monkeypatch.setattr("lightcars.training.callbacks.tracker_names.find_spec", lambda _: None)
    with pytest.raises(error):
        tiny(drawn, tmp_path / "run", trackers=(name,))
    assert not (tmp_path / "run").exists()


def test_the_death_of_a_worker_is_not_the_trackers():
    dead = RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed. ")
    wrapped = ValueError("you tried to log 1.0")
    wrapped.__cause__ = dead
    for error in (dead, wrapped):
        loggers = {"csv": Failing("save", error)}
        with pytest.raises(type(error)):
            tell(loggers, lambda logger: logger.save())
        assert loggers
