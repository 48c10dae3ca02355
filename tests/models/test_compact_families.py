"""SqueezeNet, SqueezeNext, HarDNet and the ShuffleNets: tables, widths, sizes of maps, invalid values."""

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

import lightcars
from lightcars.errors import ConfigError, InputError
from lightcars.layers import DropPath
from lightcars.models.features import FeatureMap, OwnSizes, map_side
from lightcars.models.hardnet.config import HarDNetConfig, HarDStage, harmonic_links
from lightcars.models.registry import MODELS
from lightcars.models.shufflenetv1.config import ShuffleNetV1Config, ShuffleStage
from lightcars.models.shufflenetv2.config import ShuffleNetV2Config, ShuffleV2Stage
from lightcars.models.squeezenet.config import FireBlock, SqueezeNetConfig
from lightcars.models.squeezenext.config import SqueezeNextConfig, SqueezeNextStage
from lightcars.models.validation import has_setting

CONFIGS = [SqueezeNetConfig, SqueezeNextConfig, HarDNetConfig, ShuffleNetV1Config, ShuffleNetV2Config]
INVALID = [
    *(("width", value) for value in (0, -1.0, 21, "1", True, None)),
    *(("depth", value) for value in (0, 21, None)),
    *(("resolution", value) for value in (31, 224.0)),
    *(("num_classes", value) for value in (-1, 1.5, None)),
    *(("img_channels", value) for value in (0, "3")),
    *(("out_channels", value) for value in (0, 1.5)),
    *(("dropout", value) for value in (1.0, -0.1, None)),
    *(("drop_path", value) for value in (1.0, -0.1)),
    *(("stem_channels", value) for value in (0, 1.5)),
    *(("stem_kernel_size", value) for value in (0, 2, 9)),
    ("stem_padding", -1),
    ("depthwise", 1),
    *(("growth_multiplier", value) for value in (0, 5)),
    *(("groups", value) for value in (0, 1.5)),
    ("channels", 0),
    *(("stages", value) for value in ((), [], (1,))),
    *(("blocks", value) for value in ((), [], (1,))),
]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (kind, name, value)
        for kind in CONFIGS
        for name, value in INVALID
        if has_setting(kind, name) and not isinstance(getattr(kind, name, None), property)
    ],
)
def test_impossible_value_is_refused_by_name(kind, name, value):
    with pytest.raises(ConfigError, match=rf"^{name} must be .*{re.escape(repr(value))}\.$"):
        kind(**{name: value})


@pytest.mark.parametrize(
    ("row", "settings"),
    [
        (FireBlock, {"stride": 0, "squeeze_channels": 1, "channels": 2}),
        (HarDStage, {"stride": 1, "growth": 0, "layers": 1, "channels": 2}),
        (SqueezeNextStage, {"stride": 1, "channels": 1.5, "repeats": 1}),
        (ShuffleStage, {"multiple": 1, "repeats": 0}),
        (ShuffleV2Stage, {"multiple": 0, "repeats": 1}),
    ],
)
def test_rows_are_checked_too(row, settings):
    with pytest.raises(ConfigError, match=r"must be a whole number of at least 1"):
        row(**settings)


def test_windows_of_a_fire_block_leave_no_gaps():
    with pytest.raises(ConfigError, match=r"stride must be at most 3, the side of the pooling, not 4\."):
        FireBlock(stride=4, squeeze_channels=1, channels=2)
    assert FireBlock(stride=3, squeeze_channels=1, channels=2).stride == 3


@pytest.mark.parametrize("multiples", [(1, 1), (2, 4, 3)])
def test_shufflenets_stages_add_channels(multiples):
    stages = tuple(ShuffleStage(multiple=multiple, repeats=1) for multiple in multiples)
    with pytest.raises(
        ConfigError, match=rf"must rise from each to the next, not {re.escape(str(multiples))}"
    ):
        ShuffleNetV1Config(stages=stages)


@pytest.mark.parametrize(
    ("name", "setting"),
    [("squeezenet_1_1", "out_channels"), ("hardnet_68", "drop_path"), ("shufflenetv1_g3", "out_channels")],
)
def test_a_setting_that_a_family_lacks_is_answered_with_those_it_has(name, setting):
    with pytest.raises(ConfigError, match=rf"no setting '{setting}'\..* It has: width, .*num_classes"):
        lightcars.create_model(name, **{setting: 1})


@pytest.mark.parametrize(
    ("width", "channels"),
    [
        (0.5, 48),
        (1.0, 116),
        (1.5, 176),
        (2.0, 244),
        (0.25, 24),
        (0.75, 82),
        (1.25, 146),
        (3.0, 366),
        (0.01, 2),
    ],
)
def test_shufflenetv2_is_as_wide_as_published_and_between(width, channels):
    config = ShuffleNetV2Config(width=width)
    assert config.stage_channels == (channels, 2 * channels, 4 * channels)
    assert config.head_channels == (2048 if width >= 2 else 1024)
    assert replace(config, out_channels=100).head_channels == 100


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("width", [0.1, 0.25, 0.5, 1.0, 1.7])
def test_any_width_of_shufflenet_divides_into_its_groups(groups, width):
    config = ShuffleNetV1Config(groups=groups, width=width)
    assert config.stage_channels[0] % (4 * groups) == 0
    assert config.stage_channels[0] > config.stem_channels
    model = lightcars.create_model("shufflenetv1_g3", groups=groups, width=width, device="meta").eval()
    assert model(torch.empty(1, 3, 64, 64, device="meta")).shape == (1, 1000)


