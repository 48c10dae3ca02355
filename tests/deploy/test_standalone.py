"""The standalone folder: the same pixels and predictions as lightcars, without torch."""

import importlib.metadata
import json
import math
import os
import re
import struct
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from lightcars import Preprocessing, export, ghostnet, predict, save
from lightcars.data.drawn_cars import draw_cars
from lightcars.data.pixels import normalize, to_pixels
from lightcars.deploy.description import Description
from lightcars.deploy.standalone import predict as script
from lightcars.deploy.standalone import write_companions
from lightcars.deploy.standalone.predict import Classifier, PredictionError
from lightcars.models.images import read_image
from lightcars.models.transforms import fit_square

PREPROCESSINGS = {
    "squash": {},
    "squash and cut": {"crop_fraction": 0.8, "interpolation": "bicubic"},
    "crop": {"resize": "crop"},
    "crop as timm": {"resize": "crop", "crop_fraction": 0.875, "interpolation": "bicubic"},
    "odd": {"resolution": 33, "resize": "crop", "crop_fraction": 0.87},
    "gray": {"mean": (0.46,), "std": (0.26,), "resize": "crop"},
}


def scene(width, height, bands=3):
    noise = np.random.default_rng(0).integers(0, 256, (height // 4 + 1, width // 4 + 1, bands), np.uint8)
    large = np.kron(noise, np.ones((4, 4, 1), np.uint8))[:height, :width]
    return Image.fromarray(large if bands > 1 else large[:, :, 0])


def save_rotated(path):
    image = scene(90, 50)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)


ODD_METADATA = {
    "text as DPI": (0x011A, 2, b"many\0"),
    "NaN as DPI": (0x011A, 12, struct.pack("<d", math.nan)),
    "negative rational": (0x011A, 10, struct.pack("<ii", -1, 0)),
    "wild offset": (0x8769, 4, struct.pack("<I", 2**31)),
}


def save_rotated_with(path, tag, kind, value):
    """Orientation 6 with one more tag, which is invalid."""
    place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", 8 + 2 + 2 * 12 + 4)
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    entries += struct.pack("<HHI", tag, kind, len(value) if kind == 2 else 1) + place
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4) + value
    scene(90, 50).save(path, exif=exif)


def save_sixteen_bits(path):
    shades = np.arange(70 * 60, dtype=np.uint16).reshape(60, 70) * 15
    Image.fromarray(shades).save(path)


def save_without_end(path):
    scene(123, 77).save(path)
    path.write_bytes(path.read_bytes()[:-2])


PICTURES = {
    "unended.jpg": save_without_end,
    "car.jpg": lambda path: scene(123, 77).save(path),
    "wide.png": lambda path: scene(301, 40).save(path),
    "tall.png": lambda path: scene(37, 160).save(path),
    "small.png": lambda path: scene(9, 7).save(path),
    "exact.png": lambda path: scene(48, 48).save(path),
    "gray.png": lambda path: scene(80, 60, 1).save(path),
    "clear.png": lambda path: scene(80, 61, 4).save(path),
    "palette.gif": lambda path: scene(80, 60).quantize(16).save(path, transparency=3),
    "rotated.jpg": save_rotated,
    "sixteen.png": save_sixteen_bits,
    "cmyk.jpg": lambda path: scene(64, 80).convert("CMYK").save(path),
}


@pytest.fixture
def reader():
    """The script's classifier without a model, for some preprocessing."""

    def make(preprocessing):
        classifier = object.__new__(Classifier)
        classifier.preprocessing = json.loads(json.dumps(asdict(preprocessing)))
        return classifier

    return make


@pytest.mark.parametrize("settings", PREPROCESSINGS.values(), ids=PREPROCESSINGS)
@pytest.mark.parametrize("name", PICTURES)
def test_pixels_are_those_of_lightcars(reader, tmp_path, settings, name):
    PICTURES[name](tmp_path / name)
    known = {"resolution": 48, "mean": (0.47, 0.46, 0.45), "std": (0.29, 0.28, 0.3)}
    preprocessing = Preprocessing(**{**known, **settings})
    image = fit_square(preprocessing)(read_image(tmp_path / name, len(preprocessing.mean)))
    expected = normalize(to_pixels(image)[None], preprocessing).numpy()
    got = reader(preprocessing).read(tmp_path / name)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)  # a pixel's step is 0.013


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("metadata", ODD_METADATA.values(), ids=ODD_METADATA)
def test_upright_whatever_the_other_metadata_are(reader, tmp_path, metadata):
    save_rotated(tmp_path / "plain.jpg")
    save_rotated_with(tmp_path / "odd.jpg", *metadata)
    read = reader(Preprocessing(resolution=48, mean=(0.47,) * 3, std=(0.29,) * 3)).read
    np.testing.assert_array_equal(read(tmp_path / "odd.jpg"), read(tmp_path / "plain.jpg"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    cars = draw_cars(tmp_path_factory.mktemp("drawn") / "cars", train=1, val=1)
    return sorted(cars.rglob("*.png"))[:6]


@pytest.fixture(scope="module")
def folder(exported):
    return exported("onnx").standalone


def run_script(folder, *arguments):
    """The script in a process where neither torch nor lightcars can be imported."""
    code = (
        "import runpy, sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'lightcars', 'onnx')));"
        f"sys.argv = ['predict.py', *{list(map(str, arguments))!r}];"
        f"runpy.run_path({str(folder / 'predict.py')!r}, run_name='__main__')"
    )
    return subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)


def test_what_is_in_it(folder):
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "model.onnx",
        "predict.py",
        "requirements.txt",
    }
    needs = (folder / "requirements.txt").read_text().splitlines()
    assert [line.split()[0] for line in needs] == ["numpy", "onnxruntime", "pillow"]
    assert all(importlib.metadata.version(line.split()[0]) in line for line in needs)
    assert "5 classes" in (folder / "README.md").read_text()
    assert "License" not in (folder / "README.md").read_text()


