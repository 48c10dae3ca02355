"""The weights in the package: what their card and the catalog say of them is what they do."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from lightcars import Preprocessing, count_params, evaluate, ghostnet, predict
from lightcars.data.class_matching import class_key
from lightcars.data.dataset import decode
from lightcars.data.layouts import find_data
from lightcars.evaluation.analysis import reliability
from lightcars.evaluation.predictions import predict_images
from lightcars.runs.trained import load_trained
from lightcars.weights.catalog import ENTRIES, find_tag
from lightcars.weights.checkpoint import read_card
from lightcars.weights.locate import SHIPPED

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
ENTRY = find_tag("cars196")
FOLDER = SHIPPED / "cars196"


@pytest.fixture(scope="module")
def recorded():
    return json.loads((RESULTS / "train_cars196.json").read_text())


def test_all_that_ships_is_in_the_catalog():
    folders = {path.name for path in SHIPPED.iterdir() if path.is_dir()}
    assert {entry.packaged for entry in ENTRIES if entry.packaged} == folders
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) < 18e6, "the wheel stays under 20 MB"


def test_it_is_small_and_in_half_precision():
    tensors = load_file(FOLDER / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}
    size_mb = (FOLDER / "model.safetensors").stat().st_size / 1e6
    assert size_mb < 10
    assert ENTRY.size_mb == pytest.approx(size_mb, abs=5e-4)


def test_it_opens_in_single_precision_unless_asked():
    model = ghostnet(weights="cars196")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not model.training
    assert count_params(model) < 5.2e6
    half = ghostnet(weights="cars196", dtype=torch.float16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float16}


def test_the_catalog_says_what_the_folder_says(recorded):
    card = read_card(FOLDER)
    assert ENTRY.preprocessing == card.preprocessing
    assert ENTRY.num_classes == card.config.num_classes == len(card.classes) == 196
    assert ENTRY.preprocessing.resolution == card.config.resolution == recorded["resolution"]
    assert ENTRY.top1_percent == recorded["val_top1_percent"]
    assert ENTRY.top5_percent == recorded["val_top5_percent"]
    assert card.temperature == pytest.approx(recorded["temperature"])
    model = ghostnet("thesis", weights="cars196")
    assert {key: getattr(model.config, key) for key in ENTRY.settings} == dict(ENTRY.settings)


def test_its_card_says_what_a_user_must_know(recorded):
    text = (FOLDER / "README.md").read_text()
    assert "license_name: non-commercial\n" in text
    assert f"by the temperature {recorded['temperature']:.4g} before" in text
    for figure in ("val_top1_percent", "val_top5_percent", "val_calibration_error"):
        assert f"| {figure} | {recorded[figure]} |" in text
    assert all(row["name"] in text for row in recorded["worst_classes"])
    assert "| seed |" in text


def test_what_the_card_claims_is_what_it_does(shared, recorded):
    """On all images of `val`, as a user would evaluate it."""
    found = evaluate("cars196", shared)
    assert found.top1_percent == pytest.approx(recorded["val_top1_percent"], abs=0.11), "one of 968"
    assert found.top5_percent == pytest.approx(recorded["val_top5_percent"], abs=0.11)


@pytest.mark.slow
def test_its_probabilities_mean_what_they_say(shared, recorded):
    trained, cars = load_trained("cars196"), find_data(shared)
    val = decode(cars.split("val"), trained.preprocessing)
    said = predict_images(trained, val, cars.root)
    assert reliability(said).error == pytest.approx(recorded["val_calibration_error"], abs=0.005)
    trained.model.temperature = 1.0
    assert reliability(predict_images(trained, val, cars.root)).error > reliability(said).error


def test_images_of_cars_look_familiar(shared):
    photos = sorted((shared / "val").glob("*/*.webp"))[::20]
    found = predict("cars196", photos)
    assert sum(prediction.familiar for prediction in found) >= 0.95 * len(photos)
    right = [class_key(p.guesses[0].name) == class_key(p.path.parent.name) for p in found]
    assert sum(right) > 0.7 * len(photos)


def test_pictures_of_nothing_look_strange(tmp_path):
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
    assert not any(prediction.familiar for prediction in predict("cars196", tmp_path.iterdir()))


def test_other_preprocessing_would_be_noticed(shared):
    """The test above can fail: a wrong mean costs accuracy."""
    trained, cars = load_trained("cars196"), find_data(shared)
    wrong = Preprocessing(resolution=ENTRY.preprocessing.resolution, mean=(0.0,) * 3, std=(1.0,) * 3)
    samples = cars.split("val")[::8]
    right = predict_images(trained, decode(samples, trained.preprocessing), cars.root).top1_percent
    object.__setattr__(trained, "preprocessing", wrong)
    assert predict_images(trained, decode(samples, wrong), cars.root).top1_percent < right - 5
