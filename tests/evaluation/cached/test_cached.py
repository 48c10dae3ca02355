"""The engine that `lightcars predict` prepares: its answers, when it is used, and when it is made again."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightcars import Preprocessing, create_model, ghostnet, predict, save
from lightcars.data.pixels import normalize, to_pixels
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.deploy.cache import cache_folder
from lightcars.errors import MissingExtraError
from lightcars.evaluation.cached import predictor as predicting
from lightcars.evaluation.cached import preparation
from lightcars.evaluation.cached.entries import place_of
from lightcars.evaluation.cached.predictor import Predictor, is_prepared, predict_cached, to_input
from lightcars.evaluation.cached.preparation import prepare
from lightcars.evaluation.predict import OWN_WEIGHTS
from lightcars.models.familiarity import distance, fit_familiarity, pooled
from lightcars.models.images import read_image
from lightcars.models.transforms import fit_square
from tests.deploy.conftest import settle

CLASSES = ("Audi A4", "BMW 3", "Škoda")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "predict"


def images_in(folder, count=12):
    """Images of several sizes and modes, some of them like each other."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    paths = []
    for number in range(count):
        pixels = generator.integers(0, 256, (40 + number, 90 - 3 * number, 3)).astype(np.uint8) // (
            1 + number % 3
        )
        path = folder / f"{number}.png"
        Image.fromarray(pixels).convert("L" if number == 5 else "RGB").save(path)
        paths.append(path)
    return paths


@pytest.fixture
def photos(tmp_path):
    return images_in(tmp_path / "photos")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny model with a temperature and an OOD detector."""
    torch.manual_seed(2)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    model = settle(ghostnet(num_classes=3, width=0.1))
    model.preprocessing = Preprocessing(
        resolution=48, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), resize="crop", crop_fraction=0.9
    )
    model.temperature = 0.7
    others = images_in(tmp_path_factory.mktemp("images") / "all")
    with torch.no_grad():
        features = pooled(model.features(torch.cat([_input(model, path) for path in others])))
    known = features[:6]
    fitted = fit_familiarity(known, torch.arange(6) % 3, known)
    largest = distance(known, fitted.mean, fitted.directions, fitted.centers).max()
    model.familiarity = replace(fitted, limit=1.1 * float(largest))
    save(model, folder, classes=CLASSES)
    return folder


def _input(model, path):
    return normalize(
        to_pixels(fit_square(model.preprocessing)(read_image(path, 3)))[None], model.preprocessing
    )


@pytest.fixture(scope="module")
def made(checkpoint, tmp_path_factory):
    """A cache with the engine of that model."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTCARS_CACHE", str(folder))
        assert prepare(place_of(str(checkpoint)), str(checkpoint))
    return folder


@pytest.fixture
def entry(made, checkpoint, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(made))
    found = place_of(str(checkpoint)).find()
    assert found is not None
    assert is_prepared(found.record)
    return found


def as_input(predictor, path):
    return to_input(read_image(path, len(predictor.preprocessing.mean)), predictor.preprocessing)


def test_it_answers_as_pytorch_does(entry, checkpoint, photos):
    expected = [predict(checkpoint, path, top=2)[0] for path in photos]
    assert {prediction.familiar for prediction in expected} == {True, False}
    answers = predict_cached(entry, photos, 2)
    for answer, wanted in zip(answers, expected, strict=True):
        assert (answer.path, answer.familiar) == (wanted.path, wanted.familiar)
        assert [guess.name for guess in answer.guesses] == [guess.name for guess in wanted.guesses]
        probabilities = [guess.probability for guess in answer.guesses]
        assert probabilities == pytest.approx([guess.probability for guess in wanted.guesses], abs=1e-4)


def test_more_classes_than_there_are(entry, photos):
    (answer,) = predict_cached(entry, photos[:1], 50)
    assert sorted(guess.name for guess in answer.guesses) == sorted(CLASSES)
    assert sum(guess.probability for guess in answer.guesses) == pytest.approx(1)


@pytest.mark.parametrize("number", [0, 5, 11])
def test_images_are_read_to_the_last_bit_alike(entry, checkpoint, photos, number):
    predictor = Predictor.open(entry)
    model = preparation.load_trained(checkpoint, "cpu").model
    expected = _input(model, photos[number]).numpy()
    assert np.array_equal(as_input(predictor, photos[number]), expected)


def test_a_model_without_a_detector(tmp_path, photos):
    model = create_model("squeezenet_1_1", num_classes=3, img_channels=1).eval()
    model.preprocessing = Preprocessing(resolution=40, mean=(0.4,), std=(0.2,))
    folder = save(model, tmp_path / "gray", classes=CLASSES)
    place = place_of(str(folder))
    assert prepare(place, str(folder))
    (answer,) = predict_cached(place.find(), photos[:1], 1)
    (expected,) = predict(folder, photos[0], top=1)
    assert answer.familiar is None
    assert answer.guesses[0].name == expected.guesses[0].name
    assert answer.guesses[0].probability == pytest.approx(expected.guesses[0].probability, abs=1e-4)