def test_it_says_the_license_that_is_known(tmp_path):
    preprocessing = Preprocessing(resolution=48, mean=(0.5,) * 3, std=(0.25,) * 3)
    known = {"model": "GhostNet", "classes": ("a", "b"), "preprocessing": preprocessing}
    write_companions(tmp_path, Description(**known, license="non-commercial"))
    assert "\nLicense of the weights: non-commercial.\n" in (tmp_path / "README.md").read_text()


def test_outputs_match_lightcars(folder, classifier, images, tmp_path):
    expected = predict(save(classifier, tmp_path / "checkpoint"), images, top=5)
    ran = run_script(folder, *images, "--json", "--top", 5)
    assert ran.stderr == ""
    entries = json.loads(ran.stdout)
    assert [entry["image"] for entry in entries] == [str(image) for image in images]
    for entry, prediction in zip(entries, expected, strict=True):
        got = {guess["name"]: guess["probability"] for guess in entry["guesses"]}
        assert got == pytest.approx({g.name: g.probability for g in prediction.guesses}, abs=1e-4)
        assert list(got.values()) == sorted(got.values(), reverse=True)


def test_for_people(folder, images):
    lines = run_script(folder, images[0], images[1], "--top", 2).stdout.splitlines()
    assert lines[0] == str(images[0])
    assert str(images[1]) in lines
    assert "%" in lines[1]


def test_as_a_module(folder, images):
    guesses = Classifier(folder / "model.onnx").predict(images[0], top=2)
    assert len(guesses) == 2
    assert guesses[0][1] >= guesses[1][1]


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "folder", "cut off", "float"])
def test_a_bad_image_is_named(folder, images, tmp_path, kind):
    bad = tmp_path / "bad.png"
    if kind == "folder":
        bad.mkdir()
    elif kind == "float":
        Image.new("F", (8, 8)).save(bad, format="TIFF")
    elif kind == "cut off":
        bad.write_bytes(images[0].read_bytes()[:200])
    elif kind != "missing":
        bad.write_bytes(b"" if kind == "empty" else b"not a picture")
    ran = run_script(folder, images[0], bad)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: ")
    assert str(bad) in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_other_mistakes(folder, images, tmp_path):
    assert "--top must be at least 1, not 0" in run_script(folder, images[0], "--top", 0).stderr
    ran = run_script(folder, images[0], "--model", tmp_path / "none.onnx")
    assert (ran.returncode, ran.stderr) == (2, f"error: there is no model {tmp_path / 'none.onnx'}.\n")
    (tmp_path / "corrupt.onnx").write_bytes(b"no model")
    ran = run_script(folder, images[0], "--model", tmp_path / "corrupt.onnx")
    assert ran.returncode == 2
    assert "is not a model that ONNX Runtime supports" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_model_without_class_names(exported, tmp_path):
    import onnx

    proto = onnx.load(exported("onnx").path)
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "bare.onnx")
    with pytest.raises(PredictionError, match="its metadata has no classes"):
        Classifier(tmp_path / "bare.onnx")


