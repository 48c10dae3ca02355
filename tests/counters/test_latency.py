"""The latency of `profile`: the model is run, and left unchanged."""

import json

import pytest
import torch
from torch import nn

from lightcars.counters import latency as measured
from lightcars.counters import timing
from lightcars.counters.latency import Latency
from lightcars.counters.profile import profile
from lightcars.errors import CountingError

PEAK = 1e12


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(timing, "WARM_UP_S", 0.0)
    monkeypatch.setattr(timing, "LEAST_CALLS", 4)
    monkeypatch.setattr(timing, "PATIENCE", 0)
    monkeypatch.setattr(measured, "attainable_rate", lambda *_: PEAK)


class Watched(nn.Module):
    """Remembers how it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.calls: list[tuple[object, ...]] = []

    def forward(self, x):
        if x.device.type != "meta":
            self.calls.append((tuple(x.shape), x.dtype, self.training, torch.is_grad_enabled()))
        return self.norm(self.layer(x))


def latency_of(model: nn.Module, size=(2, 3, 8, 8), **settings) -> Latency:
    found = profile(model, size, latency=True, **settings).latency
    assert found is not None
    return found


def test_the_model_is_not_run_unless_requested():
    model = Watched()
    assert profile(model, 8).latency is None
    assert model.calls == []


def test_the_metrics_belong_together():
    model = Watched()
    metrics = profile(model, (2, 3, 8, 8), latency=True)
    found = metrics.latency
    assert len(model.calls) == found.calls + timing.WARM_UP_CALLS
    assert (found.device, found.threads) == ("cpu", torch.get_num_threads())
    assert 0 < found.median_ms <= found.p95_ms
    assert found.images_per_second == pytest.approx(2000 / found.median_ms)
    assert found.macs_per_second == pytest.approx(1000 * metrics.flops / found.median_ms)
    assert found.peak_macs_per_second == PEAK
    assert found.peak_share_percent == pytest.approx(100 * found.macs_per_second / PEAK)


def test_it_is_run_for_inference_in_its_precision():
    model = Watched().double()
    latency_of(model)
    assert set(model.calls) == {((2, 3, 8, 8), torch.float64, False, False)}


def test_backward_is_of_both_passes_and_leaves_no_gradient(monkeypatch):
    model = Watched()
    model.layer.bias.requires_grad_(False)
    model.norm.weight.grad = torch.ones(4)
    passes = []
    grad = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: passes.append(1) or grad(*a, **k))
    found = latency_of(model, backward=True)
    assert len(passes) == found.calls + timing.WARM_UP_CALLS
    assert all(call[3] for call in model.calls)
    assert model.layer.weight.grad is None
    assert model.norm.weight.grad.tolist() == [1, 1, 1, 1]


def test_the_model_is_unchanged():
    model = Watched().train()
    model.norm.eval()
    called = []
    hooks = [
        model.register_forward_hook(lambda *_: called.append("forward")),
        model.layer.register_forward_pre_hook(lambda *_: called.append("pre")),
        model.layer.register_full_backward_hook(lambda *_: called.append("backward")),
    ]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    latency_of(model, backward=True)
    assert called == []
    assert [module.training for module in (model, model.layer, model.norm)] == [True, True, False]
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    model(torch.zeros(1, 3, 8, 8, requires_grad=True)).sum().backward()
    assert called == ["pre", "forward", "backward"], "the hooks are there again"
    for hook in hooks:
        hook.remove()


def test_it_is_unchanged_after_a_failure_too():
    class Broken(Watched):
        def forward(self, x):
            if x.device.type != "meta":
                raise RuntimeError("no memory\nat all")
            return super().forward(x)

    model = Broken().train()
    called = []
    model.register_forward_pre_hook(lambda *_: called.append(1))
    with pytest.raises(CountingError, match=r"cannot be run for its latency \(RuntimeError: no memory\)\.$"):
        latency_of(model)
    assert model.training
    assert model.norm.training
    assert len(model._forward_pre_hooks) == 1
    assert called == []


def test_a_model_that_uses_random_numbers_leaves_the_random_state():
    class Random(nn.Module):
        def forward(self, x):
            return x + torch.rand(())

    state = torch.get_rng_state()
    assert latency_of(Random()).macs_per_second == 0
    assert torch.equal(torch.get_rng_state(), state)


def test_hooks_that_compute_weights_stay():
    model = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 1))
    assert latency_of(model).calls >= 3
    with pytest.warns(FutureWarning):
        old = nn.utils.weight_norm(nn.Conv2d(3, 4, 1))
    computed = []
    (hook,) = old._forward_pre_hooks.values()
    compute = type(hook).compute_weight
    hook.compute_weight = lambda module: computed.append(1) or compute(hook, module)
    assert latency_of(old).calls <= len(computed)


def test_a_compiled_model_is_run_compiled():
    runs = []

    def backend(graph, _examples):
        return lambda *inputs: runs.append(1) or graph(*inputs)

    compiled = torch.compile(nn.Sequential(nn.Conv2d(3, 4, 1)), backend=backend)
    assert latency_of(compiled).calls <= len(runs)


def test_a_model_without_weights():
    with pytest.raises(CountingError, match="a model on the meta device has no weights to run"):
        latency_of(Watched().to("meta"))


def test_text_json_and_markdown_have_it():
    metrics = profile(Watched(), (2, 3, 8, 8), latency=True)
    found = metrics.latency
    content = json.loads(metrics.to_json())["latency"]
    assert content["median_ms"] == found.median_ms
    assert content["peak_share_percent"] == found.peak_share_percent
    for text in (metrics.to_text(), metrics.to_markdown()):
        assert f"{found.median_ms:.3g} ms ({found.calls} calls on cpu, " in text
        assert f"{found.peak_share_percent:.3g} % of 1 T for large matrix products" in text
    without = profile(Watched(), 8)
    assert json.loads(without.to_json())["latency"] is None
    assert "latency" not in without.to_text()
