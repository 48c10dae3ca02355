"""The recipes that ship: each is what its thesis says, and can be built."""

import ast
import json
import re
from dataclasses import replace

import pytest
import torch

from lightcars import count_params, create_model, finetune
from lightcars.augmentation.image import augmentation
from lightcars.errors import ConfigError
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.files import load_recipe, parse_recipe, recipe_names, recipe_text
from lightcars.recipes.thesis_results import THESIS_TOP1_PERCENT
from lightcars.training.module import ClassifierModule
from lightcars.training.optim.optimizers import averaged, check_optimization

OWN = (
    "compare",
    "cars-distilled",
    "cars-finetune",
    "cars-last",
    "cars-lite",
    "cars-lite-blurred",
    "cars-lite-last",
    "cars-lite-longer",
    "cars-longer",
    "cars-scratch",
    "few-images",
)
EFFICIENTNET = (
    "efficientnet-thesis-frozen",
    "efficientnet-thesis-gray",
    "efficientnet-thesis-pretrained",
    "efficientnet-thesis-scratch",
)
THESIS = tuple(name for name in recipe_names() if re.fullmatch(r"c-\d+", name))


@pytest.fixture(scope="module")
def experiments(request):
    """The experiments of the GhostNet thesis, by name of the recipe."""
    folder = request.getfixturevalue("reference")
    found = json.loads((folder / "ghostnet_thesis_experiments.json").read_text())
    return {experiment["id"].lower(): experiment["params"] for experiment in found}


def value_of(text):
    """The thesis's log has Python's values as text."""
    return ast.literal_eval(text) if isinstance(text, str) and text[0] in "[{TFN" else text


def test_all_experiments_are_there(experiments):
    assert set(THESIS) == set(experiments)
    assert len(THESIS) == 56
    assert set(recipe_names()) == {*THESIS, *EFFICIENTNET, *OWN}


def test_stated_results_are_those_of_the_log(request):
    folder = request.getfixturevalue("reference")
    found = json.loads((folder / "ghostnet_thesis_experiments.json").read_text())
    logged = {experiment["id"].lower(): 100 * experiment["best"]["valid_acc"] for experiment in found}
    stated = {name: value for name, value in THESIS_TOP1_PERCENT.items() if name in THESIS}
    assert stated == pytest.approx(logged, abs=0.006)
    assert THESIS_TOP1_PERCENT.keys() - logged.keys() == {"efficientnet-thesis-pretrained"}


@pytest.mark.parametrize("name", THESIS)
def test_an_experiment_of_the_ghostnet_thesis(experiments, name):
    recipe, source = load_recipe(name), experiments[name]
    gray = value_of(source["grayscale"])
    model = create_model(recipe.model.name, device="meta", num_classes=196, **recipe.model.settings)
    assert model.config.form == "thesis"
    assert count_params(model) == source["num_params"]
    assert (model.config.dropout, model.config.img_channels) == (source["dropout"], 1 if gray else 3)
    assert (recipe.epochs, recipe.patience, recipe.min_delta) == (source["max_num_epochs"], 15, 0)
    assert [recipe.resolution] * 2 == value_of(source["img_size"])
    assert (recipe.batch_size, recipe.accumulate) == (source["batch_size"], 1)
    optimizer = {"lr": recipe.optimizer.lr, "weight_decay": recipe.optimizer.weight_decay}
    assert optimizer == {"weight_decay": 0.0, **value_of(source["all_optimizer_params"])}
    assert (recipe.optimizer.name, recipe.optimizer.decay_norms) == (source["optimizer"], True)
    assert (recipe.optimizer.settings, recipe.optimizer.backbone_lr_factor) == ({}, 1.0)
    assert recipe.label_smoothing == (0.1 if source["loss_function"].startswith("Label") else 0.0)
    steps = value_of(source["image_augmentations"]) or {}
    if "RandomResizedCrop" in steps:
        assert steps["RandomResizedCrop"].pop("size") == [recipe.resolution] * 2
    assert list(recipe.augment.images) == [{step: settings} for step, settings in steps.items()]
    erasing = value_of(source["tensor_augmentations"]) or {}
    assert list(recipe.augment.tensors) == [{step: settings} for step, settings in erasing.items()]
    assert recipe.augment.batches == ()
    norm = value_of(source["norm_params_gray" if gray else "norm_params_rgb"])
    if not value_of(source["normalize"]):
        norm = {"mean": [0.0] * model.config.img_channels, "std": [1.0] * model.config.img_channels}
    assert {"mean": list(recipe.mean), "std": list(recipe.std)} == norm
    regions = {(False, False): "whole", (True, False): "box", (True, True): "masked"}
    assert recipe.region == regions[value_of(source["crop_to_bboxes"]), value_of(source["erase_background"])]
    assert (recipe.ema_decay, recipe.clip_norm, recipe.model.weights, recipe.select_on) == (
        None,
        None,
        None,
        "val",
    )


