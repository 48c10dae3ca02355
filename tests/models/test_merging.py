"""Models with parallel branches, merged: the same logits, counts, checkpoints and errors."""

import pytest
import torch

from lightcars.counters.params import count_params
from lightcars.errors import FusionError
from lightcars.models.merging import reparameterize
from lightcars.weights.checkpoint import load, save
from lightcars.zoo import create_model

BRANCHED = ["ghostnetv3_050", "repghostnet_050"]


@pytest.fixture(params=BRANCHED)
def model(request, randomize_norms):
    return randomize_norms(create_model(request.param, width=0.25, num_classes=5)).double().eval()


@torch.no_grad()
def test_the_same_logits_with_fewer_parameters(model):
    merged = reparameterize(model)
    for size in [(64, 64), (33, 47)]:
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        expected = model(x)
        scale = float(expected.abs().max())
        torch.testing.assert_close(merged(x), expected, atol=1e-10 * scale, rtol=0)
    assert merged.config.reparameterized
    assert not model.config.reparameterized
    assert count_params(merged) < count_params(model)
    assert reparameterize(merged) is merged


@torch.no_grad()
def test_it_is_saved_and_trained_further(model, tmp_path):
    model.classes = tuple("abcde")
    merged = reparameterize(model)
    again = load(save(merged, tmp_path))
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(again(x), merged(x))
    assert (again.config, again.classes) == (merged.config, model.classes)
    with torch.enable_grad():
        again.train()(x).sum().backward()
    assert all(parameter.grad is not None for parameter in again.parameters())


def test_precision_and_meta_are_kept(model):
    merged = reparameterize(model)
    assert {parameter.dtype for parameter in merged.parameters()} == {torch.float64}
    on_meta = reparameterize(create_model(BRANCHED[0], device="meta"))
    assert {tensor.device.type for tensor in on_meta.state_dict().values()} == {"meta"}


def test_a_model_without_branches():
    with pytest.raises(FusionError, match=r"^GhostNet has no parallel branches; fuse\(model\) folds"):
        reparameterize(create_model("ghostnet_050", device="meta"))
    with pytest.raises(FusionError, match="reparameterize takes a model of lightcars"):
        reparameterize(torch.nn.Linear(2, 2))
