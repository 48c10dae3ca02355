"""Calibration: the temperature that is there is found, and no answer changes but for its probability."""

from dataclasses import replace

import pytest
import torch

from lightcars import load, predict, save
from lightcars.data.dataset import decode
from lightcars.data.layouts import find_data
from lightcars.evaluation.predictions import predict_images
from lightcars.evaluation.temperature import calibrate, features_of, fit_temperature
from lightcars.models.familiarity import Familiarity
from lightcars.runs.trained import load_trained
from tests.training.tiny_settings import TINY_RECIPE


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_of_drawn_labels_is_found(temperature):
    draw = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, 10, generator=draw)
    labels = logits.softmax(1).multinomial(1, generator=draw)[:, 0]
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.03)


def test_calibrated_weights(finished, drawn):
    trained = load_trained(finished.run)
    cars = find_data(drawn)
    train, val = (decode(cars.split(split), trained.preprocessing) for split in ("train", "val"))
    before = predict_images(trained, val, cars.root)
    weights = {name: tensor.clone() for name, tensor in trained.model.state_dict().items()}
    calibrate(trained, train, val)
    after = predict_images(trained, val, cars.root)
    assert trained.model.temperature != 1.0
    assert (before.guesses == after.guesses).all()
    assert (before.probabilities != after.probabilities).any()
    assert trained.model.familiarity is not None
    torch.testing.assert_close(trained.model.state_dict(), weights, rtol=0, atol=0)
    features = features_of(trained, val, batch_size=3)
    assert features.shape == (len(val.labels), sum(info.channels for info in trained.model.feature_info))
    torch.testing.assert_close(features, features_of(trained, val), rtol=1e-4, atol=1e-5)


def test_predict_says_what_calibrated_weights_say(finished, drawn, tmp_path):
    photo = drawn / "val" / "Bus" / "0000.png"
    model = load(finished.run / "best")
    (plain,) = predict(finished.run, photo, top=8)
    assert plain.familiar is None, "what cannot tell says so"
    model.temperature = 0.5
    (sharp,) = predict(save(model, tmp_path / "sharp"), photo, top=8)
    expected = torch.tensor([guess.probability for guess in plain.guesses]).double() ** 2
    got = [guess.probability for guess in sharp.guesses]
    assert got == pytest.approx((expected / expected.sum()).tolist(), rel=1e-3)


@pytest.mark.parametrize(("limit", "familiar"), [(1e9, True), (1e-9, False)])
def test_predict_says_what_looks_familiar(finished, drawn, tmp_path, limit, familiar):
    model = load(finished.run / "best")
    features = sum(info.channels for info in model.feature_info)
    parts = {
        "mean": torch.zeros(features),
        "directions": torch.ones(features, 1),
        "centers": torch.zeros(2, 1),
    }
    model.familiarity = Familiarity(**parts, limit=limit)
    (prediction,) = predict(save(model, tmp_path / "model"), drawn / "val" / "Bus" / "0000.png")
    assert prediction.familiar is familiar


def test_a_new_training_forgets_what_was_fitted_to_the_old_weights(finished, tiny, drawn, tmp_path):
    model = load(finished.run / "best")
    trained, cars = load_trained(finished.run), find_data(drawn)
    train, val = (decode(cars.split(split), trained.preprocessing) for split in ("train", "val"))
    calibrate(trained, train, val)
    model.temperature, model.familiarity = trained.model.temperature, trained.model.familiarity
    start = save(model, tmp_path / "start")
    assert load(start).familiarity is not None
    model = load(start)
    result = tiny(drawn, tmp_path / "run", model=model, recipe=replace(TINY_RECIPE, epochs=1))
    assert (result.model.temperature, result.model.familiarity) == (1.0, None)
    assert load(tmp_path / "run" / "best").temperature == 1.0
