"""Configs of the MobileNets and MNASNet: what follows from them, and invalid values."""

from dataclasses import replace

import pytest
import torch

from lightcars.errors import CheckpointError, ConfigError, InputError
from lightcars.layers import DropPath
from lightcars.models.mbconv_stages import MBConvStage
from lightcars.models.mnasnet.config import MNASNetConfig
from lightcars.models.mobilenetv1.config import MobileNetV1Block, MobileNetV1Config
from lightcars.models.mobilenetv2.config import BASE_STAGES, MobileNetV2Config
from lightcars.models.mobilenetv3.config import LARGE_BLOCKS, MobileNetV3Block, MobileNetV3Config
from lightcars.models.mobilenetv4.config import MobileNetV4Block, MobileNetV4Config
from lightcars.weights.convert.export import state_dict_for
from lightcars.zoo import create_model

KINDS = [MobileNetV1Config, MobileNetV2Config, MobileNetV3Config, MobileNetV4Config, MNASNetConfig]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 0), ("resolution", 31), ("num_classes", -1), ("img_channels", 0), ("dropout", 1.0)],
)
def test_invalid_common_setting_is_refused(kind, name, value):
    with pytest.raises(ConfigError, match=f"^{name} must be .* not {value!r}"):
        kind(**{name: value})


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (MobileNetV1Config, "blocks", ()),
        (MobileNetV1Config, "blocks", (3,)),
        (MobileNetV2Config, "stages", ()),
        (MobileNetV2Config, "stages", ("mbconv",)),
        (MobileNetV2Config, "out_channels", 0),
        (MobileNetV2Config, "drop_path", 1.0),
        (MobileNetV3Config, "blocks", (MobileNetV1Block(channels=8),)),
        (MobileNetV3Config, "out_channels", None),
        (MobileNetV4Config, "blocks", (MobileNetV1Block(channels=8),)),
        (MobileNetV4Config, "out_channels", None),
        (MNASNetConfig, "stages", (3,)),
        (MNASNetConfig, "out_channels", None),
        (MNASNetConfig, "drop_path", 1.5),
        (MobileNetV4Config, "drop_path", -0.1),
        (MobileNetV3Config, "padding", "valid"),
        (MobileNetV3Config, "batch_norm_eps", 0.0),
        (MobileNetV3Config, "batch_norm_momentum", 2.0),
    ],
)
def test_invalid_setting_is_refused(kind, name, value):
    with pytest.raises(ConfigError, match=f"^{name} must be "):
        kind(**{name: value})


@pytest.mark.parametrize(
    "row", [lambda: MobileNetV1Block(channels=0), lambda: replace(BASE_STAGES[0], repeats=0)]
)
def test_invalid_row_is_refused(row):
    with pytest.raises(ConfigError, match="must be a whole number of at least 1"):
        row()


def test_setting_that_a_family_lacks_is_answered_with_those_it_has():
    with pytest.raises(ConfigError, match=r"MobileNetV1Config has no setting 'drop_path'.*It has: width"):
        create_model("mobilenetv1_100", drop_path=0.1)
    with pytest.raises(ConfigError, match="MobileNetV1Config has no setting 'out_channels'"):
        create_model("mobilenetv1_100", out_channels=320)


def test_width_scales_mobilenetv1():
    config = MobileNetV1Config(width=0.25)
    assert (config.stem_channels, config.block_channels[0], config.head_channels) == (8, 16, 256)


@pytest.mark.parametrize(("width", "channels"), [(0.5, 1280), (1.0, 1280), (1.4, 1792)])
def test_the_head_of_mobilenetv2_grows_only(width, channels):
    assert MobileNetV2Config(width=width).head_channels == channels
    assert MobileNetV2Config(width=width, out_channels=320).head_channels == 320


def test_drop_path_of_mobilenetv2_grows_linearly():
    blocks = MobileNetV2Config(drop_path=0.17).blocks()
    assert [block.drop_path for block in blocks] == pytest.approx([0.01 * n for n in range(17)])


