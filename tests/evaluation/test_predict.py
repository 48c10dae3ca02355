"""Prediction: names and probabilities, the best model's own, and an error that names the bad file."""

import math

import pytest
import torch
from PIL import Image

from lightcars import Prediction, evaluate, from_pretrained, ghostnet, predict, save
from lightcars.data.layouts import find_data
from lightcars.data.pixels import normalize, to_pixels
from lightcars.errors import CheckpointError, DataError, DownloadError, InputError
from lightcars.evaluation.activation_map import explain
from lightcars.models.images import read_image
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.transforms import fit_square
from lightcars.weights.checkpoint import read_card
from tests.training.tiny_settings import TINY_MODEL


def assert_near(found: Prediction, expected: Prediction, rel: float = 1e-4) -> None:
    """Equal but for the rounding of another batch size or engine."""
    assert (found.path, found.familiar) == (expected.path, expected.familiar)
    assert [guess.name for guess in found.guesses] == [guess.name for guess in expected.guesses]
    probabilities = [guess.probability for guess in found.guesses]
    assert probabilities == pytest.approx([guess.probability for guess in expected.guesses], rel=rel)


@pytest.fixture
def photo(drawn):
    return drawn / "val" / "Bus" / "0000.png"


def test_it_is_what_the_best_model_says(finished, photo):
    card = read_card(finished.run / "best")
    pixels = to_pixels(fit_square(card.preprocessing)(read_image(photo, 3)))[None]
    with torch.no_grad():
        expected = finished.result.model(normalize(pixels, card.preprocessing)).softmax(1)[0]
    (prediction,) = predict(finished.run, photo, top=8)
    assert prediction.path == photo
    for guess in prediction.guesses:
        position = card.classes.index(guess.name)
        assert guess.probability == pytest.approx(expected[position].item(), rel=1e-4)


def test_the_most_likely_comes_first_and_all_add_up_to_one(finished, photo):
    (prediction,) = predict(finished.run, photo, top=8)
    probabilities = [guess.probability for guess in prediction.guesses]
    assert probabilities == sorted(probabilities, reverse=True)
    assert math.fsum(probabilities) == pytest.approx(1.0, abs=1e-5)
    assert {guess.name for guess in prediction.guesses} == set(read_card(finished.run / "best").classes)


@pytest.mark.parametrize(("top", "number"), [(1, 1), (3, 3), (5, 5), (100, 8)])
def test_top(finished, photo, top, number):
    assert len(predict(finished.run, photo, top=top)[0].guesses) == number


def test_several_images_keep_their_order(finished, drawn):
    paths = [drawn / "val" / kind / "0001.png" for kind in ("Van", "Bus", "SUV")]
    together = predict(finished.run, paths)
    assert [prediction.path for prediction in together] == paths
    for prediction, path in zip(together, paths, strict=True):
        assert_near(prediction, predict(finished.run, str(path))[0])
    assert predict(finished.run, (path for path in paths)) == together


def test_a_checkpoint_folder_will_do(finished, photo):
    assert predict(finished.run / "best", photo) == predict(finished.run, photo)


def test_any_kind_of_picture(finished, tmp_path):
    gray = tmp_path / "gray.png"
    Image.new("L", (300, 20), 80).save(gray)
    assert len(predict(finished.run, gray)[0].guesses) == 5


def test_warnings_about_readable_images_are_nobodys_business(finished, photo, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 96 * 96 - 1)  # Pillow warns up to twice as many
    assert len(predict(finished.run, photo)) == 1


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "folder"])
def test_a_bad_file_is_named(finished, photo, tmp_path, kind):
    bad = tmp_path / "bad.jpg"
    if kind == "folder":
        bad.mkdir()
    elif kind != "missing":
        bad.write_bytes(b"" if kind == "empty" else b"not a picture")
    with pytest.raises(DataError) as caught:
        predict(finished.run, [photo, bad])
    assert str(bad) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_at_least_one_class(finished, photo):
    with pytest.raises(InputError, match="top must be an integer of at least 1, not 0"):
        predict(finished.run, photo, top=0)


def test_no_such_run(photo, tmp_path):
    with pytest.raises(CheckpointError, match="there is no run or checkpoint folder"):
        predict(tmp_path / "nowhere", photo)


def test_a_checkpoint_without_class_names(photo, tmp_path):
    save(ghostnet(num_classes=8, **TINY_MODEL), tmp_path)
    with pytest.raises(CheckpointError, match="has no class names"):
        predict(tmp_path, photo)


@pytest.fixture
def diverged(drawn, tmp_path):
    """A checkpoint of finite weights whose outputs are not: batch norms without a scale of their inputs."""
    model = ghostnet(num_classes=8, **TINY_MODEL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1e30)
    card = Preprocessing(resolution=32, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    classes = find_data(drawn).classes
    return save(model, tmp_path / "diverged", classes=classes, preprocessing=card)


def test_no_result_comes_from_outputs_that_are_not_finite(diverged, drawn, photo):
    for use in (
        lambda: predict(diverged, photo),
        lambda: evaluate(diverged, drawn),
        lambda: explain(diverged, photo),
    ):
        with pytest.raises(CheckpointError, match="outputs are NaN or infinite"):
            use()


@pytest.mark.parametrize("name", ["runs/first", "checkpoints/best", "Runs/first", "runs/a/b", "./first"])
def test_a_path_that_does_not_exist_never_asks_the_hub(name, drawn, photo, monkeypatch):
    monkeypatch.setattr("lightcars.sharing.hub_weights", pytest.fail)
    for use in (lambda: evaluate(name, drawn), lambda: predict(name, photo)):
        with pytest.raises(CheckpointError, match="there is no run or checkpoint folder"):
            use()
    with pytest.raises(DownloadError, match="is neither a folder nor a repository"):
        from_pretrained(name)