@pytest.mark.parametrize(
    ("key", "text", "problem"),
    [
        ("classes", '{"a": 1}', "the classes in its metadata are not a list of names"),
        ("classes", "[]", "the classes in its metadata are not a list of names"),
        ("classes", "[1]", "the classes in its metadata are not a list of names"),
        ("classes", "[" * 100_000, "the classes in its metadata is not valid JSON"),
        ("classes", '["a", "b"]', "the model returns 5 values, not a finite one for each of 2 classes"),
        ("preprocessing", "[]", "the preprocessing in its metadata is not an object"),
        ("resolution", 0, "invalid resolution"),
        ("resolution", 47, "the model does not take images of shape (1, 3, 47, 47)"),
        ("resolution", 10**9, "invalid resolution"),
        ("mean", [0.5, "x", 0.5], "invalid mean"),
        ("mean", [0.5, float("nan"), 0.5], "invalid mean"),
        ("std", [0.5, 0, 0.5], "invalid std"),
        ("std", [0.5], "invalid std"),
        ("resize", ["crop"], "invalid resize"),
        ("crop_fraction", 1e-9, "invalid crop_fraction"),
        ("interpolation", "lanczos", "invalid interpolation"),
        ("temperature", "0", "the temperature in its metadata is not a positive number"),
        ("temperature", "1e999", "the temperature in its metadata is not a positive number"),
    ],
)
def test_invalid_metadata_is_one_line(exported, images, tmp_path, key, text, problem):
    import onnx

    proto = onnx.load(exported("onnx").path)
    entries = {entry.key: entry for entry in proto.metadata_props}
    if key in entries:
        entries[key].value = text
    else:
        content = json.loads(entries["preprocessing"].value)
        entries["preprocessing"].value = json.dumps({**content, key: text})
    onnx.save(proto, tmp_path / "changed.onnx")
    with pytest.raises(PredictionError, match=re.escape(problem)):
        Classifier(tmp_path / "changed.onnx").predict(images[0])


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1)])
def test_a_narrow_image_is_cropped_before_it_is_resized(reader, tmp_path, size):
    Image.new("RGB", size, (200, 100, 50)).save(tmp_path / "narrow.png")
    known = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    preprocessing = Preprocessing(resolution=224, resize="crop", crop_fraction=0.875, **known)
    pixels = reader(preprocessing).read(tmp_path / "narrow.png")
    assert pixels.shape == (1, 3, 224, 224)
    np.testing.assert_allclose(pixels[0, :, 0, 0] * 255, [200, 100, 50], atol=1e-3)


def test_the_number_of_pixels_is_limited(reader, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "MAX_PIXELS", 100)
    scene(11, 10).save(tmp_path / "large.png")
    with pytest.raises(PredictionError, match="has 11 x 10 pixels; the limit is 100"):
        script.read_image(tmp_path / "large.png", 3)
    scene(10, 10).save(tmp_path / "small.png")
    assert script.read_image(tmp_path / "small.png", 3).size == (10, 10)


def test_odd_metadata_does_not_matter(folder, tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 10)
    scene(60, 60).convert("P").save(tmp_path / "p.png", pnginfo=info, transparency=bytes([0, 128, 255]))
    assert run_script(folder, tmp_path / "p.png").stderr == ""


def test_no_car_finder_of_an_earlier_export_stays(tmp_path):
    model = ghostnet(num_classes=2, width=0.1).eval()
    model.classes = ("a", "b")
    model.preprocessing = Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.25,) * 3)
    export(model, tmp_path / "m.onnx", standalone=True)
    folder = tmp_path / "m-standalone"
    for name in ("finder.onnx", "boxes.py", "notes.txt"):
        (folder / name).write_text("old")
    export(model, tmp_path / "m.onnx", standalone=True, force=True)
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.md", "model.onnx", "notes.txt", "predict.py", "requirements.txt"}


@pytest.mark.slow
def test_a_car_finder_goes_with_weights_for_cars(tmp_path):
    """The script finds the car that lightcars finds, and says where there is none."""
    from typer.testing import CliRunner

    from lightcars.cli.main import app
    from lightcars.models import boxes

    command = ["export", "cars196", "--out", str(tmp_path / "cars.onnx"), "--standalone"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "cars-standalone"
    names = ["README.md", "boxes.py", "finder.onnx", "model.onnx", "predict.py", "requirements.txt"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert (folder / "boxes.py").read_bytes() == Path(boxes.__file__).read_bytes()
    assert "finder.onnx" in (folder / "README.md").read_text()
    scene(300, 200).save(tmp_path / "noise.png")
    pictures = [tmp_path / "noise.png", *whole_photographs()[:3]]
    found = json.loads(run_script(folder, *pictures, "--json", "--top", "2").stdout)
    for own, expected in zip(found, predict("cars196", pictures, top=2), strict=True):
        assert own["car_found"] == expected.car_found
        if expected.box is not None:
            assert np.abs(np.subtract(own["box"], expected.box)).max() <= 1
        assert own["guesses"][0]["name"] == expected.guesses[0].name
    cut = json.loads(run_script(folder, pictures[0], "--json", "--cut").stdout)
    assert "box" not in cut[0]
    assert "no car found" in run_script(folder, pictures[0]).stdout


def whole_photographs() -> list[Path]:
    """Return uncut photographs of cars, if there are any."""
    shared = Path(os.environ.get("LIGHTCARS_SHARED", Path(__file__).parents[3] / "shared"))
    return sorted((shared / "cars196" / "whole").glob("*/*.webp"))
