"""DropPath: per sample, keeps the expectation, the identity in evaluation mode."""

import pytest
import torch

from lightcars.layers import DropPath


def test_evaluation_passes_the_input_itself():
    x = torch.randn(3, 4)
    assert DropPath(0.9).eval()(x) is x


def test_probability_zero_passes_the_input_itself():
    x = torch.randn(3, 4)
    assert DropPath(0.0).train()(x) is x


@pytest.mark.parametrize("shape", [(4000,), (4000, 3), (4000, 3, 2, 2)])
@pytest.mark.parametrize("probability", [0.2, 0.7])
def test_whole_samples_are_dropped_and_the_rest_scaled(probability, shape):
    y = DropPath(probability).train()(torch.ones(shape)).reshape(shape[0], -1)
    kept = y[:, 0] != 0
    assert torch.equal(y, kept[:, None].to(y.dtype).expand_as(y) / (1 - probability))
    assert abs(kept.float().mean() - (1 - probability)) < 0.03
    assert abs(y.mean() - 1) < 0.07


def test_samples_differ_within_a_batch_and_between_calls():
    layer, x = DropPath(0.5).train(), torch.ones(64, 2)
    first, second = layer(x), layer(x)
    assert 0 < int((first[:, 0] == 0).sum()) < 64
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_keeps_the_dtype(dtype):
    assert DropPath(0.5).train()(torch.ones(8, 2, dtype=dtype)).dtype == dtype


def test_gradient_reaches_kept_samples_only():
    x = torch.ones(64, 2, requires_grad=True)
    y = DropPath(0.5).train()(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_shows_its_probability():
    assert repr(DropPath(0.25)) == "DropPath(probability=0.25)"
