"""Configs of the MobileNets and MNASNet: what follows from them, and invalid values."""

from dataclasses import replace

import pytest

from lightcars.errors import ConfigError
from lightcars.models.mbconv_stages import MBConvStage
from lightcars.models.mobilenetv1.config import MobileNetV1Block, MobileNetV1Config
from lightcars.models.mobilenetv2.config import BASE_STAGES, MobileNetV2Config
from lightcars.zoo import create_model

KINDS = [MobileNetV1Config, MobileNetV2Config]


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


def test_a_table_of_ones_own():
    stages = (MBConvStage(expand_ratio=4, kernel_size=5, stride=2, channels=24, repeats=2),)
    model = create_model("mobilenetv2_100", stages=stages, device="meta")
    assert [info.stride for info in model.feature_info] == [4]
    assert len(model.blocks) == 2
