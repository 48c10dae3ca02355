"""int8: images to calibrate and to verify on, attempts, and what `optimize` makes of it."""

import importlib
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from lightcars import Calibration, OptimizedModel, optimize
from lightcars.deploy import quantize as quantizing
from lightcars.deploy import verification
from lightcars.deploy.calibration import as_calibration, image_files
from lightcars.deploy.calibration_images import load_calibration_images
from lightcars.deploy.classifier import describe
from lightcars.deploy.quantize import ATTEMPTS, quantized, top1_change
from lightcars.deploy.source import Source
from lightcars.errors import ConfigError, DataError, InputError, MissingExtraError
from lightcars.models.transforms import transforms_for
from tests.deploy.conftest import FOLDERS

optimizing = sys.modules["lightcars.deploy.optimize"]
SIZE = 48


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(classifier, photos):
    calibration = Calibration(folder=photos, num_fitted=12, num_verification=20, max_loss_percent=1)
    return Source(model=classifier, batch=8, resolution=SIZE, threads=1, calibration=calibration)


def test_calibration_images(classifier, photos):
    calibration = Calibration(folder=photos, num_fitted=12, num_verification=20)
    found = load_calibration_images(describe(classifier), calibration, SIZE)
    assert found.fitted.shape == (12, 3, SIZE, SIZE)
    assert found.verification.shape == (20, 3, SIZE, SIZE)
    assert found.labels.shape == (20,)
    assert torch.equal(
        found.verification, load_calibration_images(describe(classifier), calibration, SIZE).verification
    )
    alike = {bytes(image.numpy()) for image in found.fitted} & {
        bytes(image.numpy()) for image in found.verification
    }
    assert not alike, "verified on what it was fitted to"


def test_they_are_read_as_the_model_sees_them(classifier, photos):
    found = load_calibration_images(
        describe(classifier), Calibration(folder=photos / "Audi A4", num_fitted=8), SIZE
    )
    first = next(found.batches(found.fitted, 8))
    transform = transforms_for(classifier)
    ours = {round(float(image.sum()), 2) for image in first}
    theirs = {round(float(transform(Image.open(file)).sum()), 2) for file in (photos / "Audi A4").iterdir()}
    assert ours == theirs


def test_labels_come_from_the_folders(classifier, photos):
    for number, name in enumerate(FOLDERS):
        found = load_calibration_images(describe(classifier), Calibration(folder=photos / name), SIZE)
        assert set(found.labels.tolist()) == {number}
    (photos / "Unknown").mkdir()
    (photos / "Audi A4" / "0.png").rename(photos / "Unknown" / "0.png")
    assert load_calibration_images(describe(classifier), Calibration(folder=photos), SIZE).labels is None


def test_a_name_of_two_classes_says_nothing(classifier, photos, monkeypatch):
    monkeypatch.setattr(classifier, "classes", (*classifier.classes[:4], "audi a4"))
    assert (
        load_calibration_images(describe(classifier), Calibration(folder=photos / "Audi A4"), SIZE).labels
        is None
    )


def test_links_to_folders_are_followed_but_not_in_circles(photos, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "Audi A4").symlink_to(photos / "Audi A4", target_is_directory=True)
    (tmp_path / "links" / "again").symlink_to(tmp_path / "links", target_is_directory=True)
    assert len(image_files(tmp_path / "links")) == 8


def test_a_small_folder_is_verified_on_itself_or_on_another_folder(classifier, photos):
    small = Calibration(folder=photos / "Audi A4", num_fitted=8)
    found = load_calibration_images(describe(classifier), small, SIZE)
    assert (len(found.fitted), len(found.verification)) == (8, 8)
    other = load_calibration_images(
        describe(classifier), replace(small, verification_folder=photos / "三菱"), SIZE
    )
    assert set(other.labels.tolist()) == {4}


