"""Configs: impossible values and misspelt names are refused, derived values follow the tables."""

import dataclasses
import math
from dataclasses import replace

import pytest
from torch import nn

import lightcars
from lightcars.errors import ConfigError
from lightcars.models.build import build_model
from lightcars.models.efficientnet.config import BASE_STAGES, VARIANTS, EfficientNetConfig
from lightcars.models.features import FeatureMap, feature_maps
from lightcars.models.ghost_config import BASE_BLOCKS
from lightcars.models.ghostnet.config import VARIANTS as GHOSTNETS
from lightcars.models.ghostnet.config import GhostNetConfig

BOTH = [EfficientNetConfig, GhostNetConfig]

COMMON = [
    ("width", 0),
    ("width", -1.0),
    ("width", 21),
    ("width", math.nan),
    ("width", math.inf),
    ("width", "1.0"),
    ("width", True),
    ("width", None),
    ("resolution", 31),
    ("resolution", 224.0),
    ("resolution", (224, 224)),
    ("resolution", True),
    ("num_classes", -1),
    ("num_classes", 1.5),
    ("num_classes", None),
    ("num_classes", True),
    ("img_channels", 0),
    ("img_channels", "3"),
    ("out_channels", 0),
    ("out_channels", 320.0),
    ("dropout", 1.0),
    ("dropout", -0.1),
    ("dropout", math.nan),
    ("dropout", None),
    ("dropout", True),
    ("drop_path", 1),
    ("drop_path", -0.5),
]
OF_EFFICIENTNET = [
    ("depth", 0),
    ("depth", 21),
    ("depth", math.nan),
    ("padding", "valid"),
    ("padding", None),
    ("padding", 1),
    ("batch_norm_eps", 0),
    ("batch_norm_eps", math.inf),
    ("batch_norm_momentum", 0.0),
    ("batch_norm_momentum", 1.5),
    ("batch_norm_momentum", None),
    ("activation", "relu"),
    ("squeeze_reduction", -1),
    ("squeeze_reduction", True),
    ("fixed_ends", 1),
]
OF_GHOSTNET = [("form", "huawei"), ("form", None), ("form", ["official"]), ("out_channels", None)]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        *((kind, name, value) for kind in BOTH for name, value in COMMON),
        *((EfficientNetConfig, name, value) for name, value in OF_EFFICIENTNET),
        *((GhostNetConfig, name, value) for name, value in OF_GHOSTNET),
    ],
)
def test_impossible_value_is_refused_by_name(kind, name, value):
    with pytest.raises(ConfigError) as error:
        kind(**{name: value})
    message = str(error.value)
    assert message.startswith(f"{name} must be ")
    assert repr(value) in message


STAGE, BLOCK = BASE_STAGES[0], BASE_BLOCKS[0]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (EfficientNetConfig, lambda: {"stages": ()}),
        (EfficientNetConfig, lambda: {"stages": ("mbconv",)}),
        (EfficientNetConfig, lambda: {"stages": (replace(STAGE, channels=-3),)}),
        (EfficientNetConfig, lambda: {"stages": (replace(STAGE, stride=0),)}),
        (EfficientNetConfig, lambda: {"stages": (replace(STAGE, kernel_size=0),)}),
        (EfficientNetConfig, lambda: {"stages": (replace(STAGE, repeats=0),)}),
        (EfficientNetConfig, lambda: {"stages": (replace(STAGE, expand_ratio=0),)}),
        (GhostNetConfig, lambda: {"blocks": ()}),
        (GhostNetConfig, lambda: {"blocks": (1,)}),
        (GhostNetConfig, lambda: {"blocks": (replace(BLOCK, channels="q"),)}),
        (GhostNetConfig, lambda: {"blocks": (replace(BLOCK, stride=0),)}),
    ],
)
def test_impossible_table_is_refused(kind, changes):
    with pytest.raises(ConfigError):
        kind(**changes())


@pytest.mark.parametrize("build", [lightcars.efficientnet, lightcars.ghostnet])
@pytest.mark.parametrize(
    ("misspelt", "near"),
    [
        ("num_class", "num_classes"),
        ("droput", "dropout"),
        ("img_chanels", "img_channels"),
        ("widht", "width"),
    ],
)
def test_misspelt_keyword_is_answered_with_the_near_name(build, misspelt, near):
    with pytest.raises(ConfigError) as error:
        build(**{misspelt: 1})
    message = str(error.value)
    assert repr(misspelt) in message
    assert f"Did you mean {near}" in message
    assert "resolution" in message, "it lists what there is"


def test_setting_of_another_family_is_refused():
    with pytest.raises(ConfigError, match="GhostNetConfig has no setting 'depth'"):
        lightcars.create_model("ghostnet_100", depth=2.0)
    with pytest.raises(ConfigError, match="EfficientNetConfig has no setting 'form'"):
        lightcars.create_model("efficientnet_b0", form="thesis")


def test_keywords_reach_the_config():
    changes = {"num_classes": 196, "img_channels": 1, "dropout": 0.3, "out_channels": 320, "width": 0.5}
    for name in ("ghostnet_100", "efficientnet_b0"):
        config = lightcars.create_model(name, device="meta", **changes).config
        assert {key: getattr(config, key) for key in changes} == changes