def test_an_image_at_the_limit_is_left_to_pytorch(entry, photos, monkeypatch):
    predictor = Predictor.open(entry)
    outputs = predictor.run(as_input(predictor, photos[0]))[0][len(CLASSES) :]
    distance = np.linalg.norm(predictor.centers - outputs, axis=1).min()
    limit = {"distance": 0.0}
    norm = np.linalg.norm
    monkeypatch.setattr(
        predicting.np.linalg, "norm", lambda *a, **k: norm(*a, **k) / distance * limit["distance"]
    )
    answers = {}
    for limit["distance"] in (0.9985, 0.9995, 1.0005, 1.0015):
        answers[limit["distance"]] = predictor.predict(photos[0], 1)
    assert [answer and answer.familiar for answer in answers.values()] == [True, None, None, False]


def test_outputs_that_are_not_finite_are_left_to_pytorch(entry, photos, monkeypatch):
    predictor = Predictor.open(entry)
    broken = predictor.run(as_input(predictor, photos[0])) * np.nan
    monkeypatch.setattr(
        Predictor, "open", lambda _: Predictor(**{**_fields(predictor), "run": lambda _: broken})
    )
    assert predict_cached(entry, photos[:1], 1) is None


def _fields(predictor):
    return {name: getattr(predictor, name) for name in predictor.__slots__}


def test_a_bad_image_is_left_to_pytorch(entry, photos, tmp_path):
    photos[1].write_bytes(b"no image")
    assert predict_cached(entry, photos[:2], 1) is None
    assert predict_cached(entry, [tmp_path / "none.png"], 1) is None


def test_corrupt_and_changed_files_are_not_used(made, checkpoint, cache, photos):
    place = place_of(str(checkpoint))
    assert place.find() is None
    shutil.copytree(made / "predict", cache)
    (folder,) = cache.iterdir()
    assert place.find() is not None
    model = folder / "model.ort"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert place.find() is None, "one bit"
    model.write_bytes(content)
    record = json.loads((folder / "record.json").read_text())
    for wrong in ({**record, "record": {}}, {**record, "record": {**record["record"], "watched": 3}}, []):
        (folder / "record.json").write_text(json.dumps(wrong))
        assert place.find() is None
    for key in ("preprocessing", "classes", "temperature"):
        stored = {**record["record"], key: None}
        (folder / "record.json").write_text(json.dumps({**record, "record": stored}))
        assert predict_cached(place.find(), photos[:1], 1) is None, "PyTorch answers"


def test_without_the_file_of_the_centers_pytorch_answers(made, checkpoint, cache, photos):
    shutil.copytree(made / "predict", cache)
    entry = place_of(str(checkpoint)).find()
    (entry.folder / predicting.CENTERS).unlink()
    assert predict_cached(entry, photos[:1], 1) is None


def write_two_files(_, folder):
    """In place of a conversion."""
    (folder / "model.ort").write_bytes(b"a")
    (folder / "other").write_bytes(b"b")


