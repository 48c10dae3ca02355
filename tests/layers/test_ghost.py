"""GhostModule and GhostBottleneck: shapes, surplus maps, and outputs equal to timm's."""

from functools import partial

import pytest
import torch
from torch import nn

from lightcars.layers import ConvStyle, DropPath, GhostBottleneck, GhostModule, SqueezeExcite
from lightcars.models.scaling import round_channels

MODULES = [
    {"out_channels": 16},
    {"out_channels": 15},
    {"out_channels": 16, "ratio": 3},
    {"out_channels": 15, "ratio": 3},
    {"out_channels": 16, "stride": 2, "kernel_size": 3},
    {"out_channels": 17, "ratio": 4, "stride": 2, "kernel_size": 3, "depthwise_size": 5},
]


def ids(settings):
    return ",".join(f"{name}={value}" for name, value in settings.items())


def copy_by_order(ours: nn.Module, theirs: nn.Module) -> None:
    """Both register the same layers in the same order, under other names."""
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))


@pytest.mark.parametrize("settings", MODULES, ids=ids)
def test_module_is_the_base_maps_and_a_cheap_map_of_each(settings, randomize_norms):
    module = randomize_norms(GhostModule(6, **settings)).eval()
    x = torch.randn(2, 6, 9, 11)
    ratio, out_channels = settings.get("ratio", 2), settings["out_channels"]
    base = module.primary(x)
    assert base.shape[1] == -(-out_channels // ratio)
    weight, norm = module.cheap.conv.weight, module.cheap.norm
    maps = [base[:, i] for i in range(base.shape[1])]
    for number in range(base.shape[1] * (ratio - 1)):
        source = base[:, number // (ratio - 1)].unsqueeze(1)  # ratio - 1 ghosts of each base map in turn
        ghost = nn.functional.conv2d(source, weight[number : number + 1], padding=weight.shape[-1] // 2)[:, 0]
        scale = norm.weight[number] / (norm.running_var[number] + norm.eps).sqrt()
        maps.append(((ghost - norm.running_mean[number]) * scale + norm.bias[number]).clamp(min=0))
    expected = torch.stack(maps[:out_channels], dim=1)
    stride = settings.get("stride", 1)
    assert expected.shape == (2, out_channels, -(-9 // stride), -(-11 // stride))
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize("settings", MODULES, ids=ids)
def test_module_equals_timms(settings, randomize_norms):
    from timm.models.ghostnet import GhostModule as TheirModule

    renamed = {"out_channels": "out_chs", "depthwise_size": "dw_size"}
    theirs = TheirModule(6, **{renamed.get(name, name): value for name, value in settings.items()})
    ours = GhostModule(6, **settings).eval()
    copy_by_order(ours, randomize_norms(theirs).eval())
    x = torch.randn(2, 6, 9, 11)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("in_channels", [12, 20])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("squeeze", [False, True])
def test_bottleneck_equals_timms(squeeze, kernel_size, stride, in_channels, randomize_norms):
    from timm.models.ghostnet import GhostBottleneck as TheirBottleneck

    theirs = TheirBottleneck(
        in_channels, 36, 12, dw_kernel_size=kernel_size, stride=stride, se_ratio=0.25 if squeeze else 0.0
    )
    ours = GhostBottleneck(
        in_channels,
        36,
        12,
        kernel_size=kernel_size,
        stride=stride,
        squeeze_excite=partial(SqueezeExcite, reduced_channels=round_channels(36 / 4, 4), gate=nn.Hardsigmoid)
        if squeeze
        else None,
    ).eval()
    copy_by_order(ours, randomize_norms(theirs).eval())
    x = torch.randn(2, in_channels, 9, 11)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("in_channels", "stride", "identity"), [(16, 1, True), (16, 2, False), (8, 1, False), (8, 2, False)]
)
def test_shortcut_is_the_identity_when_the_shape_stays(in_channels, stride, identity):
    block = GhostBottleneck(in_channels, 32, 16, stride=stride)
    assert isinstance(block.shortcut, nn.Identity) is identity
    assert isinstance(block.depthwise, nn.Identity) is (stride == 1)
    assert block(torch.randn(2, in_channels, 9, 7)).shape == (2, 16, -(-9 // stride), -(-7 // stride))


def test_projection_depthwise_and_shortcut_are_linear():
    block = GhostBottleneck(8, 32, 16, stride=2)
    linear = [block.depthwise, block.project.primary, block.project.cheap, *block.shortcut]
    assert all(isinstance(layer.act, nn.Identity) for layer in linear)
    assert isinstance(block.expand.primary.act, nn.ReLU)
    assert isinstance(block.expand.cheap.act, nn.ReLU)


def test_activation_in_place_leaves_the_input_alone():
    block = GhostBottleneck(16, 32, 16, style=ConvStyle(activation=partial(nn.ReLU, inplace=True)))
    x = torch.randn(2, 16, 5, 5)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("stride", [1, 2])
def test_dropped_samples_keep_the_shortcut(stride):
    block = GhostBottleneck(8, 32, 8, stride=stride, drop_path=0.5).train()
    x = torch.randn(64, 8, 4, 4)
    shortcut = block.shortcut(x)
    unchanged = (block(x) == shortcut).flatten(1).all(1)
    assert 0 < int(unchanged.sum()) < 64


def test_no_drop_path_without_a_probability():
    assert isinstance(GhostBottleneck(8, 32, 8, drop_path=0.0).drop_path, nn.Identity)
    assert isinstance(GhostBottleneck(8, 32, 8, drop_path=0.1).drop_path, DropPath)
