"""Several devices, as processes on this machine: the same figures as one process that takes their batches."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from lightcars import Recipe, evaluate, finetune, load
from lightcars.data.dataset import decode
from lightcars.data.layouts import find_data
from lightcars.deploy.cpu import has_bf16
from lightcars.errors import ConfigError, DataError, DeviceError
from lightcars.models.preprocessing import Preprocessing
from lightcars.training import trainer as training
from lightcars.training.callbacks.pace import Stopwatch
from lightcars.training.distributed.ddp import end_others, strategy_for
from lightcars.training.distributed.processes import (
    check_decidable,
    check_processes,
    hand_on,
    handed_on,
    is_first_process,
    started_by_torchrun,
    with_started,
)
from lightcars.training.epoch_metrics import EpochMetrics
from lightcars.training.job import default_folder
from lightcars.training.loaders import ImageDataModule
from tests.training.distributed.device_scenarios import play

PATIENCE_S = 400
ROOT = Path(__file__).parents[3]
ENVIRONMENT = {
    **{name: os.environ[name] for name in os.environ if not name.startswith(("LIGHTCARS_", "MASTER_"))},
    "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
    "OMP_NUM_THREADS": "1",
}
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")


# Without other processes


def test_metrics_are_of_all_images_not_means_of_means():
    metrics = EpochMetrics(3, 1, 2)
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    for _ in range(2):  # it starts again
        metrics.add(torch.tensor(2.0), logits, torch.tensor([0, 1, 2]))
        metrics.add(torch.tensor(6.0), logits[:1], torch.tensor([1]))
        loss, top1, top2 = metrics.take()
        assert (loss.item(), top1.item(), top2.item()) == ((6 + 6) / 4, 100 / 4, 100 * 3 / 4)


@pytest.mark.parametrize("num_classes", [1, 3])
def test_top_5_of_fewer_classes_are_all_of_them(num_classes):
    metrics = EpochMetrics(num_classes, 1, 5)
    metrics.add(torch.tensor(2.0), torch.rand(4, num_classes), torch.zeros(4, dtype=torch.int64))
    assert metrics.take()[2].item() == 100


def test_a_loss_that_is_not_finite_is_not_left_out():
    metrics = EpochMetrics(3, 1)
    for loss in (1.0, float("nan")):
        metrics.add(torch.tensor(loss), torch.rand(2, 3), torch.tensor([0, 1]))
    assert metrics.take()[0].isnan()


def test_the_checkpoint_has_nothing_of_the_metrics():
    assert EpochMetrics(3, 1, 5).state_dict() == {}


@pytest.mark.parametrize(("number", "world_size"), [(24, 1), (24, 2), (23, 2), (5, 3), (1, 2), (2, 4)])
def test_each_validation_image_is_validated_once(drawn, number, world_size):
    samples = find_data(drawn).split("val")[:number]
    photos = decode(samples, Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.5,) * 3))
    loaders = ImageDataModule(Recipe(batch_size=4), photos, photos)
    found = []
    for rank in range(world_size):
        loaders.trainer = SimpleNamespace(global_rank=rank, world_size=world_size)
        batches = list(loaders.val_dataloader())
        assert batches, "a device without a batch would not come to the end of the epoch"
        for pixels, labels in batches:
            assert (pixels.shape[1:], pixels.dtype) == ((3, 32, 32), torch.uint8)
            assert len(pixels) == len(labels) <= 4
            found += [(pixel.sum().item(), label.item()) for pixel, label in zip(pixels, labels, strict=True)]
    expected = [(int(photos.pixels[i].sum()), int(photos.labels[i])) for i in range(number)]
    assert sorted(found) == sorted(expected)


def of_torchrun(monkeypatch, world_size: int, local: int, rank: int = 0) -> None:
    values = {"WORLD_SIZE": world_size, "LOCAL_WORLD_SIZE": local, "RANK": rank, "LOCAL_RANK": rank % local}
    for name, value in {"TORCHELASTIC_RUN_ID": "none", **values}.items():
        monkeypatch.setenv(name, str(value))


def test_torchrun_says_how_many_devices(monkeypatch):
    assert started_by_torchrun() is None
    assert with_started(Recipe(devices=3)) == Recipe(devices=3)
    of_torchrun(monkeypatch, 6, 2, rank=3)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert with_started(Recipe()) == Recipe(devices=2, num_nodes=3)
    assert with_started(Recipe(devices=2, num_nodes=3)) == Recipe(devices=2, num_nodes=3)
    assert not is_first_process()
    for other in (Recipe(devices=2), Recipe(devices=3, num_nodes=2)):
        with pytest.raises(ConfigError, match="torchrun started 2 processes on each of 3 machines"):
            with_started(other)
    with pytest.raises(ConfigError, match="devices 1 and num_nodes 1, but torchrun started 2"):
        check_processes(Recipe())  # a run of one process does not go on in six


def test_machines_that_cannot_find_each_other(drawn, tmp_path, monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(ConfigError, match="num_nodes is 2: start the command on each machine") as caught:
        finetune(drawn, recipe=Recipe(num_nodes=2), out=tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_processes_of_torchrun_need_a_common_run_folder(monkeypatch):
    of_torchrun(monkeypatch, 2, 2)
    with pytest.raises(ConfigError, match="give the run folder"):
        default_folder("ghostnet_100")


def test_more_devices_than_images(drawn, tiny, tmp_path):
    with pytest.raises(DataError, match="48 training images are too few for 49 devices"):
        tiny(drawn, tmp_path / "run", recipe=Recipe(devices=49, resolution=32, accelerator="cpu"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("accelerator", ["auto", "gpu", "cuda"])
def test_more_gpus_than_there_are(drawn, tmp_path, monkeypatch, accelerator):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="there is no cuda:2"):
        finetune(drawn, recipe=Recipe(devices=3, accelerator=accelerator), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_error_ends_the_processes_that_were_started():
    """And Lightning's watch over them, which would kill this process."""
    recipe = Recipe(devices=2, accelerator="cpu")
    trainer = L.Trainer(accelerator="cpu", devices=2, strategy=strategy_for(recipe), logger=False)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    trainer.strategy._configure_launcher()
    trainer.strategy.launcher.procs = watched = [child]
    end_others(trainer)
    assert child.wait(timeout=30) == -signal.SIGKILL
    assert watched == []


