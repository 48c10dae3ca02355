"""The counters on models of torchvision and timm, against the arithmetic of the functions that they call."""

import random
import warnings

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from benchmarks.harness.arithmetic import Arithmetic
from benchmarks.speed.counting_zoo import timm_model, torchvision_model
from lightcars.counters.flops import count_flops
from lightcars.counters.profile import profile

KNOWN = {
    "torchvision mobilenet_v3_small": 56_510_400,
    "torchvision shufflenet_v2_x0_5": 40_476_448,
    "timm mobilenetv1_100": 568_740_352,
    "timm repghostnet_100": 142_394_128,
    "timm cait_xxs24_224": 2_523_475_200,
}
KINDS = (
    "timm swin_tiny_patch4_window7_224",  # relative positions, shifted windows
    "timm sequencer2d_s",  # LSTM
    "timm mixer_s32_224",
    "timm poolformer_s12",
    "timm halonet26t",  # einsum and gathered windows
    "timm lambda_resnet26t",
    "timm resnetv2_50d_evos",  # standardized weights
    "timm repvgg_a0",
    "torchvision vit_b_32",  # nn.MultiheadAttention
    "torchvision maxvit_t",
    "torchvision googlenet",
)


def build(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    library, _, variant = name.partition(" ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision on initial weights
        return {"timm": timm_model, "torchvision": torchvision_model}[library](variant)


def assert_counts_agree(name: str) -> int:
    model, shape = build(name)
    with Arithmetic() as arithmetic:
        macs = count_flops(model, inputs=shape)
    assert macs == arithmetic.total, dict(arithmetic.macs)
    if name.startswith("torchvision"):
        assert round(macs / 1e9, 3) in published(name.split()[1])
    assert macs > 0
    return macs


def published(name: str) -> set[float]:
    """Return the billions of multiply-accumulates that torchvision gives for the weights of a model."""
    return {round(weights.meta["_ops"], 3) for weights in torchvision.models.get_model_weights(name)}


@pytest.mark.parametrize("name", [*KNOWN, *KINDS])
def test_counts_of_models_agree_with_arithmetic(name):
    macs = assert_counts_agree(name)
    assert macs == KNOWN.get(name, macs)


def sample(library: str) -> list[str]:
    """Models to count, the same in every run."""
    if library == "timm":
        return [f"timm {name}" for name in random.Random(1).sample(timm.list_models(), 60)]
    names = torchvision.models.list_models(module=torchvision.models)
    return [f"torchvision {name}" for name in random.Random(1).sample(names, 40)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*sample("torchvision"), *sample("timm")])
def test_a_hundred_models_agree_with_arithmetic(name):
    macs = assert_counts_agree(name)
    model, shape = build(name)
    p = profile(model, inputs=shape)
    assert p.flops == macs
    assert p.layers[0].flops == macs


def test_arithmetic_by_kind():
    """The check itself, on functions whose cost is known."""
    with Arithmetic() as arithmetic:
        F.conv2d(torch.zeros(2, 4, 5, 5), torch.zeros(6, 2, 3, 3), groups=2)
        F.conv_transpose2d(torch.zeros(2, 4, 5, 5), torch.zeros(4, 3, 3, 3))
        F.linear(torch.zeros(7, 8), torch.zeros(3, 8))
        torch.zeros(3, 4) @ torch.zeros(2, 4, 5)
        torch.einsum("ab, bc -> ac", torch.zeros(2, 3), torch.zeros(3, 4))
        torch.einsum("a,b->ab", torch.zeros(2), torch.zeros(3))
        F.scaled_dot_product_attention(torch.zeros(2, 3, 4), torch.zeros(2, 5, 4), torch.zeros(2, 5, 6))
        nn.LSTM(3, 4)(torch.zeros(5, 2, 3))
        nn.MultiheadAttention(4, 2)(torch.zeros(5, 2, 4), torch.zeros(3, 2, 4), torch.zeros(3, 2, 4))
    assert arithmetic.macs == {
        "convolution": 2 * 9 * 6 * 18,
        "transposed convolution": 2 * 25 * 4 * 27,
        "linear": 7 * 8 * 3 + 4 * (2 * 40 + 2 * 24),
        "matrix product": 2 * 3 * 4 * 5,
        "einsum": 24,
        "fused attention": 2 * 3 * 5 * (4 + 6) + 2 * 2 * 5 * 3 * 4,
        "LSTM": 10 * 16 * (3 + 4),
    }
    assert arithmetic.broadcast == 2 * 3 * 4 * 5 - 3 * 4 * 5
