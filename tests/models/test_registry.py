"""The table of models: its counts, its names, the hints for misspelt ones, and the ways to build from it."""

import subprocess
import sys

import pytest

import lightcars
from lightcars.counters.flops import count_flops
from lightcars.counters.params import count_params
from lightcars.errors import ConfigError, UnknownModelError
from lightcars.models.families import FAMILIES
from lightcars.models.registry import MODELS, find_model
from lightcars.zoo import create_model


@pytest.mark.parametrize("name", MODELS)
def test_counts_are_the_computed_ones(name):
    model = lightcars.create_model(name, device="meta")
    assert model.config.num_classes == 1000
    assert count_params(model) == MODELS[name].num_params
    assert count_flops(model) == MODELS[name].flops


@pytest.mark.parametrize("name", MODELS)
def test_every_model_names_its_paper(name):
    assert MODELS[name].paper.startswith("arXiv ")


def test_what_ships():
    variants = {
        "efficientnet": "b0 b1 b2 b3 b4 b5 b6 b7 b8 l2 lite0 lite1 lite2 lite3 lite4",
        "ghostnet": "050 100 130 thesis",
        "efficientnetv2": "b0 b1 b2 b3 s m l",
        "ghostnetv2": "100 130 160",
        "ghostnetv3": "050 100 130 160",
        "repghostnet": "050 058 080 100 111 130 150 200",
        "shufflenetv2": "050 100 150 200",
        "squeezenet": "1_0 1_1",
        "hardnet": "39ds 68ds 68 85",
        "squeezenext": "100 100v5 200 200v5",
        "shufflenetv1": "g1 g2 g3 g4 g8",
        "mobilenetv1": "100",
        "mobilenetv2": "100",
        "mobilenetv3": "small_100 large_100",
        "mobilenetv4": "conv_small conv_medium",
        "mnasnet": "100",
    }
    expected = [f"{family}_{variant}" for family, names in variants.items() for variant in names.split()]
    assert lightcars.list_models() == expected


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*t_b0", ["efficientnet_b0"]),
        ("ghostnet_[01]?0", ["ghostnet_050", "ghostnet_100", "ghostnet_130"]),
        ("GHOSTNET*", []),
        ("resnet*", []),
    ],
)
def test_list_models_takes_a_pattern(pattern, names):
    assert lightcars.list_models(pattern) == names


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        MODELS["mine"] = MODELS["ghostnet_100"]


@pytest.mark.parametrize("name", MODELS)
def test_family_functions_give_the_registered_configs(name):
    family, _, variant = name.partition("_")
    build = getattr(lightcars, family, None)  # a family need not have a function of its own
    model = build(variant, device="meta") if build else lightcars.create_model(name, device="meta")
    assert type(model) is FAMILIES[family].model_class()
    assert model.config == MODELS[name].config == find_model(name).config


def test_defaults_of_the_family_functions():
    assert lightcars.efficientnet(device="meta").config == MODELS["efficientnet_b0"].config
    assert lightcars.ghostnet(device="meta").config == MODELS["ghostnet_100"].config


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("efficentnet_b0", "efficientnet_b0"),
        ("ghostnet100", "ghostnet_100"),
        ("GHOSTNET_100", None),
        ("", None),
        ("resnet50", None),
    ],
)
def test_unknown_name_is_answered_with_near_ones(name, near):
    with pytest.raises(UnknownModelError) as error:
        lightcars.create_model(name)
    message = str(error.value)
    assert repr(name) in message
    assert "lightcars.list_models()" in message
    assert "\n" not in message
    if near:
        assert f"Did you mean {near}" in message or f" or {near}" in message


@pytest.mark.parametrize(
    ("build", "variant", "near"),
    [
        (lightcars.efficientnet, "b9", "b8"),
        (lightcars.efficientnet, "efficientnet_b0", "b0"),
        (lightcars.ghostnet, "10", "100"),
        (lightcars.ghostnet, "theses", "thesis"),
    ],
)
def test_unknown_variant_is_answered_with_all_variants(build, variant, near):
    with pytest.raises(UnknownModelError) as error:
        build(variant)
    assert repr(variant) in str(error.value)
    assert near in str(error.value)


@pytest.mark.parametrize(
    ("build", "name"),
    [(lightcars.ghostnet, 1.0), (lightcars.efficientnet, 0), (lightcars.create_model, None)],
)
def test_name_that_is_no_string_is_unknown_too(build, name):
    with pytest.raises(UnknownModelError):
        build(name)


def test_table_and_configs_need_no_torch():
    code = (
        "import sys, lightcars.models.registry as r, lightcars.models.scaling, lightcars.models.validation;"
        "r.list_models(); [e.config.block_channels for e in r.MODELS.values()];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "ours", "tag"),
    [
        ("mobilenetv3_large_100.ra_in1k", "mobilenetv3_large_100", "timm/mobilenetv3_large_100.ra_in1k"),
        ("timm/tf_efficientnet_b0.ns_jft_in1k", "efficientnet_b0", "timm/tf_efficientnet_b0.ns_jft_in1k"),
        ("tf_efficientnet_lite3", "efficientnet_lite3", "timm/tf_efficientnet_lite3.in1k"),
        ("mobilenet_v2", "mobilenetv2_100", "torchvision/mobilenet_v2.imagenet1k_v2"),
        ("shufflenet_v2_x1_0", "shufflenetv2_100", "torchvision/shufflenet_v2_x1_0.imagenet1k_v1"),
    ],
)
def test_names_of_timm_and_torchvision_are_answered_with_ours(name, ours, tag):
    with pytest.raises(UnknownModelError) as error:
        create_model(name)
    assert f"here it is {ours!r}, and its weights are {tag!r}" in str(error.value)


@pytest.mark.parametrize(
    ("setting", "ours"),
    [("pretrained", 'weights="imagenet"'), ("in_chans", "img_channels"), ("drop_path_rate", "drop_path")],
)
def test_settings_of_timm_are_answered_with_ours(setting, ours):
    with pytest.raises(ConfigError, match=f"has no setting '{setting}'. Here it is {ours}"):
        create_model("ghostnet_100", **{setting: 1})


def test_a_setting_of_timm_that_a_family_lacks_has_no_hint():
    with pytest.raises(ConfigError) as error:
        create_model("hardnet_68", drop_path_rate=0.1)
    assert "Here it is" not in str(error.value)
