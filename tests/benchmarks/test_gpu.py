"""The GPU's benchmark: skips without one; what its sides do, on the processor."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import gpu
from peers import write_weights
from ratios import OURS

SCRIPT = Path(gpu.__file__)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_weights("ghostnet_050", folder)
    return folder


@pytest.fixture
def task(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)  # put back afterwards
    return {"model": "ghostnet_050", "weights": str(weights), "resolution": 64, "device": "cpu"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(SCRIPT), "--quick", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no GPU here: nothing was measured\n")
    assert not out.exists()


@pytest.mark.parametrize("side", [OURS, gpu.EAGER, gpu.TIMM])
def test_sides_of_inference_answer_alike(side, task):
    case = {**asdict(gpu.CASES["latency_batch1"]), "batch": 2}
    opened = gpu.open_side({**task, "side": side, "case": case})
    assert opened.answer("turn") > 0
    logits = torch.tensor(opened.answer("logits"))
    expected = gpu.with_weights("timm", "ghostnet_050", Path(task["weights"]))(gpu.made_images(2, 64))
    assert (logits - expected.flatten()).abs().max() < 0.1 * expected.abs().max()  # bf16 and fresh weights
    assert (opened.answer("chosen") or "").startswith("torch") == (side == OURS)


@pytest.mark.parametrize("side", [OURS, gpu.TIMM])
def test_sides_of_training_train(side, task, monkeypatch):
    steps = []
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: steps.append(id(self)))
    case = {**asdict(gpu.CASES["train_batch128"]), "batch": 2}
    opened = gpu.open_side({**task, "side": side, "case": case})
    opened.call()
    assert len(steps) == gpu.SETTLING_CALLS + 1
    assert opened.answer("logits") is None


def test_a_call_ends_with_waiting_for_the_gpu(monkeypatch):
    done = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: done.append("wait"))
    gpu.waited_for(lambda: done.append("run"), "cuda")()
    gpu.waited_for(lambda: done.append("run"), "cpu")()
    assert done == ["run", "wait", "run"]


def test_training_has_no_optimized_side():
    assert gpu.CASES["train_batch128"].sides == (OURS, "timm", "timm compile")
    assert gpu.EAGER in gpu.CASES["throughput_batch256"].sides


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_memory_is_counted(task):
    case = asdict(gpu.CASES["latency_batch1"])
    opened = gpu.open_side({**task, "device": "cuda", "side": OURS, "case": case})
    opened.answer("turn")
    memory = opened.answer("memory")
    assert memory["reserved"] >= memory["allocated"] > 0