def test_nothing_half_written_is_used(checkpoint, cache, monkeypatch):
    from lightcars import files

    move, moved = files._move, []

    def killed(path, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        move(path, target)

    monkeypatch.setattr(preparation, "_convert", write_two_files)
    monkeypatch.setattr(files, "_move", killed)
    place = place_of(str(checkpoint))
    with pytest.raises(KeyboardInterrupt):
        prepare(place, str(checkpoint))
    assert moved
    assert place.find() is None
    monkeypatch.setattr(files, "_move", move)
    assert prepare(place, str(checkpoint))
    assert place.find() is not None


def test_other_weights_in_the_same_folder_are_noticed(entry, made, checkpoint, tmp_path, monkeypatch):
    place = place_of(str(checkpoint))
    file = checkpoint / "model.safetensors"
    before = file.stat()
    copy = tmp_path / "copy"
    copy.write_bytes(file.read_bytes())
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    original = file.rename(tmp_path / "original")
    copy.rename(file)
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert place.find() is None, "a file of the same size and time"
    original.rename(file)


def test_weights_that_change_meanwhile_are_not_stored(checkpoint, cache, monkeypatch):
    def slow(*given):
        (checkpoint / "config.json").chmod(0o640)
        return write_two_files(*given)

    monkeypatch.setattr(preparation, "_convert", slow)
    assert not prepare(place_of(str(checkpoint)), str(checkpoint))
    assert not cache.exists()


@pytest.mark.parametrize("how", ["raises", "differs"])
def test_what_cannot_be_prepared_is_not_tried_again(how, checkpoint, monkeypatch):
    def fail(*_):
        if how == "raises":
            raise RuntimeError("no such operator")
        return "outputs differ"

    monkeypatch.setattr(preparation, "_convert", fail)
    place = place_of(str(checkpoint))
    assert not prepare(place, str(checkpoint))
    found = place.find()
    assert found is not None
    assert not is_prepared(found.record)


@pytest.mark.parametrize("error", [OSError("disk full"), MemoryError(), MissingExtraError("onnx is missing")])
def test_what_may_be_gone_the_next_time_is_tried_again(error, checkpoint, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(preparation, "_convert", fail)
    place = place_of(str(checkpoint))
    assert not prepare(place, str(checkpoint))
    assert place.find() is None


def test_a_car_finder_that_changes_is_noticed(tmp_path, cache, monkeypatch):
    model = ghostnet(num_classes=len(CLASS_NAMES), width=0.1).eval()
    preprocessing = Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.25,) * 3)
    folder = save(model, tmp_path / "cars", classes=CLASS_NAMES, preprocessing=preprocessing)
    head = tmp_path / "head.safetensors"
    head.write_bytes(b"1")
    monkeypatch.setattr(preparation, "_convert", write_two_files)
    monkeypatch.setattr(preparation, "HEAD_FILE", head)
    place = place_of(str(folder))
    assert prepare(place, str(folder))
    assert place.find() is not None
    head.write_bytes(b"12")
    assert place.find() is None


def test_the_files_of_a_run_and_of_published_weights(tmp_path, checkpoint):
    run = tmp_path / "run"
    (run / "best").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    files = preparation._files(str(run))
    assert str(run / "run.json") in files
    assert str(run / "best" / "model.safetensors") in files
    assert {Path(file).name for file in preparation._files(str(checkpoint))} >= {"familiarity.safetensors"}
    shipped = preparation._files(OWN_WEIGHTS)
    assert {Path(file).name for file in shipped if Path(file).exists()} >= {
        "config.json",
        "model.safetensors",
    }


def test_places(checkpoint, tmp_path, monkeypatch):
    assert place_of("someone/repository") is None
    assert place_of(str(tmp_path / "nowhere")) is None
    assert place_of("cars196").key == place_of(OWN_WEIGHTS).key
    monkeypatch.chdir(checkpoint.parent)
    assert place_of("tiny").key == place_of(str(checkpoint)).key
    before = place_of("tiny").key
    monkeypatch.setattr("onnxruntime.__version__", "0")
    assert place_of("tiny").key != before
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert place_of("tiny") is None


def test_a_cache_that_cannot_be_written_to(tmp_path, checkpoint, monkeypatch):
    assert place_of(str(checkpoint)).can_store()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path / "file" / "cache"))
    place = place_of(str(checkpoint))
    assert not place.can_store()
    assert place.find() is None


@pytest.mark.parametrize("setting", [{}, {"XDG_CACHE_HOME": "/tmp/xdg"}, {"TORCH_HOME": "~/torch"}])
def test_the_cache_is_beside_the_hub_with_and_without_torch(setting, monkeypatch):
    for name in ("LIGHTCARS_CACHE", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    with_torch = cache_folder()
    assert with_torch == Path(torch.hub.get_dir()).parent / "lightcars"
    monkeypatch.delitem(sys.modules, "torch")
    assert cache_folder() == with_torch


def test_modules_that_answer_import_no_torch():
    code = (
        "import sys; import lightcars.evaluation.cached.predictor, lightcars.cli.predict_cached;"
        "print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


@pytest.mark.slow
def test_the_car_is_found_without_torch_too(cache, tmp_path):
    """Boxes and guesses of the shipped weights are PyTorch's, to a pixel."""
    place = place_of("cars196")
    assert preparation.prepare(place, "cars196")
    shared = Path(os.environ.get("LIGHTCARS_SHARED", Path(__file__).parents[4] / "shared"))
    paths = sorted((shared / "cars196" / "whole").glob("*/*.webp"))[::9]
    Image.effect_noise((200, 150), 120).convert("RGB").save(tmp_path / "noise.png")
    paths.append(tmp_path / "noise.png")
    for cut in (False, True):
        answers = predict_cached(place.find(), paths, 3, cut=cut)
        for answer, wanted in zip(answers, predict("cars196", paths, top=3, cut=cut or None), strict=True):
            assert (answer.car_found, answer.familiar) == (wanted.car_found, wanted.familiar)
            assert answer.guesses[0].name == wanted.guesses[0].name
            if wanted.box is not None:
                assert max(abs(a - b) for a, b in zip(answer.box, wanted.box, strict=True)) <= 1
