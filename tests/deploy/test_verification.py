"""Verification: limits of trained and untrained models, and engines that are really wrong."""

import copy
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from lightcars import InputSize, export, ghostnet, load, optimize, save
from lightcars.deploy import measuring
from lightcars.deploy.classifier import is_untrained
from lightcars.deploy.cpu import has_bf16
from lightcars.deploy.reference import EagerError, Reference
from lightcars.deploy.runners import ENGINES, EngineEntry
from lightcars.deploy.source import Source
from lightcars.deploy.verification import TIE, TOLERANCES, UNTRAINED_LIMIT, limit_of, tie_of, verify
from lightcars.errors import ExportError, OptimizationError

needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16")


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(measuring, "TURNS", 1)
    monkeypatch.setattr(measuring, "TURN_S", 0.0)


@pytest.fixture
def fresh():
    torch.manual_seed(0)
    return ghostnet("050", num_classes=50).eval()


def explode(model):
    """Scale the weights up, so that rounding changes the logits by a large part."""
    with torch.no_grad():
        for norm in (layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)):
            norm.weight.mul_(3)
    return model


@needs_bf16
@pytest.mark.parametrize("prepare", [lambda model: model, explode], ids=["fresh", "ill-conditioned"])
def test_an_untrained_model_keeps_its_bf16_engines(fresh, prepare):
    fast = optimize(prepare(fresh), resolution=64, precision="bf16")
    assert {row.engine for row in fast.measurements} == {"torch", "openvino"}
    for row in fast.measurements:
        assert row.problem is None
        assert row.difference <= row.limit
        assert row.limit >= TOLERANCES["bf16"]
        assert row.eager_difference > 0
        assert row.perturbation_difference > 0
    assert fast.untrained
    assert "the weights are untrained: engines were verified within a multiple of" in fast.summary


def test_a_trained_model_keeps_the_usual_limits(fresh, tmp_path):
    trained = load(save(fresh, tmp_path / "weights"))
    fast = optimize(trained, resolution=64, engine="torch", precision="fp32")
    (row,) = fast.measurements
    assert row.limit == TOLERANCES["fp32"]
    assert row.eager_difference is not None
    assert not fast.untrained
    assert "untrained" not in fast.summary


def test_untrained_is_what_no_batch_has_changed(fresh, tmp_path):
    assert is_untrained(fresh)
    assert not is_untrained(load(save(fresh, tmp_path)))
    trained = copy.deepcopy(fresh).train()
    trained(torch.zeros(2, 3, 64, 64))
    assert not is_untrained(trained)
    assert not is_untrained(nn.Linear(2, 2)), "nobody knows"
    ported = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    assert is_untrained(ported)
    ported[1].running_mean[0] = 0.5
    assert not is_untrained(ported), "weights of other frameworks count no batches"


def test_limits():
    assert limit_of("fp32", None, untrained=True) == limit_of("fp32", None, untrained=False) == 1e-4
    assert limit_of("bf16", None, untrained=True) == limit_of("bf16", None, untrained=False) == 2e-2
    small = EagerError(precision_difference=1e-9, perturbation_difference=1e-9)
    assert limit_of("fp32", small, untrained=True) == 1e-4
    large = EagerError(precision_difference=0.1, perturbation_difference=0.2)
    assert limit_of("bf16", large, untrained=True) == 0.4
    chaotic = EagerError(precision_difference=5.0, perturbation_difference=float("nan"))
    assert limit_of("bf16", chaotic, untrained=True) == UNTRAINED_LIMIT < 1


def test_limits_of_a_trained_model_are_eager_pytorchs_own_error_in_bf16():
    lite = EagerError(precision_difference=0.03, perturbation_difference=0.04)
    assert limit_of("bf16", lite, untrained=False) == 0.04
    assert limit_of("fp32", lite, untrained=False) == 1e-4
    chaotic = EagerError(precision_difference=0.5, perturbation_difference=0.2)
    assert limit_of("bf16", chaotic, untrained=False) == 0.05


