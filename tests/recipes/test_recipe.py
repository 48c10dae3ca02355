"""The recipe: checked when made, plain data and back, frozen."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from lightcars.data.stanford_cars import GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD
from lightcars.errors import ConfigError
from lightcars.recipes.files import recipe_from
from lightcars.recipes.recipe import (
    THESIS_STEPS,
    AugmentRecipe,
    ModelRecipe,
    OptimizerRecipe,
    Recipe,
    ScheduleRecipe,
)


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
        ("label_smoothing", 1.0),
        ("label_smoothing", -0.1),
        ("accumulate", 0),
        ("num_nodes", 0),
        ("decode_resolution", 16),
        ("region", "car"),
        ("select_on", "train"),
        ("ema_decay", 1.0),
        ("clip_norm", 0.0),
        ("min_delta", -1.0),
        ("patience", 0),
        ("precision", "16"),
        ("memory_format", "nhwc"),
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
        ("patience", None),
        ("resolution", None),
        ("resolution", 32),
        ("label_smoothing", 0.0),
        ("seed", 0),
        ("workers", 0),
        ("precision", "bf16-mixed"),
        ("ema_decay", 0.999),
        ("region", "box"),
    ],
)
def test_values_at_the_edge_are_fine(setting, value):
    assert getattr(Recipe(**{setting: value}), setting) == value


def test_a_seed_too_large_for_the_generator_is_refused():
    with pytest.raises(ConfigError, match=r"^seed must be"):
        Recipe(seed=10**20)


def test_the_theses_settings_are_the_defaults():
    recipe = Recipe()
    assert (recipe.label_smoothing, recipe.patience) == (0.1, 15)
    assert recipe.augment.images == THESIS_STEPS
    assert RGB_MEAN == (0.4707, 0.4602, 0.4550)
    assert RGB_STD == (0.2594, 0.2585, 0.2635)
    assert (GRAY_MEAN, GRAY_STD) == ((0.4627,), (0.2545,))


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        (OptimizerRecipe, "lr", 0.0),
        (OptimizerRecipe, "lr", float("nan")),
        (OptimizerRecipe, "lr", 1e38),
        (OptimizerRecipe, "weight_decay", -0.1),
        (OptimizerRecipe, "backbone_lr_factor", 2.0),
        (OptimizerRecipe, "name", "Adm"),
        (ScheduleRecipe, "name", "cosin"),
        (ScheduleRecipe, "warmup_epochs", -1.0),
        (ModelRecipe, "freeze_epochs", -1),
    ],
)
def test_a_part_that_cannot_be(kind, setting, value):
    with pytest.raises(ConfigError, match=f"^{setting} must be") as caught:
        kind(**{setting: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ScheduleRecipe(name="MultiStepLR"), "warmup_epochs must be 0 with MultiStepLR"),
        (lambda: ScheduleRecipe(settings={"gamma": 1}), "cosine has none"),
        (lambda: AugmentRecipe(images=({"RandomRotat": {}},)), "Did you mean RandomRotation"),
        (lambda: AugmentRecipe(images=({"RandomErasing": {}},)), "images has no transform 'RandomErasing'"),
        (lambda: AugmentRecipe(tensors=({"RandomErasing": 3},)), "needs settings"),
        (lambda: AugmentRecipe(batches=("MixUp",)), "each item one name with its settings"),
        (lambda: AugmentRecipe(batches=({"MixUp": {"num_classes": 3}},)), "takes no num_classes"),
        (lambda: AugmentRecipe(images=({"RandomResizedCrop": {"size": 3}},)), "takes no size"),
        (lambda: ModelRecipe(settings={"num_classes": 3}), "it comes from the data"),
        (lambda: Recipe(mean=(0.5,)), "mean and std must be given together"),
        (lambda: Recipe(decode_resolution=64), "needs a RandomResizedCrop"),
    ],
)
def test_parts_that_do_not_go_together(make, text):
    with pytest.raises(ConfigError, match=text) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_plain_data_and_back():
    recipe = Recipe(epochs=3, resolution=64, patience=None, schedule=ScheduleRecipe(name="constant"))
    assert recipe_from(json.loads(json.dumps(recipe.to_dict())), "here") == recipe


def test_differences_are_told_by_their_keys():
    other = replace(Recipe(), epochs=3, optimizer=OptimizerRecipe(lr=0.1))
    assert Recipe().differences(other) == ["epochs 30 -> 3", "optimizer.lr 0.001 -> 0.1"]
    assert Recipe().differences(Recipe()) == []


def test_what_is_left_to_a_measurement_is_taken_over():
    chosen = Recipe(epochs=7, precision="bf16-mixed", memory_format="contiguous")
    assert Recipe().settled_by(chosen) == Recipe(precision="bf16-mixed", memory_format="contiguous")
    assert Recipe(precision="32-true").settled_by(chosen).precision == "32-true"


def test_it_cannot_be_changed_but_copied():
    recipe = Recipe()
    with pytest.raises(FrozenInstanceError):
        recipe.epochs = 5
    with pytest.raises(ConfigError):
        replace(recipe, epochs=0)
    with pytest.raises(TypeError):
        Recipe(30)