def test_batches_are_filled_up(classifier, photos):
    found = load_calibration_images(describe(classifier), Calibration(folder=photos, num_fitted=5), SIZE)
    batches = list(found.batches(found.fitted, 4))
    assert [batch.shape for batch in batches] == [(4, 3, SIZE, SIZE)] * 2
    assert torch.equal(batches[1][1:], batches[0][:3])


def test_a_change_of_the_folder_is_noticed(photos):
    calibration = Calibration(folder=photos)
    before = calibration.digest()
    assert calibration.digest() == before
    assert replace(calibration, num_fitted=10).digest() != before
    (photos / "Audi A4" / "0.png").unlink()
    assert calibration.digest() != before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_fitted": 0}, "num_fitted"),
        ({"num_verification": 1.5}, "num_verification"),
        ({"max_loss_percent": 0}, "max_loss_percent"),
    ],
)
def test_invalid_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        Calibration(folder="photos", **settings)


def test_top1_change(source):
    source = replace(source, calibration=replace(source.calibration, num_verification=10))
    wrong = (source.targets + 1) % 5

    def engine(images):
        return torch.nn.functional.one_hot(wrong_of(images), 5).float()

    def wrong_of(images):
        start = calls.setdefault("start", 0)
        calls["start"] = start + len(images)
        return torch.cat((wrong, wrong))[start : start + len(images)]

    calls = {}
    own = 100 * float((source.top_classes == source.targets).float().mean())
    assert top1_change(engine, source) == pytest.approx(-own)
    fused = source.fused()
    assert top1_change(fused, source) == 0


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ([-0.5], 0),
        ([-3.0, -0.9], 1),
        ([-3.0, -1.5, -2.0, -2.5, -4.0, -6.0], 1),
    ],
)
def test_the_first_attempt_that_serves_or_the_best(source, monkeypatch, changes, taken):
    made = []

    def quantize(_model, data, *, ignored_scope, preset, **_):
        assert sum(len(images) for images in data) == 16, "twelve images in batches of eight"
        made.append((preset, tuple(ignored_scope)))
        return len(made) - 1

    fake = SimpleNamespace(
        quantize=quantize,
        Dataset=list,
        IgnoredScope=lambda types, validate: types,
        TargetDevice=SimpleNamespace(CPU="CPU"),
        QuantizationPreset={"PERFORMANCE": "PERFORMANCE", "MIXED": "MIXED"},
    )
    monkeypatch.setattr(quantizing, "require_nncf", lambda: fake)
    assert quantized("model", 8, source, lambda model: changes[model]) == taken
    assert made == [(attempt.preset, attempt.kept) for attempt in ATTEMPTS[: len(changes)]]


def test_int8_is_calibrated_verified_and_cached(classifier, photos, capfd):
    calibration = Calibration(folder=photos, num_fitted=12, max_loss_percent=100)

    def again() -> OptimizedModel:
        return optimize(classifier, 4, precision="int8", calibration=calibration)

    fast = again()
    assert (fast.engine, fast.precision) == ("openvino", "int8")
    (row,) = fast.measurements
    assert row.difference > 1e-4, "it computed in float"
    assert fast.top1_change_percent == row.top1_change_percent
    assert f"top-1 {row.top1_change_percent:+.2f} points" in fast.summary
    assert f"top-1 {row.top1_change_percent:+.2f} points" in str(fast.measurements)
    assert capfd.readouterr() == ("", "")
    kept = again()
    assert kept.from_cache
    images = torch.randn(6, 3, SIZE, SIZE)
    assert torch.equal(kept(images), fast(images))
    (photos / "Audi A4" / "0.png").unlink()
    assert not again().from_cache


def test_int8_in_parts(classifier, photos, monkeypatch):
    runner = importlib.import_module("lightcars.deploy.runners.openvino")
    monkeypatch.setattr(runner, "_best_parts", lambda *_: 2)
    monkeypatch.setattr(quantizing, "ATTEMPTS", ATTEMPTS[:1])
    calibration = Calibration(folder=photos, num_fitted=12, max_loss_percent=100)
    fast = optimize(classifier, 4, precision="int8", calibration=calibration)
    images = torch.randn(4, 3, SIZE, SIZE)
    whole = fast(images)
    assert torch.equal(whole[2:], fast(images[2:]))
    assert fast.measurements[0].difference > 1e-4, "it computed in float"