@pytest.mark.parametrize(
    ("name", "value"),
    [("kernel_size", 0), ("hidden_channels", 1.5), ("squeeze", 1), ("activation", "silu"), ("stride", None)],
)
def test_invalid_block_of_mobilenetv3_is_refused(name, value):
    with pytest.raises(ConfigError, match=f"^{name} must be .*{value!r}"):
        replace(LARGE_BLOCKS[0], **{name: value})


def test_width_scales_mobilenetv3():
    config = MobileNetV3Config(width=0.5)
    block: MobileNetV3Block = config.scaled_blocks()[-1]
    assert (config.stem_channels, block.hidden_channels, block.channels) == (8, 480, 80)
    assert (config.feature_channels, config.head_channels) == (480, 1280)


def test_squeeze_excite_of_mobilenetv3_is_a_quarter_of_the_hidden_channels():
    """Rounded to a multiple of 8, and not more than a tenth below it."""
    model = create_model("mobilenetv3_large_100", device="meta")
    assert model.blocks[3].squeeze_excite.reduce.weight.shape == (24, 72, 1, 1)
    assert model.blocks[4].squeeze_excite.reduce.weight.shape == (32, 120, 1, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "mqa"}, "kind must be one of conv, fused, uib, not 'mqa'"),
        ({"channels": 0}, "channels must be"),
        ({"start_kernel_size": -3}, "start_kernel_size must be"),
        ({"kernel_size": None}, "kernel_size must be"),
        ({"kind": "conv", "kernel_size": 0}, "kernel_size must be a whole number of at least 1"),
        ({"kernel_size": 0, "stride": 2}, "stride must be 1 in a block without a depthwise convolution"),
    ],
)
def test_invalid_block_of_mobilenetv4_is_refused(changes, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        MobileNetV4Block(**{"kind": "uib", "channels": 8, "kernel_size": 3, **changes})


def test_width_scales_mobilenetv4():
    """timm's rule: below 1, the stem stays."""
    narrow, wide = MobileNetV4Config(width=0.5), MobileNetV4Config(width=2.0)
    assert (narrow.stem_channels, narrow.block_channels[0], narrow.feature_channels) == (32, 16, 480)
    assert (wide.stem_channels, wide.block_channels[0], wide.feature_channels) == (64, 64, 1920)
    assert narrow.head_channels == wide.head_channels == 1280


def test_drop_path_of_mobilenetv4_is_where_a_block_has_a_shortcut():
    model = create_model("mobilenetv4_conv_medium", drop_path=0.2, device="meta")
    dropping = [i for i, block in enumerate(model.blocks) if isinstance(block.drop_path, DropPath)]
    assert dropping == [i for i, block in enumerate(model.blocks) if block.residual]
    assert len(dropping) == 18


def test_a_plain_convolution_of_mobilenetv4_is_dilated_like_a_block():
    rows = (
        *(MobileNetV4Block(kind="conv", channels=8, kernel_size=3, stride=2) for _ in range(3)),
        MobileNetV4Block(kind="conv", channels=8, kernel_size=3),
    )
    model = create_model("mobilenetv4_conv_small", blocks=rows).eval()
    backbone = model.backbone(output_stride=8)
    assert [block.conv.dilation[0] for block in backbone.blocks] == [1, 1, 1, 2]
    assert backbone(torch.randn(1, 3, 64, 64))[-1].shape == (1, 8, 8, 8)


def test_mobilenetv4_refuses_to_train_on_one_image():
    with pytest.raises(InputError, match=r"one image \(the batch norm of its neck"):
        create_model("mobilenetv4_conv_small", width=0.25)(torch.randn(1, 3, 64, 64))


def test_a_table_that_torchvisions_mnasnet_cannot_have():
    first, *others = MNASNetConfig().stages
    model = create_model("mnasnet_100", stages=(first, replace(others[0], expand_ratio=1)), device="meta")
    assert state_dict_for(model, "timm")
    with pytest.raises(CheckpointError, match=r"MNASNet does not exist with the names of 'torchvision'"):
        state_dict_for(model, "torchvision")


def test_a_table_of_ones_own():
    stages = (MBConvStage(expand_ratio=4, kernel_size=5, stride=2, channels=24, repeats=2),)
    model = create_model("mobilenetv2_100", stages=stages, device="meta")
    assert [info.stride for info in model.feature_info] == [4]
    assert len(model.blocks) == 2
