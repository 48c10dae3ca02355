"""The recipe: checked when made, plain data and back, frozen."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from lightcars.cars.recipe import GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD, Recipe
from lightcars.errors import ConfigError


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("epochs", True),
        ("resolution", 31),
        ("resolution", "96"),
        ("batch_size", 0),
        ("seed", -1),
        ("learning_rate", 0.0),
        ("learning_rate", -1e-3),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("weight_decay", -0.1),
        ("label_smoothing", 1.0),
        ("label_smoothing", -0.1),
        ("schedule", "cosin"),
        ("warmup_epochs", -1.0),
        ("patience", 0),
        ("precision", "16"),
        ("devices", 0),
        ("workers", -1),
    ],
)
def test_a_value_that_cannot_be_is_one_line_that_names_the_setting(setting, value):
    with pytest.raises(ConfigError, match=f"^{setting} must be") as caught:
        Recipe(**{setting: value})
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("weight_decay", 0),
        ("warmup_epochs", 0),
        ("patience", None),
        ("resolution", None),
        ("resolution", 32),
        ("label_smoothing", 0.0),
        ("seed", 0),
        ("workers", 0),
        ("schedule", "constant"),
        ("precision", "bf16-mixed"),
    ],
)
def test_values_at_the_edge_are_fine(setting, value):
    assert getattr(Recipe(**{setting: value}), setting) == value


def test_a_seed_too_large_for_the_generator_is_refused():
    with pytest.raises(ConfigError, match=r"^seed must be"):
        Recipe(seed=10**20)


def test_the_theses_settings_are_the_defaults():
    recipe = Recipe()
    assert (recipe.label_smoothing, recipe.patience, recipe.augment) == (0.1, 15, True)
    assert RGB_MEAN == (0.4707, 0.4602, 0.4550)
    assert RGB_STD == (0.2594, 0.2585, 0.2635)
    assert (GRAY_MEAN, GRAY_STD) == ((0.4627,), (0.2545,))


def test_plain_data_and_back():
    recipe = Recipe(epochs=3, resolution=64, patience=None, schedule="constant")
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_an_unknown_setting_is_an_error_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"no setting 'epoch'.* Did you mean epochs"):
        Recipe.from_dict({"epoch": 3})


def test_it_cannot_be_changed_but_copied():
    recipe = Recipe()
    with pytest.raises(FrozenInstanceError):
        recipe.epochs = 5
    with pytest.raises(ConfigError):
        replace(recipe, epochs=0)
    with pytest.raises(TypeError):
        Recipe(30)