def test_a_process_that_ends_early_is_told_of(monkeypatch):
    """Though Lightning is quiet: it is about to kill this process, whatever it waits in."""
    strategy_for(Recipe(devices=2, accelerator="cpu"))
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    child.wait(timeout=30)
    killed, said = [], []
    monkeypatch.setattr(os, "kill", lambda *given: killed.append(given))
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    watch = logging.getLogger(_ChildProcessObserver.__module__)
    watch.addHandler(handler)
    try:
        with training._quiet():
            assert _ChildProcessObserver(os.getpid(), [child])._run()
    finally:
        watch.removeHandler(handler)
    assert killed == [(os.getpid(), signal.SIGKILL)]
    assert said == [
        "error: the run stopped: another of its processes died ([rank: 1] Child process with PID"
        f" {child.pid} terminated with code 3); --resume continues."
    ]


# Batch norms


def job_for(tmp_path, **settings) -> SimpleNamespace:
    return SimpleNamespace(recipe=Recipe(**settings), run=SimpleNamespace(path=tmp_path))


@pytest.mark.parametrize(
    ("settings", "cuda", "shared"),
    [
        ({"devices": 2}, True, True),
        ({"devices": 2, "accelerator": "gpu"}, True, True),
        ({"devices": 1, "num_nodes": 2, "accelerator": "cuda"}, True, True),
        ({"devices": 1}, True, False),
        ({"devices": 2, "accelerator": "cpu"}, True, False),
        ({"devices": 2}, False, False),
    ],
    ids=str,
)
def test_several_gpus_share_the_statistics_of_batch_norms(tmp_path, monkeypatch, settings, cuda, shared):
    asked = {}
    monkeypatch.setattr(L, "Trainer", lambda **settings: asked.update(settings))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    training._trainer(job_for(tmp_path, **settings), [], Stopwatch(), bar=False)
    assert asked["sync_batchnorm"] is shared
    several = settings.get("devices", 1) * settings.get("num_nodes", 1) > 1
    assert isinstance(asked["strategy"], DDPStrategy) if several else asked["strategy"] == "auto"


