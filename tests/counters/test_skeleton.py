"""Counting leaves the model, the random state and the global state of torch unchanged."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightcars.counters.flops import count_flops
from lightcars.counters.profile import profile
from lightcars.counters.skeleton import skeleton
from lightcars.errors import CountingError
from lightcars.zoo import create_model

COUNTS = {
    "torch": count_flops,
    "fvcore": lambda model, size: count_flops(model, size, engine="fvcore"),
    "profile": profile,
    "backward": lambda model, size: profile(model, size, backward=True),
}
every_count = pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS)


def remember(model: nn.Module) -> dict[str, Any]:
    """Everything about a model that counting could disturb."""
    return {
        "tensors": {
            name: (id(t), t.clone(), t.requires_grad) for name, t in model.state_dict(keep_vars=True).items()
        },
        "training": [module.training for module in model.modules()],
        "hooks": [dict(module._forward_hooks) for module in model.modules()],
        "pre_hooks": [dict(module._forward_pre_hooks) for module in model.modules()],
        "backward_hooks": [dict(module._backward_hooks) for module in model.modules()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "gradients": [parameter.grad is None for parameter in model.parameters()],
    }


def assert_unchanged(before: dict[str, Any], model: nn.Module) -> None:
    after = remember(model)
    for name, (identity, tensor, requires_grad) in before.pop("tensors").items():
        now = after["tensors"][name]
        assert (now[0], now[2]) == (identity, requires_grad), name
        assert torch.equal(now[1], tensor), name
    for what, value in before.items():
        assert after[what] == value, what


@every_count
@pytest.mark.parametrize("name", ["ghostnet_thesis", "efficientnet_b0"])
def test_model_is_unchanged(name, count):
    model = create_model(name, width=0.1, num_classes=3)
    model.train()
    model.blocks[2].eval()
    model.stem.requires_grad_(False)
    fired = []
    model.register_forward_hook(lambda *_: fired.append("forward"))
    model.blocks[0].register_forward_pre_hook(lambda *_: fired.append("before"))
    model.classifier.register_full_backward_hook(lambda *_: fired.append("backward"))
    before = remember(model)
    count(model, 64)
    assert_unchanged(before, model)
    assert fired == []
    model(torch.randn(2, 3, 64, 64)).sum().backward()
    assert sorted(fired) == ["backward", "before", "forward"], "the hooks are still there"


@every_count
@pytest.mark.parametrize("enabled", [True, False])
def test_global_state_of_torch_is_unchanged(enabled, count):
    model = create_model("ghostnet_050", width=0.1)
    state = torch.get_rng_state()
    with torch.set_grad_enabled(enabled):
        count(model, 64)
        assert torch.is_grad_enabled() is enabled
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.empty(1).device.type == "cpu"
    assert torch.get_default_dtype() == torch.float32


@every_count
def test_global_state_is_unchanged_after_a_failure(count):
    model = nn.Conv2d(3, 4, 7)
    state = torch.get_rng_state()
    with pytest.raises(CountingError):
        count(model, 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.empty(1).device.type == "cpu"
    assert torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(
            count,
            id=name,
        )
        for name, count in COUNTS.items()
    ],
)
def test_inference_mode_changes_no_count(count):
    model = create_model("ghostnet_050", width=0.1)
    expected = count(model, 64)
    with torch.inference_mode():
        assert count(model, 64) == expected


class UsesRandomNumbers(nn.Module):
    """Its forward uses randomness even in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x + torch.randn(3, 1, 1))


@every_count
def test_random_state_survives_a_forward_that_uses_it(count):
    model = UsesRandomNumbers()
    state = torch.get_rng_state()
    count(model, 8)
    assert torch.equal(torch.get_rng_state(), state)


class ChangesItself(nn.Module):
    """Its forward writes to every kind of attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.register_buffer("seen", torch.zeros(()))
        self.calls = 0
        self.shapes: list[tuple[int, ...]] = []
        self.cache: dict[str, Tensor] = {}
        self.nested = {"inner": [1]}
        self.plain = torch.zeros(2)

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        self.calls += 1
        self.shapes.append(tuple(x.shape))
        self.cache["x"] = x
        self.nested["inner"].append(2)
        self.plain = self.plain + 1
        self.last = x
        return self.conv(x)


@every_count
def test_model_that_changes_itself_is_unchanged(count):
    model = ChangesItself()
    plain = model.plain
    count(model, 8)
    assert model.seen.item() == 0
    assert model.calls == 0
    assert model.shapes == []
    assert model.cache == {}
    assert model.nested == {"inner": [1]}
    assert model.plain is plain
    assert not plain.any()
    assert not hasattr(model, "last")


@every_count
def test_cycles_between_modules(count):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    model[1].__dict__["parent"] = model
    model[1].relatives = [model[0], model]
    count(model, 8)
    assert model[1].parent is model


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_skeleton_keeps_structure_and_sharing(device):
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.BatchNorm1d(4), layer, nn.Linear(4, 4))
    model[3].weight = layer.weight
    copied = skeleton(model, device=device)
    assert copied is not model
    assert [type(module) for module in copied] == [type(module) for module in model]
    assert copied[0] is copied[2]
    assert copied[3].weight is copied[0].weight
    assert {tensor.device.type for tensor in copied.state_dict().values()} == {device}
    for (name, ours), theirs in zip(copied.state_dict().items(), model.state_dict().values(), strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), name
    assert not any(module.training for module in copied.modules())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("count", [count_flops, profile])
@pytest.mark.parametrize("device", [torch.device("cpu"), "cpu"], ids=["device", "name"])
def test_models_that_keep_their_device(count, device):
    """The copy's tensors meet on the copy's device, wherever the model says that they should go."""

    class OnDevice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.device = device
            self.layer = nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            positions = torch.arange(8, device=self.device)
            return self.layer(x.to(self.device) + positions).to("cpu") + torch.ones(4, device=self.device)

    model = OnDevice()
    assert getattr(count(model, inputs=(3, 8)), "flops", 96) == 96
    assert model.device is device


def test_tensors_that_are_views_of_parameters():
    """Learned queries, kept as attributes or in lists."""

    class Queries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(5, 8))
            self.first, self.others = self.table[:1], [self.table[1:3], {"last": self.table[3:]}]

        def forward(self, x: Tensor) -> Tensor:
            parts = [self.first, self.others[0], self.others[1]["last"]]
            return x @ torch.cat(parts).T

    assert count_flops(Queries(), inputs=(3, 8)) == 3 * 8 * 5
    assert profile(Queries(), inputs=(3, 8)).flops == 3 * 8 * 5


def test_learned_query_of_a_transformer():
    """A class token that enters a module without gradients, though it requires them."""
    import timm

    with torch.device("meta"):
        model = timm.create_model("cait_xxs24_224")
    assert count_flops(model, 224) == 2_523_475_200
    assert profile(model, 224).flops == 2_523_475_200


def test_model_that_cannot_be_copied():
    class NoCopy:
        def __deepcopy__(self, memo):
            raise RuntimeError("one of a kind")

    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    model.handle = NoCopy()
    with pytest.raises(CountingError, match=r"Sequential cannot be copied .*one of a kind"):
        count_flops(model, 8)
    assert isinstance(copy.copy(model).handle, NoCopy)
