"""ConvNormAct: shapes at odd sizes, TensorFlow's SAME padding, the settings of a style."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lightcars.layers import ConvNormAct, ConvStyle
from lightcars.layers.conv_norm_act import same_padding

SIZES = range(31, 41)


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (1, 2)])
def test_height_and_width_are_divided_by_the_stride_and_rounded_up(
    height, width, kernel_size, stride, padding
):
    layer = ConvNormAct(3, 8, kernel_size=kernel_size, stride=stride, style=ConvStyle(padding=padding)).eval()
    y = layer(torch.randn(2, 3, height, width))
    assert y.shape == (2, 8, math.ceil(height / stride), math.ceil(width / stride))


def test_is_convolution_then_norm_then_activation(randomize_norms):
    layer = randomize_norms(ConvNormAct(4, 6, kernel_size=3, groups=2)).eval()
    x = torch.randn(2, 4, 9, 9)
    norm = layer.norm
    y = nn.functional.conv2d(x, layer.conv.weight, padding=1, groups=2)
    y = (y - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
    y = (y * norm.weight[:, None, None] + norm.bias[:, None, None]).clamp(min=0)
    torch.testing.assert_close(layer(x), y)


def test_convolution_has_no_bias_and_the_given_groups():
    layer = ConvNormAct(8, 8, kernel_size=5, groups=8)
    assert layer.conv.bias is None
    assert layer.conv.groups == 8
    assert layer.conv.weight.shape == (8, 1, 5, 5)


def test_style_sets_norm_and_activation():
    style = ConvStyle(activation=nn.SiLU, eps=1e-3, momentum=0.01)
    layer = ConvNormAct(3, 4, style=style)
    assert (layer.norm.eps, layer.norm.momentum) == (1e-3, 0.01)
    assert isinstance(layer.act, nn.SiLU)


def test_linear_style_only_drops_the_activation():
    style = ConvStyle(activation=nn.SiLU, padding="same", eps=1e-3, momentum=0.01)
    linear = style.linear()
    assert linear.activation is nn.Identity
    assert (linear.padding, linear.eps, linear.momentum) == ("same", 1e-3, 0.01)
    assert style.activation is nn.SiLU


def convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> ConvNormAct:
    """A layer with SAME padding whose norm and activation do nothing."""
    style = ConvStyle(activation=nn.Identity, padding="same")
    layer = ConvNormAct(in_channels, out_channels, kernel_size=kernel_size, stride=stride, style=style)
    layer.norm = nn.Identity()
    return layer


def tensorflow_same(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """SAME convolution of one channel as TensorFlow documents it."""
    size, k = x.shape[0], kernel.shape[0]
    along = max(k - stride, 0) if size % stride == 0 else max(k - size % stride, 0)
    before = along // 2
    padded = np.pad(x, (before, along - before))
    side = math.ceil(size / stride)
    windows = (
        padded[i * stride : i * stride + k, j * stride : j * stride + k]
        for i in range(side)
        for j in range(side)
    )
    return np.array([(window * kernel).sum() for window in windows]).reshape(side, side)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_same_padding_is_tensorflows(kernel_size, stride, size):
    layer = convolution(1, 1, kernel_size, stride)
    x = torch.randn(1, 1, size, size)
    expected = tensorflow_same(x[0, 0].numpy(), layer.conv.weight.detach()[0, 0].numpy(), stride)
    np.testing.assert_allclose(layer(x).detach()[0, 0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_same_padding_is_timms(kernel_size, stride):
    from timm.layers import Conv2dSame

    theirs = Conv2dSame(3, 4, kernel_size, stride, bias=False)
    ours = convolution(3, 4, kernel_size, stride)
    ours.conv.load_state_dict(theirs.state_dict())
    for size in SIZES:
        x = torch.randn(2, 3, size, 71 - size)
        torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kernel_size", "stride"), [(2, 2), (1, 2), (1, 3), (4, 2), (3, 2)])
def test_same_convolution_takes_any_kernel(kernel_size, stride, size):
    layer = convolution(1, 1, kernel_size, stride)
    x = torch.randn(1, 1, size, size)
    expected = tensorflow_same(x[0, 0].numpy(), layer.conv.weight.detach()[0, 0].numpy(), stride)
    np.testing.assert_allclose(layer(x).detach()[0, 0].numpy(), expected, atol=1e-5)


def test_the_odd_pixel_is_added_at_the_end():
    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(224, 5, 2) == (1, 2)
    assert same_padding(225, 3, 2) == (1, 1)
    assert same_padding(8, 1, 2) == (0, 0)


def test_height_and_width_are_padded_independently():
    layer = convolution(1, 1, 3, 2)
    nn.init.ones_(layer.conv.weight)
    y = layer(torch.ones(1, 1, 4, 5))
    assert y.tolist() == [[[[6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]]]


def test_kernels_need_not_be_square():
    unit = ConvNormAct(3, 4, kernel_size=(1, 3))
    assert unit.conv.padding == (0, 1)
    assert unit(torch.randn(2, 3, 5, 7)).shape == (2, 4, 5, 7)


@pytest.mark.parametrize("style", [ConvStyle(), ConvStyle(padding="same")])
def test_padding_of_its_own_replaces_that_of_the_style(style):
    unit = ConvNormAct(3, 4, kernel_size=7, stride=2, padding=1, style=style)
    assert unit(torch.randn(2, 3, 20, 21)).shape == (2, 4, 8, 9)


def test_a_style_may_have_biases():
    assert ConvNormAct(3, 4).conv.bias is None
    assert not ConvNormAct(3, 4, style=ConvStyle(bias=True)).conv.bias.any()
