"""Fine-tuning where neither a model nor a recipe is named: EfficientNet-Lite0 from the weights that ship."""

import resource
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.cars.few_images import BODIES, body_of, five_bodies
from lightcars import efficientnet, finetune, ghostnet
from lightcars.cli.recipe_options import names_a_recipe
from lightcars.data.drawn_cars import draw_cars
from lightcars.data.layouts import find_data
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.recipes.files import load_recipe
from lightcars.recipes.recipe import ModelRecipe, Recipe
from lightcars.runs.folder import RunFolder
from lightcars.training import finetune as training
from lightcars.training.default_recipe import FEW_IMAGES, default_recipe
from tests.training.tiny_settings import TINY_RECIPE


@pytest.fixture
def drawn(tmp_path):
    """Class folders of drawn cars, without classes.txt."""
    data = draw_cars(tmp_path / "drawn", train=2, val=1)
    (data / "classes.txt").unlink()
    return data


def test_own_classes_take_the_recipe_for_few_images(drawn):
    assert default_recipe(drawn) == FEW_IMAGES
    recipe = load_recipe(FEW_IMAGES)
    assert (recipe.model.name, recipe.model.weights) == ("efficientnet_lite0", "imagenet")


def test_stanford_cars_keep_the_usual_recipe(tmp_path):
    for name in CLASS_NAMES[:3]:
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        (folder / "1.jpg").touch()
    assert default_recipe(tmp_path) is None


class StoppedError(Exception):
    """Carries the recipe that a fine-tune would take."""


def taken(monkeypatch, data, **arguments) -> Recipe:
    """The recipe that `finetune` decides on."""

    def stop(_data, _model, recipe, _out):
        raise StoppedError(recipe)

    monkeypatch.setattr(training, "new_job", stop)
    with pytest.raises(StoppedError) as stopped:
        finetune(data, **arguments)
    return stopped.value.args[0]


def test_a_model_or_a_recipe_that_is_named_stays(drawn, monkeypatch):
    assert taken(monkeypatch, drawn) == load_recipe(FEW_IMAGES)
    assert taken(monkeypatch, drawn, model="ghostnet_100") == Recipe()
    assert taken(monkeypatch, drawn, recipe=TINY_RECIPE) == TINY_RECIPE
    module = ghostnet("050", width=0.1, out_channels=16)
    assert taken(monkeypatch, drawn, model=module) == Recipe()


@pytest.mark.parametrize(
    ("given", "settings", "named"),
    [
        ({"epochs": 3}, ["model.weights=null"], False),
        ({"model": "ghostnet_100"}, [], True),
        ({"weights": "imagenet"}, [], True),
        ({"recipe": "c-50"}, [], True),
        ({}, ["model.name=ghostnet_100"], True),
    ],
)
def test_options_that_name_a_recipe(given, settings, named):
    assert names_a_recipe(given, settings) == named


def statistics(model: nn.Module) -> list[torch.Tensor]:
    """Running means of all batch norms."""
    return [layer.running_mean.clone() for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]


def frozen_recipe(weights: str | None) -> Recipe:
    """A quick fine-tune with frozen batch norms."""
    settings = {} if weights else {"width": 0.1, "out_channels": 16}
    name = "efficientnet_lite0" if weights else "ghostnet_050"
    model = ModelRecipe(name=name, weights=weights, settings=settings, freeze_batch_norms=True)
    return replace(TINY_RECIPE, model=model, epochs=1, resolution=32, batch_size=8, ema_decay=None)


def test_frozen_batch_norms_keep_the_statistics_of_the_weights(drawn, tmp_path):
    result = finetune(drawn, recipe=frozen_recipe("imagenet"), out=tmp_path / "run", trackers="none")
    before, after = efficientnet("lite0", weights="imagenet"), result.model
    for old, new in zip(statistics(before), statistics(after), strict=True):
        torch.testing.assert_close(new, old, rtol=0, atol=0)
    assert not torch.equal(before.stem.norm.weight, after.stem.norm.weight), "weights are trained"


def test_random_weights_have_no_statistics_to_keep(drawn, tmp_path):
    result = finetune(drawn, recipe=frozen_recipe(None), out=tmp_path / "run", trackers="none")
    assert any(mean.any() for mean in statistics(result.model))


def test_class_names_tell_the_body():
    bodies = Counter(map(body_of, CLASS_NAMES))
    assert set(BODIES) == set(bodies) - {None}
    assert body_of("Chevrolet Silverado 1500 Extended Cab 2012") == "pickup"
    assert body_of("BMW M6 Convertible 2010") == "convertible"
    assert body_of("Ford GT Coupe 2006") is None


@pytest.mark.slow
def test_five_bodies_without_options(shared, tmp_path):
    """One command, no options: 15 points above random weights, in less than three minutes of CPU time."""
    data = five_bodies(shared, tmp_path / "bodies")
    assert find_data(data).num_images == {"train": 200, "val": 200}
    start = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    result = finetune(data, out=tmp_path / "run", trackers="none")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - start < 180
    assert RunFolder(result.run).read().recipe.name == FEW_IMAGES
    fresh = load_recipe(FEW_IMAGES, ["model.weights=null"])
    before = finetune(data, recipe=fresh, out=tmp_path / "fresh", trackers="none")
    ours, theirs = result.metrics["val_top1_percent"], before.metrics["val_top1_percent"]
    assert ours >= 75
    assert ours - theirs >= 15
    assert result.model.classes == tuple(BODIES)
