"""Engines give what `predict` gives; what is no engine is one clear error."""

import pytest
import torch

from lightcars import predict
from lightcars.errors import ConfigError, OptimizationError
from lightcars.evaluation.bulk.engine import EAGER, EngineChoice, LogitsAndPlace, is_near, model_digest, start
from lightcars.runs.trained import load_trained
from tests.evaluation.test_predict import assert_near


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """No engine of another test."""
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def trained(checkpoint):
    return load_trained(checkpoint, "cpu")


def test_an_engine_gives_what_predict_gives(checkpoint, photos, cache):
    paths = sorted(path for path in photos.rglob("*.png") if path.stat().st_size)
    fast = predict(checkpoint, paths, engine="torch", batch_size=8)
    assert len(fast) == 21
    for found, path in zip(fast, paths, strict=True):
        assert_near(found, predict(checkpoint, path)[0], rel=1e-3)


def test_places_say_what_the_detector_says(trained):
    images = torch.cat([torch.randn(30, 3, 32, 32) * scale for scale in (0.5, 1, 3)])
    model, familiarity = trained.model, trained.model.familiarity
    with torch.inference_mode():
        expected = familiarity.is_familiar(model.features(images))
        outputs = LogitsAndPlace(model, familiarity)(images)
        assert torch.allclose(outputs[:, :4], model(images), rtol=1e-4, atol=1e-5)
    assert is_near(outputs[:, 4:], familiarity).tolist() == expected.tolist()
    assert 0 < expected.sum() < len(images)


def test_weights_without_a_detector(trained, cache):
    trained.model.familiarity = None
    classifier = start(trained, EngineChoice(engine="torch", batch_size=2), many=True)
    assert not classifier.has_familiarity
    (scores,) = classifier(torch.zeros(1, 32, 32, 3, dtype=torch.uint8).numpy(), 9)
    assert (len(scores[0]), scores[1]) == (4, None)


def test_auto_is_eager_for_few_images(trained, monkeypatch):
    monkeypatch.setattr("lightcars.deploy.optimize.optimize", pytest.fail)
    assert start(trained, EngineChoice(), many=False).choice.engine == EAGER


def test_auto_is_eager_where_no_engine_runs_the_model(trained, monkeypatch):
    def refuse(*_, **__):
        raise OptimizationError("no engine can be used for this model.")

    monkeypatch.setattr("lightcars.deploy.optimize.optimize", refuse)
    assert start(trained, EngineChoice(), many=True).choice.engine == EAGER
    with pytest.raises(OptimizationError):
        start(trained, EngineChoice(engine="torch"), many=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "openvin"}, "there is no engine 'openvin'. Did you mean openvino"),
        ({"precision": "fp16"}, "there is no precision 'fp16'; choose auto, fp32, bf16"),
        ({"engine": "eager", "precision": "bf16"}, "the engine eager is in fp32"),
        ({"batch_size": 0}, "the batch size must be an integer of at least 1, not 0"),
    ],
)
def test_what_cannot_be_chosen(settings, message):
    with pytest.raises(ConfigError, match=message):
        EngineChoice(**settings)


def test_the_digest_is_of_all_that_matters(checkpoint):
    def digest(change=lambda trained: None) -> str:
        trained = load_trained(checkpoint, "cpu")
        change(trained)
        return model_digest(trained)

    def weight(trained):
        next(trained.model.parameters()).data[0] += 1e-6

    def temperature(trained):
        trained.model.temperature = 2.0

    def detector(trained):
        trained.model.familiarity = None

    changed = {digest(change) for change in (weight, temperature, detector)}
    assert digest() == digest()
    assert len(changed | {digest()}) == 4