def test_what_redoes_a_thesis_does_not_hang_on_the_machine():
    """Ours are measured as on every machine, unless told otherwise."""
    for name in recipe_names():
        recipe = load_recipe(name)
        kept = ("auto", "auto", "auto") if name in OWN else ("32-true", "channels_last", False)
        assert (recipe.precision, recipe.memory_format, recipe.images_on_device) == kept
        assert (recipe.compile, recipe.gradient_checkpointing) == (False, False)


@pytest.mark.parametrize("name", THESIS)
def test_its_schedule_gives_the_thesis_its_rates(experiments, name):
    recipe, source = load_recipe(name).schedule, experiments[name]
    kind, settings = source["lr_scheduler"], source["lr_scheduler_params"]
    assert recipe.warmup_epochs == 0
    if kind == "None":
        assert recipe.name == "constant"
    elif kind == "LambdaLR":
        factor = eval(value_of_lambda(settings))
        for epoch in range(0, 150, 10):
            assert recipe.settings["gamma"] ** epoch == pytest.approx(factor(epoch), rel=1e-12)
    else:
        assert (recipe.name, recipe.settings) == (kind, value_of(settings))


def value_of_lambda(settings: str) -> str:
    return ast.literal_eval(settings)["lr_lambda"]


def test_the_efficientnet_theses_settings():
    """Chapters 5 and 6; its ColorJitter has no arguments and so does nothing."""
    for name in EFFICIENTNET:
        recipe = load_recipe(name)
        assert (recipe.epochs, recipe.batch_size, recipe.resolution) == (150, 32, 224)
        assert (recipe.patience, recipe.min_delta, recipe.label_smoothing) == (10, 1e-3, 0.1)
        assert (recipe.optimizer.name, recipe.optimizer.lr) == ("AdamW", 1e-3)
        assert (recipe.schedule.name, recipe.schedule.warmup_epochs) == ("ReduceLROnPlateau", 0)
        assert recipe.schedule.settings | {"patience": 0} == {"factor": 0.1, "patience": 0, "threshold": 1e-3}
        assert [next(iter(step)) for step in recipe.augment.images] == [
            "RandomHorizontalFlip",
            "RandomAffine",
            "ColorJitter",
        ]
    decays = {name: load_recipe(name).optimizer.weight_decay for name in EFFICIENTNET}
    assert decays == dict(zip(EFFICIENTNET, (0.01, 0.1, 0.01, 0.3), strict=True))
    patiences = {name: load_recipe(name).schedule.settings["patience"] for name in EFFICIENTNET}
    assert patiences == dict(zip(EFFICIENTNET, (3, 7, 3, 7), strict=True))
    assert load_recipe("efficientnet-thesis-frozen").model.freeze_epochs is None
    assert load_recipe("efficientnet-thesis-pretrained").model.weights == "lukemelas/efficientnet-b0"
    gray = load_recipe("efficientnet-thesis-gray")
    model = create_model(gray.model.name, device="meta", num_classes=196, **gray.model.settings)
    assert count_params(model) == 4_258_048  # the thesis's "FLOPS", for gray images
    assert (gray.mean, gray.std) == ((0.462,), (0.270,))
    assert (model.config.padding, model.config.batch_norm_eps) == ("same", 1e-3)


