"""Unwrapping: the model inside torch's wrappers, and what every command refuses with its own error."""

import pytest
import torch
import torch.nn.utils.prune
from torch import nn
from torch.optim.swa_utils import AveragedModel

import lightcars
from lightcars.deploy.graphs import for_export
from lightcars.errors import CheckpointError, ExportError, FusionError, OptimizationError
from lightcars.models.unwrapping import require_plain_weights, require_weights, unwrap, unwrap_model
from lightcars.zoo import ghostnet


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager")


WRAPPERS = {
    "compile": compiled,
    "data-parallel": nn.DataParallel,
    "average": AveragedModel,
    "nested": lambda model: compiled(nn.DataParallel(compiled(model))),
}
each_wrapper = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)


def small(**changes):
    return ghostnet(width=0.1, num_classes=2, out_channels=8, **changes).eval()


@each_wrapper
def test_unwrap(wrap):
    model = nn.Linear(2, 2)
    found = unwrap(wrap(model))
    assert type(found) is nn.Linear
    assert torch.equal(found.weight, model.weight)
    assert unwrap(model) is model


@pytest.mark.parametrize(
    "other", [None, 3, "ghostnet_100", nn.Linear(2, 2), nn.DataParallel(nn.Linear(2, 2))]
)
def test_other_things_are_refused(other):
    kind = "Linear" if isinstance(other, nn.Module) else type(other).__name__
    with pytest.raises(FusionError, match=rf"^fuse takes a model of lightcars, not a {kind}\.$"):
        unwrap_model(other, "fuse takes a model of lightcars", FusionError)


@each_wrapper
@torch.no_grad()
def test_everything_takes_a_wrapped_model(wrap, tmp_path):
    model, x = small(), torch.randn(2, 3, 64, 64)
    wrapped = wrap(model)
    expected = model(x)
    torch.testing.assert_close(lightcars.load(lightcars.save(wrapped, tmp_path))(x), expected)
    torch.testing.assert_close(lightcars.fuse(wrapped)(x), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(for_export(wrapped)(x), expected)
    assert lightcars.state_dict_for(wrapped, "timm").keys() == lightcars.state_dict_for(model, "timm").keys()


def test_a_model_without_weights_is_refused(tmp_path):
    model = small(device="meta")
    for error, call in (
        (CheckpointError, lambda: lightcars.save(model, tmp_path)),
        (ExportError, lambda: for_export(model)),
        (OptimizationError, lambda: lightcars.optimize(model)),
    ):
        with pytest.raises(error, match=r"^the model has no weights \(it is on the meta device\)"):
            call()
    require_weights(small(), CheckpointError)


@pytest.mark.parametrize("change", ["pruned", "parametrized"])
def test_weights_that_are_computed_are_refused(change, tmp_path):
    model = small()
    require_plain_weights(model, CheckpointError)
    conv = model.blocks[1].expand.primary.conv
    if change == "pruned":
        nn.utils.prune.l1_unstructured(conv, "weight", amount=0.5)
    else:
        nn.utils.parametrizations.weight_norm(conv)
    for error, call in (
        (CheckpointError, lambda: lightcars.save(model, tmp_path)),
        (CheckpointError, lambda: lightcars.state_dict_for(model, "timm")),
        (FusionError, lambda: lightcars.fuse(model)),
    ):
        with pytest.raises(error, match=r"of blocks\.1\.expand\.primary\.conv is computed at each call"):
            call()
    assert not list(tmp_path.iterdir())