def test_the_trainer_converts_every_batch_norm(tmp_path, monkeypatch):
    """On two CPUs that are passed off as GPUs, since the conversion itself needs none."""
    monkeypatch.setattr(training, "can_share_batch_norms", lambda _: True)
    trainer = training._trainer(
        job_for(tmp_path, devices=2, accelerator="cpu", precision="32-true"), [], Stopwatch(), bar=False
    )
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)))
    converted = trainer.strategy._layer_sync.apply(model)
    assert [type(child) for child in converted.modules() if hasattr(child, "running_mean")] == [
        nn.SyncBatchNorm
    ]


SYNC_ON_CPU = """
import torch
torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
try:
    torch.nn.SyncBatchNorm(3)(torch.rand(2, 3, 4, 4))
except ValueError as error:
    print(error)
"""


def test_torch_still_cannot_share_batch_norms_on_cpus():
    """When this fails, `can_share_batch_norms` may say yes there too."""
    ended = subprocess.run(
        [sys.executable, "-c", SYNC_ON_CPU],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert "expected input tensor to be on GPU" in ended.stdout


# With two processes


def only(source: Path, target: Path, number: int, split: str) -> Path:
    """The same images, but so many of one split."""
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    of_split = [path for path in paths if path.parent.parent.name == split]
    for path in (path for path in paths if path not in of_split[number:]):
        link = target / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    return target


@pytest.fixture(scope="module")
def folders(drawn, tmp_path_factory) -> dict[str, str]:
    """The data of each scenario; 47 and 17 images cannot be shared evenly, nor their 5 batches."""
    made = tmp_path_factory.mktemp("data")
    even = only(drawn, made / "even", 17, "val")
    uneven = str(only(even, made / "uneven", 47, "train"))
    one = str(only(drawn, made / "one", 1, "val"))
    names = ("whole", "accumulated", "frozen", "thawed", "norms", "still", "mixed", "opposite", "not_finite")
    usual = dict.fromkeys((*names, "auto", "fastest"), uneven)
    return {**usual, "small": str(even), "one": one, "apart": f"{uneven},{one}"}


@pytest.fixture(scope="module")
def two(folders, tmp_path_factory) -> Path:
    """Where two processes left their runs and their notes of all scenarios."""
    out = tmp_path_factory.mktemp("two")
    pairs = [f"{name}={data}" for name, data in folders.items()]
    start = (
        *TORCHRUN,
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "tests.training.distributed.device_scenarios",
    )
    ended = subprocess.run(
        [*start, out, *pairs],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    (out / "said").write_text(ended.stderr)
    return out


def noted(two: Path, name: str) -> list[dict]:
    return [torch.load(two / f"{name}-{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.fixture
def alone(folders, tmp_path, monkeypatch):
    """One process with the same global batch."""

    def run(name: str) -> dict:
        with monkeypatch.context() as patch:
            return play(name, Path(folders[name]), tmp_path, patch)

    return run


def metrics_of(notes: dict) -> list[dict[str, float]]:
    assert "error" not in notes, notes["error"]
    return [{name: row[name] for name in row if name != "seconds"} for row in notes["rows"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["whole", "accumulated", "frozen", "thawed", "small", "one"])
def test_two_processes_have_the_metrics_and_weights_of_one(two, alone, name):
    """Where batch norms rest, nothing is drawn for a whole batch, and the global batch is the same."""
    first, second = noted(two, name)
    expected = alone(name)
    assert metrics_of(first) == metrics_of(second)
    assert len(first["rows"]) == len(expected["rows"])
    for ours, theirs in zip(metrics_of(first), metrics_of(expected), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    for one, other, single in zip(first["epochs"], second["epochs"], expected["epochs"], strict=True):
        assert one.keys() == single.keys()
        for key, tensor in single.items():
            assert torch.equal(one[key], other[key]), key
            torch.testing.assert_close(one[key], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "batch"), [("whole", 8), ("small", 48)])
def test_each_step_takes_the_same_images_augmented_alike(two, alone, name, batch):
    both, expected = [notes["train"] for notes in noted(two, name)], alone(name)["train"]
    assert [len(part) for part in both] == [len(expected) // 2] * 2
    half = batch // 2
    for step in range(len(expected) // batch):
        parts = [part[step * half : (step + 1) * half] for part in both]
        assert not {note[0] for note in parts[0]} & {note[0] for note in parts[1]}
        assert sorted(parts[0] + parts[1]) == sorted(expected[step * batch : (step + 1) * batch])


@pytest.mark.slow
def test_what_is_frozen_for_a_while_is_no_reason_to_warn(two):
    assert "find_unused_parameters" not in (two / "said").read_text()


@pytest.mark.slow
def test_validation_images_are_shared_without_overlap(two):
    first, second = noted(two, "frozen")
    for epoch in range(3):
        judged = first["val"][epoch * 9 :][:9] + second["val"][epoch * 8 :][:8]
        assert sorted(note[0] for note in judged) == list(range(17))


@pytest.mark.slow
def test_an_average_of_weights_is_the_same_on_both(two):
    """Batch norms at work: their statistics too are the same, and those that were validated were saved."""
    first, second = noted(two, "norms")
    for one, other in zip(first["epochs"], second["epochs"], strict=True):
        assert any(name.startswith("average.module") for name in one)
        for key, tensor in one.items():
            assert torch.equal(tensor, other[key]), key
    saved = load(two / "norms" / "last").state_dict()
    for key, tensor in saved.items():
        assert torch.equal(tensor, first["epochs"][-1][f"average.module.{key}"])


@pytest.mark.slow
def test_the_metrics_are_what_evaluate_measures_with_what_was_saved(two, folders):
    measured = evaluate(two / "norms", folders["norms"])
    metrics = noted(two, "norms")[0]["result"]
    assert measured.num_images == 17
    assert measured.loss == pytest.approx(metrics["val_loss"], rel=1e-4)
    assert measured.top1_percent == pytest.approx(metrics["val_top1_percent"], abs=1e-3)
    assert measured.top5_percent == pytest.approx(metrics["val_top5_percent"], abs=1e-3)


@pytest.mark.slow
def test_batch_norms_learn_from_the_images_of_all_devices(two, alone):
    """Where weights stand still, the mean of the devices' first statistics is what one device finds."""
    first, expected = noted(two, "still")[0], alone("still")
    for ours, theirs in zip(first["epochs"], expected["epochs"], strict=True):
        name = "model.stem.norm.running_mean"
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_early_stopping_and_the_plateau_go_by_all_images(two):
    """The first process alone would never stop: it sees a loss that falls."""
    first, second = noted(two, "opposite")
    assert metrics_of(first) == metrics_of(second)
    means = [10 + (2 * epoch * 8 - epoch * 9) / 17 for epoch in range(3)]
    assert [row["val_loss"] for row in first["rows"]] == pytest.approx(means)
    assert [row["learning_rate"] for row in first["rows"]] == pytest.approx([0.05, 0.05, 0.005])


@pytest.mark.slow
def test_mixed_batches_train_on_two_devices(two):
    first, second = noted(two, "mixed")
    assert metrics_of(first) == metrics_of(second)


@pytest.mark.slow
def test_processes_that_start_at_once_decide_alike(two):
    first, second = noted(two, "auto")
    assert metrics_of(first) == metrics_of(second)
    assert len(first["rows"]) == 1
    kept = json.loads((two / "auto" / "run.json").read_text())["recipe"]
    precision = "bf16-mixed" if has_bf16() else "32-true"
    assert (kept["precision"], kept["memory_format"]) == (precision, "channels_last")


@pytest.mark.slow
def test_processes_that_start_at_once_cannot_measure(two):
    for notes in noted(two, "fastest"):
        assert notes["error"].startswith(
            "ConfigError: precision fastest cannot be measured if each process is started"
        )


HANDED_ON = """
import os, sys
from dataclasses import replace
from tests.training.distributed.device_scenarios import PLAIN
from lightcars import finetune
from lightcars.runs.description import TrainingSpeed
from lightcars.training import decisions
from lightcars.training.module import ClassifierModule

def decide_speed(recipe, *_):
    assert "LOCAL_RANK" not in os.environ, "measured by another process than the first one"
    return replace(recipe, precision="bf16-mixed", memory_format="contiguous"), None

def training_step(self, batch, batch_idx):
    assert (self.recipe.precision, self.recipe.memory_format) == ("bf16-mixed", "contiguous")
    assert self.trainer.precision == "bf16-mixed"
    return step(self, batch, batch_idx)

if __name__ == "__main__":
    decisions.decide_speed = decide_speed
    step, ClassifierModule.training_step = ClassifierModule.training_step, training_step
    recipe = replace(PLAIN, epochs=1, devices=2, batch_size=4, precision="fastest", memory_format="fastest")
    finetune(sys.argv[1], recipe=recipe, out=sys.argv[2])
"""


@pytest.mark.slow
def test_the_first_process_hands_on_what_it_measured(drawn, tmp_path, table, run_script):
    run_script(HANDED_ON, drawn, tmp_path / "run")
    assert len(table(tmp_path / "run")) == 1


def test_decisions_reach_the_other_processes_of_the_same_run_alone(monkeypatch, tmp_path):
    decisions = {"precision": "bf16-mixed", "images_on_device": True}
    monkeypatch.setenv("LIGHTCARS_DECISIONS", "{}")
    hand_on(tmp_path / "run", decisions)
    assert handed_on(tmp_path / "run") is None, "the first process decides itself"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert handed_on(tmp_path / "run") == decisions
    assert handed_on(tmp_path / "other") is None


@pytest.mark.parametrize("setting", ["precision", "memory_format"])
def test_what_is_fastest_cannot_be_measured_by_each_process(monkeypatch, setting):
    monkeypatch.delenv("LIGHTCARS_DECISIONS", raising=False)
    several = Recipe(devices=2, **{setting: "fastest"})
    check_decidable(several)
    check_decidable(Recipe(**{setting: "fastest"}))
    with pytest.raises(ConfigError, match=f"{setting} fastest cannot be measured if each process is started"):
        check_decidable(replace(several, num_nodes=2))
    of_torchrun(monkeypatch, 2, 2, rank=0)
    with pytest.raises(ConfigError, match=f"set the {setting.replace('_', ' ')}, or use auto"):
        check_decidable(several)
    check_decidable(Recipe(devices=2))


@pytest.mark.slow
def test_a_loss_that_is_no_number_on_one_device_stops_both(two):
    errors = [notes["error"] for notes in noted(two, "not_finite")]
    assert errors[0] == errors[1]
    assert errors[0].startswith("NonFiniteLossError: the training loss became nan in epoch 1, step 2;")


@pytest.mark.slow
def test_machines_with_other_images_are_told_before_the_first_step(two):
    for notes in noted(two, "apart"):
        assert notes["error"].startswith("DataError: the machines do not have the same images")
        assert notes["train"] == []


STALLED = """
import os, sys, threading
from dataclasses import replace
from pathlib import Path
import torch
from tests.training.distributed.device_scenarios import PLAIN
from lightcars import finetune
from lightcars.training import trainer as training

step = training.ClassifierModule.training_step

def training_step(self, batch, batch_idx):
    if self.current_epoch == 1 and batch_idx == 2 and self.global_rank == int(sys.argv[4]):
        Path(sys.argv[3]).write_text(str(os.getpid()))
        threading.Event().wait(120)
    return step(self, batch, batch_idx)

if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) == 5:
        training.ClassifierModule.training_step = training_step
    recipe = replace(PLAIN, devices=2, batch_size=4, ema_decay=0.9)
    finetune(sys.argv[1], recipe=recipe, out=sys.argv[2], resume=len(sys.argv) == 4)
"""


@pytest.mark.slow
def test_one_of_two_processes_is_killed_and_the_run_goes_on(drawn, tmp_path, table, same_weights):
    script, run, whole = tmp_path / "stalled.py", tmp_path / "run", tmp_path / "whole"
    script.write_text(STALLED)

    def started(*arguments) -> subprocess.Popen:
        command = [sys.executable, script, drawn, *map(str, arguments)]
        return subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)

    marker = tmp_path / "in-the-second-epoch"
    process = started(run, marker, 1)
    try:
        for _ in range(10 * PATIENCE_S):
            if (marker.exists() and marker.read_text()) or process.poll() is not None:
                break
            threading.Event().wait(0.1)
        os.kill(int(marker.read_text()), signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode not in (0, -signal.SIGKILL)
    assert "RunError: the run stopped: another of its processes died (" in said
    assert len(table(run)) == 1
    for process in (started(run, "resume"), started(whole)):
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, said[-2000:]
    assert table(run) == table(whole)
    for which in ("best", "last"):
        assert same_weights(load(run / which), load(whole / which))


EARLY = """
import os, sys
from dataclasses import replace
from tests.training.distributed.device_scenarios import PLAIN
from lightcars import finetune

if __name__ == "__main__":
    if "LOCAL_RANK" in os.environ:
        os._exit(3)
    finetune(sys.argv[1], recipe=replace(PLAIN, devices=2), out=sys.argv[2])
"""


@pytest.mark.slow
def test_a_process_that_is_gone_before_they_meet(drawn, tmp_path):
    script = tmp_path / "early.py"
    script.write_text(EARLY)
    ended = subprocess.run(
        [sys.executable, script, drawn, tmp_path / "run"],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert ended.stderr.startswith("error: the run stopped: another of its processes died (")
    assert ended.stderr.count("\n") == 1


# The command


SMALL = ("--model", "ghostnet_050", "--width", "0.1", "--out-channels", "16", "--epochs", "2")
SMALL += ("--resolution", "32", "--batch-size", "4", "--device", "cpu")
SMALL += ("--precision", "32-true", "--memory-format", "channels_last")
COMMAND = ("-m", "lightcars", "finetune")


def command(start, data, out, *more) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*start, *COMMAND, data, *SMALL, "--out", out, *more],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def assert_one_run(ended, run: Path, table) -> None:
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert ended.stdout.count("best epoch") == ended.stdout.count("run folder") == 1
    assert "Traceback" not in ended.stderr
    told = [line for line in ended.stderr.splitlines() if line]
    begins = ["run folder", "images", "epoch 1/2", "epoch 2/2", "trained"]
    assert len(told) == len(begins), ended.stderr
    assert all(map(str.startswith, told, begins)), ended.stderr
    assert len(table(run)) == 2
    assert not (run / "initial").exists()
    assert (run / "report.html").is_file()


@pytest.mark.slow
def test_devices_and_torchrun_are_two_ways_to_the_same_run(drawn, tmp_path, table, same_weights):
    first = command([sys.executable], drawn, tmp_path / "first", "--devices", "2")
    assert_one_run(first, tmp_path / "first", table)
    second = command([*TORCHRUN, "--standalone", "--nproc-per-node", "2"], drawn, tmp_path / "second")
    assert_one_run(second, tmp_path / "second", table)
    assert table(tmp_path / "first") == table(tmp_path / "second")
    assert same_weights(load(tmp_path / "first" / "last"), load(tmp_path / "second" / "last"))


@pytest.mark.slow
def test_two_machines(drawn, tmp_path, table):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = ("--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port")
    outcomes = {}

    def machine(rank: int) -> None:
        start = (*TORCHRUN, *meeting, str(port), "--node-rank", str(rank))
        outcomes[rank] = command(start, drawn, tmp_path / "run", "--num-nodes", "2")

    threads = [threading.Thread(target=machine, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_one_run(outcomes[0], tmp_path / "run", table)
    assert outcomes[1].returncode == 0, outcomes[1].stderr[-4000:]
    assert outcomes[1].stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--devices", "3"), "error: the recipe has devices 3 and num_nodes 1, but torchrun started 2"),
        (("--set", "optimizer.settings={momentun: 1}"), "error: AdamW does not take"),
    ],
)
def test_bad_settings_under_torchrun_are_said_once(drawn, tmp_path, arguments, text):
    ended = command([*TORCHRUN, "--standalone", "--nproc-per-node", "2"], drawn, tmp_path / "run", *arguments)
    assert ended.returncode != 0
    assert ended.stderr.count("error: ") == ended.stderr.count(text) == 1, ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_with_shared_batch_norms(drawn, tmp_path, table):
    ended = command([sys.executable], drawn, tmp_path / "run", "--device", "gpu", "--devices", "2")
    assert_one_run(ended, tmp_path / "run", table)