@pytest.mark.parametrize("name", recipe_names())
def test_everything_a_recipe_names_can_be_made(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.source
    settings = {**recipe.model.settings, "num_classes": 8, "resolution": recipe.resolution}
    model = create_model(recipe.model.name, device="meta", **settings)
    mean = recipe.mean or (0.5,) * model.config.img_channels
    like = Preprocessing(resolution=recipe.resolution, mean=mean, std=recipe.std or (0.5,) * len(mean))
    made = augmentation(recipe.augment, recipe.resolution, 8)
    jitters = [step for step in recipe.augment.images if "ColorJitter" in step]
    assert bool(made.image.steps) == (len(recipe.augment.images) > len(jitters))
    teacher = None if recipe.distillation is None else create_model("ghostnet_050", num_classes=8, width=0.1)
    ClassifierModule(model, recipe, like, teacher)
    check_optimization(create_model("ghostnet_050", width=0.1, out_channels=8), recipe)


@pytest.mark.parametrize("name", ["c-5", "c-9", "c-26", "c-45", "c-47", "c-63", "cars-scratch"])
def test_recipes_run(drawn, tmp_path, name):
    """A small model and two epochs in place of the thesis's, all else as it stands."""
    smaller = ["epochs=2", "batch_size=8", "resolution=48", "model.settings.width=0.25"]
    grows = ["progressive.start_resolution=32"] if load_recipe(name).progressive else []
    recipe = load_recipe(name, [*smaller, *grows])
    recipe = replace(recipe, decode_resolution=None if recipe.decode_resolution is None else 56)
    result = finetune(drawn, recipe=recipe, out=tmp_path / "run")
    assert result.metrics["epochs"] == 2


# Files and changes


def test_changes_win_over_the_file():
    recipe = load_recipe("c-50", ["optimizer.lr=3e-4", "patience=null", "augment.images=[]", "model.name=x"])
    assert (recipe.optimizer.lr, recipe.patience, recipe.augment.images) == (3e-4, None, ())
    assert recipe.model.name == "x"
    assert recipe.optimizer.weight_decay == 0.6


def test_your_own_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(recipe_text("c-50").replace("epochs: 200", "epochs: 3"))
    assert load_recipe(path).epochs == 3
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(tmp_path / "other.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 0", "here, line 1: epochs: epochs must be a whole number of at least 1, not 0."),
        ("epochs: x", "here, line 1: epochs: input should be a valid integer, not 'x'."),
        ("seed: 0\noptimizer:\n  lr: -1", "here, line 3: optimizer.lr: lr must be a positive number"),
        ("optimizer:\n  lrr: 1", "here, line 2: optimizer.lrr: there is no such setting. Did you mean lr?"),
        ("epoch: 3", "here, line 1: epoch: there is no such setting. Did you mean epochs?"),
        ("epochs: [", "here, line 1: invalid YAML"),
        ("- 3", "here must be a mapping of names to values"),
        ("augment:\n  images:\n    - RandomRot: {}", "augment.images: images has no transform 'RandomRot'."),
        ("schedule:\n  name: cosin", "here, line 2: schedule.name: input should be 'cosine'"),
        ("resolution: 3.5", "here, line 1: resolution: input should be a valid integer, not 3.5."),
        ("optimizer: 3", "here, line 1: optimizer: input should be an object, not 3."),
        ("schedule: {name: MultiStepLR}", "schedule: warmup_epochs must be 0 with MultiStepLR"),
        ("", "here must be a mapping of names to values"),
    ],
)
def test_a_mistake_is_one_line_that_names_its_line(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_recipe(text, "here")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimizer.lr", "write key=value"),
        ("epochs.x=3", "epochs is not a section"),
        ("optimizer.lrr=3", "c-50, --set optimizer.lrr=3: optimizer.lrr: there is no such setting"),
        ("epochs=zero", "c-50, --set epochs=zero: epochs: input should be a valid integer"),
    ],
)
def test_a_mistake_on_the_command_line_names_it(change, message):
    with pytest.raises(ConfigError) as caught:
        load_recipe("c-50", [change])
    assert message in str(caught.value)


def test_an_unknown_recipe_has_near_names():
    with pytest.raises(ConfigError, match=r"Did you mean .*cars-scratch"):
        load_recipe("car-scratch")


def test_the_average_starts_quickly_and_then_follows_slowly():
    model = create_model("ghostnet_050", width=0.1, out_channels=8, num_classes=2)
    average = averaged(model, 0.5)
    first = model.stem.conv.weight.detach().clone()
    average.update_parameters(model)
    with torch.no_grad():
        model.stem.conv.weight += 1
    average.update_parameters(model)  # share of the new: 1 - min(0.5, 2 / 11)
    expected = first + (1 - 2 / 11)
    torch.testing.assert_close(average.module.stem.conv.weight, expected)
