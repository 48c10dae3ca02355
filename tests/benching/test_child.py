"""What each process does, here in this one."""

import pytest
import torch
from PIL import Image
from torch import nn

from lightcars import save
from lightcars.benching import child
from lightcars.deploy.reference import Reference
from lightcars.errors import ConfigError
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing


@pytest.fixture
def task(tiny, tmp_path, no_warm_up):
    def make(**changes) -> dict[str, object]:
        usual = {
            "weights": str(save(tiny, tmp_path / "weights")),
            "kind": "checkpoint",
            "untrained": False,
            "folder": str(tmp_path),
            "engine": "torch",
            "precision": "fp32",
            "batch": 2,
            "resolution": 32,
            "threads": 1,
            "device": "cpu",
            "memory_format": None,
            "seconds": 1e-3,
            "calibration": None,
        }
        return {**usual, **changes}

    return make


@pytest.mark.parametrize("engine", ["eager", "torch"])
def test_an_engine_is_set_up_and_compared(task, engine):
    found = child.set_up(task(engine=engine))
    assert found["problem"] is None
    assert 0 <= found["difference"] <= 1e-4
    assert found["setup_s"] > 0


def test_int8_is_verified_on_images(task, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "preprocessing", Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.2,) * 3))
    folder = tmp_path / "images"
    folder.mkdir()
    for shade in range(8):
        Image.new("RGB", (40, 40), (shade * 30, 90, 200 - shade * 20)).save(folder / f"{shade}.png")
    calibration = {"folder": str(folder), "max_loss_percent": 100}
    found = child.set_up(task(engine="openvino", precision="int8", calibration=calibration))
    assert found["problem"] is None
    assert -100 <= found["top1_change_percent"] <= 0


def test_outputs_that_differ_are_reported(task, monkeypatch):
    monkeypatch.setattr(Reference, "difference", lambda *_: 0.5)
    found = child.set_up(task())
    assert found["difference"] == 0.5
    assert found["problem"].startswith("outputs differ by 5.0e-01 of the largest logit")
    untrained = child.set_up(task(untrained=True))
    assert (untrained["difference"], untrained["eager_difference"], untrained["limit"]) == (0.5, 0.5, 0.9)
    assert untrained["problem"] is None


@pytest.mark.parametrize("difference", [float("nan"), float("inf")])
def test_outputs_that_are_not_finite(task, monkeypatch, difference):
    """JSON has no NaN and no infinity; untrained weights are no excuse."""
    monkeypatch.setattr(Reference, "difference", lambda *_: difference)
    found = child.set_up(task(untrained=True))
    assert found["difference"] is None
    assert found["problem"].startswith(f"outputs differ by {difference:.1e} of the largest logit")


@pytest.mark.parametrize(("engine", "precision"), [("eager", "fp32"), ("eager", "bf16"), ("torch", "fp32")])
def test_inference_is_measured(task, engine, precision, monkeypatch):
    shapes = []
    forward = nn.Module.__call__

    def watched(self, *inputs):
        if isinstance(self, ImageModel):
            shapes.append((tuple(inputs[0].shape), inputs[0].dtype, torch.is_inference_mode_enabled()))
        return forward(self, *inputs)

    monkeypatch.setattr(nn.Module, "__call__", watched)
    found = child.predict(task(engine=engine, precision=precision))
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    assert set(shapes) == {((2, 3, 32, 32), dtype, True)}
    assert found["calls"] == 3
    assert 0 < found["latency_ms"] <= found["p95_ms"]
    assert found["memory_mib"] >= 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_training_steps_are_measured(task, monkeypatch, precision, memory_format):
    seen = []
    step = torch.optim.AdamW.step

    def watched(self, *arguments):
        weights = [weight for group in self.param_groups for weight in group["params"]]
        assert all(weight.grad is not None for weight in weights)
        convolution = next(weight for weight in weights if weight.ndim == 4 and weight.shape[1] > 1)
        before = convolution.detach().clone()
        result = step(self, *arguments)
        changed = not torch.equal(before, convolution)
        seen.append((changed, convolution.is_contiguous(memory_format=torch.channels_last)))
        return result

    dtypes = []
    cross_entropy = child.F.cross_entropy
    monkeypatch.setattr(
        child.F,
        "cross_entropy",
        lambda logits, labels: dtypes.append(logits.dtype) or cross_entropy(logits, labels),
    )
    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    found = child.train(task(batch=4, memory_format=memory_format, precision=precision))
    assert found["calls"] == 3
    assert set(seen) == {(True, memory_format == "channels_last")}
    assert set(dtypes) == {torch.bfloat16 if precision == "bf16" else torch.float32}


def test_training_without_classes(tiny, task, tmp_path):
    tiny.reset_classifier(0)
    with pytest.raises(ConfigError, match="it has no classes, and so no cross-entropy to train with"):
        child.train(task(memory_format="contiguous"))


def test_the_threads_are_those_that_were_asked_for(task, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    child.predict(task(threads=7))
    child.train(task(threads=5, memory_format="contiguous", batch=4))
    assert set(asked) == {7, 5, 1}, "the engine itself gives PyTorch its threads back"