@pytest.mark.parametrize("kind", BOTH)
def test_configs_are_frozen_comparable_and_hashable(kind):
    assert kind() == kind()
    assert hash(kind()) == hash(kind())
    assert kind() != kind(width=0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().width = 2.0


def test_config_of_no_family_is_refused():
    with pytest.raises(ConfigError, match="int is not the config"):
        build_model(3)


@pytest.mark.parametrize(
    "values", [("b0", 1.0, 1.0, 224, 0.2), ("b3", 1.2, 1.4, 300, 0.3), ("b7", 2.0, 3.1, 600, 0.5)]
)
def test_published_coefficients(values):
    variant, width, depth, resolution, dropout = values
    config = VARIANTS[variant].config
    assert (config.width, config.depth, config.resolution, config.dropout) == (
        width,
        depth,
        resolution,
        dropout,
    )


@pytest.mark.parametrize(
    ("variant", "blocks"),
    [("b0", 16), ("b1", 23), ("b2", 23), ("b3", 26), ("b4", 32), ("b5", 39), ("b6", 45), ("b7", 55)],
)
def test_number_of_blocks(variant, blocks):
    assert len(VARIANTS[variant].config.blocks()) == blocks


def test_blocks_of_b0():
    config = VARIANTS["b0"].config
    blocks = config.blocks()
    assert config.block_channels == (
        16,
        24,
        24,
        40,
        40,
        80,
        80,
        80,
        112,
        112,
        112,
        *[192] * 4,
        320,
    )
    assert [position for position, block in enumerate(blocks) if block.stride == 2] == [1, 3, 5, 11]
    assert [block.kernel_size for block in blocks] == [3, 3, 3, 5, 5, 3, 3, 3, *[5] * 7, 3]
    assert [block.expand_ratio for block in blocks] == [1] + [6] * 15
    assert [block.in_channels for block in blocks] == [32, *(block.out_channels for block in blocks[:-1])]


@pytest.mark.parametrize(
    ("variant", "blocks", "resolution"),
    [("lite0", 16, 224), ("lite1", 21, 240), ("lite2", 21, 260), ("lite3", 24, 280), ("lite4", 30, 300)],
)
def test_lite_scales_neither_stem_nor_head_nor_the_first_and_last_stage(variant, blocks, resolution):
    config = VARIANTS[variant].config
    assert (config.stem_channels, config.head_channels, config.resolution) == (32, 1280, resolution)
    assert (config.stage_repeats[0], config.stage_repeats[-1]) == (1, 1)
    assert len(config.blocks()) == blocks
    model = build_model(config, device="meta")
    assert {type(block.squeeze_excite) for block in model.blocks} == {nn.Identity}
    assert isinstance(model.stem.act, nn.ReLU6)


def test_drop_path_grows_linearly_from_nothing():
    rates = [block.drop_path for block in EfficientNetConfig(drop_path=0.32).blocks()]
    assert rates == pytest.approx([0.02 * position for position in range(16)])
    model = lightcars.efficientnet(drop_path=0.32, device="meta")
    built = [getattr(block.drop_path, "probability", None) for block in model.blocks]
    residual = [block.residual for block in model.blocks]
    assert built == [rate if there else None for rate, there in zip(rates, residual, strict=True)]


def test_drop_path_of_ghostnet_grows_in_all_blocks():
    model = lightcars.ghostnet(drop_path=0.32, device="meta")
    built = [getattr(block.drop_path, "probability", 0.0) for block in model.blocks]
    assert built == pytest.approx([0.02 * position for position in range(16)])


def test_head_of_efficientnet_grows_with_width_unless_it_is_given():
    assert EfficientNetConfig(width=2.0).head_channels == 2560
    assert EfficientNetConfig(width=2.0, out_channels=320).head_channels == 320
    assert EfficientNetConfig(width=0.5).head_channels == EfficientNetConfig().head_channels // 2


def test_width_of_ghostnet_scales_all_but_the_last_vector():
    config = GHOSTNETS["050"].config
    assert (config.stem_channels, config.feature_channels, config.head_channels) == (8, 480, 1280)
    assert config.block_channels[-1] == 80
    assert GhostNetConfig().block_channels == tuple(block.channels for block in BASE_BLOCKS)


def test_squeeze_of_ghostnet_in_both_forms():
    assert GhostNetConfig().squeeze_channels(72) == 20
    assert GhostNetConfig(form="thesis").squeeze_channels(72) == 18
    assert (
        GhostNetConfig(form="thesis").squeeze_channels(672) == GhostNetConfig().squeeze_channels(672) == 168
    )


def test_feature_maps_are_the_last_block_at_each_stride():
    assert feature_maps([8, 16, 24, 32], [1, 2, 1, 2], stem_stride=2) == (
        FeatureMap(8, 2, 0),
        FeatureMap(24, 4, 2),
        FeatureMap(32, 8, 3),
    )
    assert feature_maps([8], [4], stem_stride=2) == (FeatureMap(8, 8, 0),)
