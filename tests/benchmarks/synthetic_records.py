"""Results as the benchmarks write them, from synthetic times; their own code assembles them."""

import pytest

from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.rounds import Measurements
from benchmarks.speed import fuse, gpu, optimize, training_step

MS = {
    "lightcars": 4.0,
    "lightcars int8": 2.0,
    "lightcars eager": 30.0,
    "torchvision": 20.0,
    "timm": 24.0,
    "timm compile": 10.0,
    "timm openvino": 5.0,
    "lightcars fp32": 400.0,
    "lightcars bf16": 300.0,
    "timm fp32": 360.0,
    "timm bf16": 390.0,
}
START = {
    "first_answer_s": 9.0,
    "of_that_import_torch_s": 1.0,
    "from_cache": True,
    "engine": "openvino",
    "precision": "bf16",
}
ANSWERS = {"logits": [1.0, 2.0], "memory": 50.0, "chosen": "torch bf16"}


def rounds(_module, tasks, plan, _neighbours, *, questions=(), before_round=lambda: None):
    """As `timed_rounds`: the second round of two is 10 % slower for peers."""
    slower = {side: 1.0 if side.startswith("lightcars") else 1.1 for side in tasks}
    for _ in range(plan.rounds):
        before_round()
    memory = {"reserved": 50.0, "allocated": 40.0}
    answers = ANSWERS if "chosen" not in questions else {**ANSWERS, "memory": memory}
    return Measurements(
        ms={side: [[MS[side]], [MS[side] * slower[side]]] for side in tasks},
        answers={question: {side: [answers[question]] * 2 for side in tasks} for question in questions},
    )


def record(results, **settings):
    return {
        "date": "2026-01-02",
        "machine": {"cpu": "a CPU", "cores": 2},
        "versions": {"torch": "9.9", "timm": None},
        "rounds": 2,
        "measurements_disturbed": 0,
        "results": results,
        **settings,
    }


def synthetic_records(monkeypatch: pytest.MonkeyPatch):
    """One of each benchmark: B0 with 1 image everywhere, GhostNet with 16 fused only."""
    for module in (fuse, optimize, training_step, gpu):
        monkeypatch.setattr(module, "timed_rounds", rounds)
    monkeypatch.setattr(optimize, "ask_fresh", lambda *_: START)
    quiet = Neighbors(0)
    b0, ghost = {"model": "efficientnet_b0", "batch": 1}, {"model": "ghostnet_100", "batch": 16}
    fused = {
        "efficientnet_b0": {"batch1": fuse.measure(b0, 2, quiet)},
        "ghostnet_100": {"batch16": fuse.measure(ghost, 2, quiet)},
    }
    sides = ("lightcars", "lightcars int8", "torchvision", "timm", "timm compile", "timm openvino")
    optimized = optimize.measure({side: {**b0, "side": side} for side in sides}, 2, quiet)
    trained = training_step.measure(b0, training_step.sides_of(compiled=False), 2, quiet)
    cases = {
        name: gpu.measure({**b0, "case": gpu.asdict(case)}, 2, quiet) for name, case in gpu.CASES.items()
    }
    return {
        "fuse": record(fused),
        "optimize": record({"efficientnet_b0": {"batch1": optimized}}),
        "training_step": record({"efficientnet_b0": trained}),
        "gpu": record({"efficientnet_b0": cases}, gpu={"name": "a GPU", "cuda": "1.0"}),
    }