def test_shufflenet_does_not_group_its_first_convolution():
    model = lightcars.create_model("shufflenetv1_g3", device="meta")
    convolutions = [block.compress.conv.groups for block in list(model.blocks)[1:]]
    assert convolutions == [1, *[3] * (len(convolutions) - 1)]


def test_harmonic_links_are_the_papers():
    assert harmonic_links(8)[-1] == (7, 6, 4, 0)
    assert [len(link) for link in harmonic_links(16)] == [1, 2, 1, 3, 1, 2, 1, 4, 1, 2, 1, 3, 1, 2, 1, 5]


def test_hardnets_layers_grow_with_their_links():
    config = MODELS["hardnet_39ds"].config
    assert config.dense_channels(0) == (48, 16, 26, 16, 40)
    assert config.dense_channels(1)[-1] == 132  # five links: 20 times 1.6^4, rounded to even
    assert config.stage_inputs() == (48, 96, 320, 640)


@pytest.mark.parametrize("name", ["squeezenext_100", "shufflenetv1_g3"])
def test_drop_path_grows_along_the_blocks(name):
    model = lightcars.create_model(name, drop_path=0.2, device="meta")
    rates = [module.probability for module in model.modules() if isinstance(module, DropPath)]
    assert rates == sorted(rates)
    assert 0 < rates[0] < rates[-1] < 0.2


def test_branches_of_squeezenext_start_small_and_again_after_a_reset():
    model = lightcars.create_model("squeezenext_100", width=0.25)
    for _ in range(2):
        scales = {block.expand.norm.weight.unique().item() for block in list(model.blocks)[1:]}
        assert scales == {0.25}
        nn.init.ones_(model.blocks[1].expand.norm.weight)
        model.reset_parameters()


def test_depth_multiplies_squeezenexts_blocks():
    assert SqueezeNextConfig(depth=2).stage_repeats == (12, 12, 16, 2)
    assert (
        len(lightcars.create_model("squeezenext_100", depth=0.5, device="meta").blocks) == 1 + 3 + 3 + 4 + 1
    )


# SqueezeNet's classifier, a convolution of the last map


def test_squeezenet_averages_the_rectified_logits_of_all_positions():
    model = lightcars.create_model("squeezenet_1_1", width=0.25, num_classes=7).eval()
    nn.init.normal_(model.classifier.bias)
    x = torch.randn(2, 3, 75, 61)
    last = model.forward_features(x)
    expected = nn.functional.conv2d(last, model.classifier.weight, model.classifier.bias).relu().mean((2, 3))
    torch.testing.assert_close(model(x), expected)
    torch.testing.assert_close(model.forward_head(last, pre_logits=True), last.mean((2, 3)))


def test_squeezenet_drops_values_of_the_map():
    model = lightcars.create_model("squeezenet_1_1", width=0.25, num_classes=3, dropout=0.9)
    last = model.forward_features(torch.rand(1, 3, 64, 64))
    torch.manual_seed(0)
    dropped = nn.functional.dropout(last, 0.9)
    torch.manual_seed(0)
    torch.testing.assert_close(model.forward_head(last), model.classifier(dropped).relu().mean((2, 3)))


def test_a_new_classifier_of_squeezenet_is_a_convolution_that_starts_as_a_linear_layer():
    model = lightcars.create_model("squeezenet_1_0", num_classes=0)
    assert isinstance(model.classifier, nn.Identity)
    model.reset_classifier(50)
    weight = model.classifier.weight
    assert weight.shape == (50, 512, 1, 1)
    for _ in range(2):
        assert weight.abs().max() <= 512**-0.5
        assert weight.std().item() == pytest.approx((3 * 512) ** -0.5, rel=0.05)
        assert not model.classifier.bias.any()
        nn.init.ones_(weight)
        model.reset_parameters()


# Sizes of maps


def test_sizes_are_rounded_up_unless_a_config_says_otherwise():
    feature = FeatureMap(channels=8, stride=8, block=3)
    assert map_side(MODELS["ghostnet_100"].config, 33, feature) == 5
    assert not isinstance(MODELS["shufflenetv2_100"].config, OwnSizes)
    assert map_side(MODELS["hardnet_68"].config, 33, replace(feature, block=2)) == 4


@pytest.mark.parametrize(
    ("name", "smallest"),
    [
        ("ghostnet_100", 33),
        ("ghostnetv2_100", 97),
        ("ghostnetv3_100", 97),
        ("squeezenet_1_0", 37),
        ("squeezenet_1_1", 33),
        ("squeezenext_100", 41),
        ("squeezenext_200v5", 41),
        ("hardnet_39ds", 33),
        ("hardnet_68", 61),
        ("hardnet_85", 61),
    ],
)
def test_dynamic_sizes_start_where_the_last_map_has_two_pixels(name, smallest):
    assert lightcars.create_model(name, device="meta").min_dynamic_resolution == smallest


def test_an_image_whose_last_map_is_one_pixel_is_refused_in_training():
    model = lightcars.create_model("hardnet_68", width=0.1)
    with pytest.raises(InputError, match=r"one image of 60 pixels.*model\.eval\(\)"):
        model(torch.randn(1, 3, 40, 60))
    assert model(torch.randn(1, 3, 40, 61)).shape == (1, 1000)


def test_a_model_without_batch_norms_trains_on_one_small_image():
    model = lightcars.create_model("squeezenet_1_1", width=0.25)
    assert model(torch.randn(1, 3, 32, 32)).shape == (1, 1000)
