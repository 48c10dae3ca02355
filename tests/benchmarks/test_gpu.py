"""The GPU benchmark: it skips without a GPU; its sides are tested on the CPU."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from benchmarks.harness.peers import write_weights
from benchmarks.harness.ratios import OURS
from benchmarks.speed import gpu

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_weights("ghostnet_050", folder)
    return folder


@pytest.fixture
def task(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)  # restored afterwards
    return {"model": "ghostnet_050", "weights": str(weights), "resolution": 64, "device": "cpu"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is available")
def test_without_a_gpu_nothing_is_measured(tmp_path):
    out = tmp_path / "gpu.json"
    command = [sys.executable, "-m", gpu.__name__, "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no GPU available: nothing was measured\n")
    assert not out.exists()


@pytest.mark.parametrize("side", [OURS, gpu.EAGER, gpu.TIMM])
def test_outputs_of_inference_sides_match(side, task):
    case = {**asdict(gpu.CASES["latency_batch1"]), "batch": 2}
    opened = gpu.open_side({**task, "side": side, "case": case})
    assert opened.answer("turn") > 0
    logits = torch.tensor(opened.answer("logits"))
    expected = gpu.with_weights("timm", "ghostnet_050", Path(task["weights"]))(gpu.synthetic_images(2, 64))
    assert (logits - expected.flatten()).abs().max() < 0.1 * expected.abs().max()  # bf16 and random weights
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


def test_a_call_synchronizes_with_the_gpu(monkeypatch):
    done = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: done.append("wait"))
    gpu.synchronized(lambda: done.append("run"), "cuda")()
    gpu.synchronized(lambda: done.append("run"), "cpu")()
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