def test_classes_nearer_than_eager_pytorchs_error_may_change_places():
    assert tie_of("bf16", None) == TIE
    lite = EagerError(precision_difference=0.03, perturbation_difference=0.04)
    assert tie_of("bf16", lite) == 0.04
    assert tie_of("fp32", lite) == TIE
    assert tie_of("bf16", EagerError(precision_difference=0.5, perturbation_difference=0.2)) == 0.05


@pytest.mark.parametrize(("margin", "problem"), [(0.03, None), (0.045, "it predicts another class")])
def test_another_class_counts_beyond_eager_pytorchs_error(fresh, monkeypatch, margin, problem):
    """An engine of a trained model moves its two best classes past each other."""
    source = Source(model=fresh, batch=1, resolution=64, threads=1)
    reference = Reference.of(source)
    lite = EagerError(precision_difference=0.03, perturbation_difference=0.04)
    monkeypatch.setattr(Reference, "eager_error", lambda *_: lite)
    logits = torch.tensor([[1.0, 1.0 - margin, *[0.0] * 48]])
    near = replace(reference, batches=reference.batches[:1], expected=(logits,))
    moved = logits + 0.51 * margin * torch.tensor([[-1.0, 1.0, *[0.0] * 48]])
    assert verify(lambda _: moved, "bf16", source, near).problem == problem


WRONG = {
    "zeros": torch.zeros_like,
    "reversed": lambda logits: logits.flip(1),
    "twice": lambda logits: 2 * logits,
    "NaN": lambda logits: logits * float("nan"),
}


@needs_bf16
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_engine_of_an_untrained_model_is_dropped(fresh, wrong, monkeypatch):
    source = Source(model=explode(fresh), batch=1, resolution=64, threads=1, untrained=True)
    reference = Reference.of(source)
    assert reference.eager_error("bf16").largest > TOLERANCES["bf16"], "the model is not ill-conditioned"

    def engine(images):
        with torch.no_grad():
            return wrong(source.eager(images))

    result = verify(engine, "bf16", source, reference)
    assert result.problem.startswith("outputs differ by")
    monkeypatch.setitem(ENGINES, "wrong", EngineEntry(name="wrong", module="wrong", packages=("torch",)))
    module = type(sys)("wrong")
    module.prepare, module.start = lambda *_: None, lambda *_: engine
    monkeypatch.setitem(sys.modules, "lightcars.deploy.runners.wrong", module)
    with pytest.raises(OptimizationError, match="wrong bf16: outputs differ by"):
        optimize(fresh, resolution=64, engine="wrong", precision="bf16")


def test_a_precision_that_pytorch_lacks_has_no_eager_error(fresh, monkeypatch):
    def refuse(*_):
        raise NotImplementedError("no bf16 kernel")

    source = Source(model=fresh, batch=1, resolution=64, threads=1)
    reference = Reference.of(source)
    monkeypatch.setattr(Source, "channels_last", refuse)
    assert reference.eager_error("bf16") is None


def test_an_untrained_model_is_exported_within_its_own_error(fresh, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["lightcars.deploy.export_plan"], "largest_difference", lambda *_: 5e-4)
    size = InputSize(resolution=64)
    trained = load(save(fresh, tmp_path / "weights"))
    for error, model in ((1e-3, trained), (1e-6, fresh)):
        known = EagerError(precision_difference=error, perturbation_difference=error)
        monkeypatch.setattr(Reference, "eager_error", lambda *_, known=known: known)
        with pytest.raises(ExportError, match=r"by 5\.0e-04 of the largest logit \(the limit is 1e-04\)"):
            export(model, tmp_path / "a.pt2", size=size)
    known = EagerError(precision_difference=1e-3, perturbation_difference=1e-6)
    monkeypatch.setattr(Reference, "eager_error", lambda *_: known)
    assert export(fresh, tmp_path / "a.pt2", size=size).difference == 5e-4
