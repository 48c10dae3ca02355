"""The browser makes the same pixels of a picture as `lightcars predict`."""

import base64
import json
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from lightcars import Preprocessing
from lightcars.data.pixels import normalize, to_pixels
from lightcars.models.images import read_image
from lightcars.models.transforms import fit_square
from tests.deploy.test_standalone import PREPROCESSINGS, save_rotated, save_sixteen_bits, scene

SCRIPT = """
async ([content, type, preprocessing, box]) => {
  const { normalized, plan, squarePixels } = await import("./app/preprocess.js");
  const { openPicture } = await import("./app/picture.js");
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const { bitmap } = await openPicture(new Blob([bytes], { type }));
  const planned = plan(box ?? [0, 0, bitmap.width, bitmap.height], preprocessing);
  const values = normalized(squarePixels(bitmap, planned, preprocessing), preprocessing);
  return { values: Array.from(values), used: planned.used };
}
"""


def save_transparent(path):
    image = scene(80, 61, 4)
    alpha = Image.fromarray((np.indices((61, 80)).sum(0) % 2 * 255).astype(np.uint8))
    image.putalpha(alpha)
    image.save(path)


PICTURES = {
    "wide.png": lambda path: scene(301, 40).save(path),
    "tall.png": lambda path: scene(37, 160).save(path),
    "narrow.png": lambda path: scene(20, 400).save(path),
    "small.png": lambda path: scene(9, 7).save(path),
    "exact.png": lambda path: scene(48, 48).save(path),
    "large.png": lambda path: scene(2300, 1100).save(path),
    "gray.png": lambda path: scene(80, 60, 1).save(path),
    "transparent.png": save_transparent,
    "palette.gif": lambda path: scene(80, 60).quantize(16).save(path),
    "sixteen.png": save_sixteen_bits,
    "car.jpg": lambda path: scene(123, 77).save(path, quality=90),
    "rotated.jpg": save_rotated,
}
TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif"}
JPEG_STEPS = 6
"""Of 255, by which decoders of JPEG may differ."""
RESIZE = Image.Image.resize


def across_first(image, size, resample):
    """Resize as all versions of Pillow did: the width, rounding to 8 bits, and then the height."""
    return RESIZE(RESIZE(image, (size[0], image.height), resample), size, resample)


@pytest.fixture(scope="module")
def modules(browser, served):
    """A page of the site, from which its modules can be imported."""
    page = browser.new_page()
    page.goto(served)
    yield page
    page.close()


def browser_values(modules, path, preprocessing, box=None):
    content = base64.b64encode(path.read_bytes()).decode()
    settings = json.loads(json.dumps(asdict(preprocessing)))
    got = modules.evaluate(SCRIPT, [content, TYPES[path.suffix], settings, box])
    side = preprocessing.resolution
    return np.array(got["values"], np.float32).reshape(1, -1, side, side), got["used"]


def our_values(path, preprocessing, box=None):
    image = read_image(path, len(preprocessing.mean))
    image = image if box is None else image.crop(box)
    return normalize(to_pixels(fit_square(preprocessing)(image))[None], preprocessing).numpy()


@pytest.mark.parametrize("kind", ["squash", "squash and cut", "crop as timm", "gray"])
@pytest.mark.parametrize("name", PICTURES)
def test_pixels_are_those_of_predict(modules, tmp_path, monkeypatch, kind, name):
    PICTURES[name](tmp_path / name)
    known = {"resolution": 48, "mean": (0.47, 0.46, 0.45), "std": (0.29, 0.28, 0.3)}
    preprocessing = Preprocessing(**{**known, **PREPROCESSINGS[kind]})
    got, _ = browser_values(modules, tmp_path / name, preprocessing)
    step = 1 / (255 * min(preprocessing.std))
    # Pillow 13 begins with the height of some pictures, which changes what is rounded between the passes
    assert np.abs(got - our_values(tmp_path / name, preprocessing)).mean() < 0.6 * step
    monkeypatch.setattr(Image.Image, "resize", across_first)
    steps = JPEG_STEPS if name.endswith(".jpg") else 2 if name == "sixteen.png" else 0
    expected = our_values(tmp_path / name, preprocessing)
    np.testing.assert_allclose(got, expected, rtol=0, atol=steps * step * 1.01)


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_pixels_in_a_box_are_those_of_the_cut_picture(modules, tmp_path, monkeypatch, resize):
    monkeypatch.setattr(Image.Image, "resize", across_first)
    scene(120, 90).save(tmp_path / "car.png")
    preprocessing = Preprocessing(resolution=33, mean=(0.5,) * 3, std=(0.25,) * 3, resize=resize)
    box = (17, 5, 98, 61)
    got, used = browser_values(modules, tmp_path / "car.png", preprocessing, list(box))
    np.testing.assert_array_equal(got, our_values(tmp_path / "car.png", preprocessing, box))
    assert used == (list(box) if resize == "squash" else pytest.approx([29.06, 5, 85.94, 61], abs=0.01))