@pytest.mark.slow
def test_auto_tries_int8_where_it_is_calibrated(classifier, photos, monkeypatch):
    monkeypatch.setattr(verification, "top1_change", lambda *_: -1.5)
    monkeypatch.setattr(quantizing, "ATTEMPTS", ATTEMPTS[:1])
    calibration = Calibration(folder=photos, num_fitted=12)
    fast = optimize(classifier, 4, engine="openvino", calibration=calibration)
    assert fast.precision != "int8"
    (dropped,) = [row for row in fast.measurements if row.precision == "int8"]
    assert dropped.problem == "it loses 1.5 points of top-1 on 28 images, the limit is 1"
    assert "int8" not in {row.precision for row in optimize(classifier, 4, engine="openvino").measurements}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["preprocessing", "nncf", "classes"])
def test_what_int8_is_made_from_belongs_to_the_key(classifier, photos, monkeypatch, what):
    monkeypatch.setattr(verification, "top1_change", lambda *_: 0.0)
    calibration = Calibration(folder=photos, num_fitted=8)

    def again() -> OptimizedModel:
        return optimize(classifier, 4, precision="int8", calibration=calibration)

    again()
    assert again().from_cache
    if what == "nncf":
        monkeypatch.setattr(optimizing, "installed_version", lambda _: "0")
    elif what == "preprocessing":
        monkeypatch.setattr(classifier, what, replace(classifier.preprocessing, mean=(0.1, 0.2, 0.3)))
    else:
        monkeypatch.setattr(classifier, what, classifier.classes[::-1])
    assert not again().from_cache


def test_a_folder_alone_is_a_calibration(tmp_path):
    assert as_calibration(tmp_path) == Calibration(folder=tmp_path)
    assert as_calibration(None) is None


def test_invalid_calibrations(classifier, photos, tmp_path):
    with pytest.raises(ConfigError, match="calibration must be a folder of images or a Calibration, not 5"):
        optimize(classifier, calibration=5)
    with pytest.raises(ConfigError, match="calibration is for int8, which is not among the precisions"):
        optimize(classifier, precision="fp32", calibration=photos)
    with pytest.raises(ConfigError, match="int8 is calibrated on images: give calibration=FOLDER"):
        optimize(classifier, precision="int8")
    with pytest.raises(DataError, match=r"there is no folder .*nowhere to calibrate with"):
        optimize(classifier, precision="int8", calibration=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty has no images \(.*\.bmp, "):
        optimize(classifier, precision="int8", calibration=tmp_path / "empty")
    with pytest.raises(ConfigError, match="onnxruntime does not support int8"):
        optimize(classifier, engine="onnxruntime", precision="int8", calibration=photos)
    (photos / "Audi A4" / "0.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"0\.png cannot be read as an image"):
        optimize(classifier, precision="int8", calibration=photos)


def test_weights_without_preprocessing_cannot_be_calibrated(classifier, photos, monkeypatch):
    monkeypatch.setattr(classifier, "preprocessing", None)
    with pytest.raises(InputError, match="the preprocessing of these weights is not known"):
        optimize(classifier, precision="int8", calibration=photos)


def test_without_nncf(classifier, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    wanted = r"nncf cannot be imported .*pip install 'lightcars\[deploy\]'"
    with pytest.raises(MissingExtraError, match=wanted):
        optimize(classifier, precision="int8", calibration=photos)
    fast = optimize(classifier, engine="openvino", calibration=photos)
    (dropped,) = [row for row in fast.measurements if row.precision == "int8"]
    assert dropped.problem.startswith("nncf cannot be imported")
