"""The sides of the training step, and their comparison."""

import pytest
import torch

from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.peers import write_weights
from benchmarks.harness.rounds import Measurements
from benchmarks.speed import training_step


@pytest.mark.parametrize("side", [*training_step.sides_of(compiled=False), "timm bf16 memory kept"])
def test_sides_train(side, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    write_weights("ghostnet_050", tmp_path)
    steps = []
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: steps.append(id(self)))
    task = {"model": "ghostnet_050", "weights": str(tmp_path), "batch": 2, "resolution": 64, "threads": 1}
    opened = training_step.open_side({**task, "side": side})
    assert opened.answer("turn") > 0
    assert len(steps) == 1
    assert opened.answer("memory") >= 0


def test_each_library_has_its_fastest_precision(monkeypatch):
    ms = {"lightcars fp32": 4.0, "lightcars bf16": 2.0, "timm fp32": 3.0, "timm bf16": 5.0}
    ms["timm bf16 compiled"] = 1.0
    monkeypatch.setattr(
        training_step,
        "timed_rounds",
        lambda *_, **__: Measurements(
            ms={side: [[value]] for side, value in ms.items()},
            answers={"memory": {side: [value] for side, value in ms.items()}},
        ),
    )
    found = training_step.measure({}, list(ms), 1, Neighbors(0))
    assert found["fastest"] == {"lightcars": "lightcars bf16", "peer": "timm fp32"}
    assert found["peer_over_lightcars"]["ratio"] == 1.5
    assert found["ms"]["peer_over_lightcars"]["timm bf16 compiled"]["ratio"] == 0.5
    assert training_step.sides_of(compiled=True)[1] == "lightcars fp32 compiled"
