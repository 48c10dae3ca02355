"""Images of every kind are the same image; what is none is one clear error."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lightcars import Prediction, predict
from lightcars.errors import ConfigError, DataError, DownloadError, InputError
from lightcars.evaluation.bulk import reading
from lightcars.evaluation.bulk.reading import read_named, read_source
from lightcars.models.images import read_image
from tests.weights.loopback import Answer, Loopback, serving


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.effect_noise((24, 16), 90).convert("RGB").save(path)
    return path


def kinds(photo):
    image = Image.open(photo)
    pixels = np.array(image)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    return {
        "path": photo,
        "name": str(photo),
        "bytes": photo.read_bytes(),
        "bytearray": bytearray(photo.read_bytes()),
        "PIL": image,
        "array": pixels,
        "array of 16 bits": pixels.astype(np.uint16) * 257,
        "array of 16 bits, big-endian": pixels.astype(">u2") * 257,
        "array of floats": (pixels / 255).astype(np.float32),
        "tensor": tensor,
        "tensor of floats": tensor / 255,
        "tensor with a gradient": (tensor / 255).requires_grad_(),
    }


def test_every_kind_is_the_same_image(photo):
    expected = read_image(photo, 3).tobytes()
    for kind, source in kinds(photo).items():
        assert read_source(source, 3, "the image").tobytes() == expected, kind


def test_predict_takes_every_kind(checkpoint, photo):
    (expected,) = predict(checkpoint, photo)
    for kind, source in kinds(photo).items():
        (found,) = predict(checkpoint, source)
        assert (found.guesses, found.familiar) == (expected.guesses, expected.familiar), kind
        assert found.path == (photo if kind in ("path", "name") else None)
    several = predict(checkpoint, list(kinds(photo).values()))
    for prediction in several:
        assert [guess.name for guess in prediction.guesses] == [guess.name for guess in expected.guesses]


def test_one_gives_one_and_a_list_gives_a_list(photo):
    one = predict(photo, top=1)
    assert isinstance(one, Prediction)
    image = Image.open(photo)
    for images in ([photo], (image,), iter([photo.read_bytes()])):
        (found,) = predict(images, top=1)
        assert found.guesses == one.guesses
    assert predict("cars196", photo, top=1) == [one], "with a run it is always a list"
    assert predict([]) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.uint8), r"the image is a batch of images, \(2, 8, 8, 3\); give a list"),
        (torch.randn(3, 8, 8), "not from 0 to 1; give the image as it was before normalization"),
        (torch.full((3, 8, 8), torch.nan), "not from 0 to 1"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "pixels of int64; give uint8, uint16, or floats"),
        (torch.zeros(3, 8, 8).to_sparse(), "the image is a sparse tensor or one without values"),
        (torch.zeros(3, 8, 8, device="meta"), "the image is a sparse tensor or one without values"),
        (7, "the image is a int; an image must be a path, bytes, a PIL image, an array or a tensor"),
    ],
)
def test_what_is_no_image(checkpoint, source, message):
    with pytest.raises(InputError, match=message):
        read_source(source, 3, "the image")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "images.1. is empty"),
        (b"text", "images.1. cannot be read as an image"),
        (np.zeros((4, 4, 2), np.uint8), r"images.1. cannot be read as an image .*not \(4, 4, 2\)"),
        (np.zeros((0, 5, 3), np.uint8), "images.1. cannot be read as an image .it has no pixels"),
        (Image.new("RGB", (0, 5)), "images.1. cannot be read as an image .it has no pixels"),
        (np.zeros(5, np.uint8), "images.1. cannot be read as an image"),
    ],
)
def test_a_bad_image_in_a_list_is_named(checkpoint, photo, source, message):
    with pytest.raises(DataError, match=message):
        predict(checkpoint, [photo, source])


def test_a_lazily_opened_file_that_is_cut(photo):
    content = photo.read_bytes()
    image = Image.open(io.BytesIO(content[: len(content) // 2]))
    with pytest.raises(DataError, match="the image cannot be read as an image"):
        read_source(image, 3, "the image")


def test_a_model_without_images(checkpoint):
    with pytest.raises(InputError, match="is a model; name images too"):
        predict(checkpoint)
    with pytest.raises(InputError, match=r"cars196 is a tag of weights; name images too: predict\('cars196'"):
        predict("cars196")
    with pytest.raises(InputError, match=r"name images: predict\(image\)"):
        predict(None)


def test_an_iterator_may_reuse_its_image(checkpoint):
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (9, 9, 9), (250, 250, 250)] * 8

    def refilled():
        buffer = np.empty((40, 40, 3), np.uint8)
        for color in colors:
            buffer[:] = color
            yield buffer

    def pasted():
        image = Image.new("RGB", (40, 40))
        for color in colors:
            image.paste(color, (0, 0, 40, 40))
            yield image

    expected = predict(checkpoint, [Image.new("RGB", (40, 40), color) for color in colors])
    assert len({prediction.guesses for prediction in expected}) > 1
    for images in (refilled(), pasted()):
        assert predict(checkpoint, images, workers=3) == expected


def test_one_lazily_opened_image_several_times(checkpoint, photo):
    image = Image.open(photo)
    first, *others = predict(checkpoint, [image] * 16, workers=4)
    assert all(other.guesses[0].name == first.guesses[0].name for other in others)


def test_the_first_bad_image_is_the_error(checkpoint, photo):
    with pytest.raises(DataError, match=r"there is no image nothing\.jpg"):
        predict(checkpoint, [photo, "nothing.jpg", 7])


def test_settings_that_are_no_integers(checkpoint, photo):
    with pytest.raises(InputError, match=r"top must be an integer of at least 1, not 2\.5"):
        predict(checkpoint, photo, top=2.5)
    for name in ("batch_size", "workers"):
        with pytest.raises(ConfigError, match=r"must be an integer of at least 1, not 2\.5"):
            predict(checkpoint, [photo], **{name: 2.5})


def test_a_name_that_is_too_long():
    name = f"{'a' * 300}.jpg"
    for images in (name, [name]):
        with pytest.raises(DataError, match=r"^a+\.jpg cannot be read as an image .*File name too long"):
            predict(images)


def test_standard_input(photo, monkeypatch):
    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    give(photo.read_bytes())
    assert read_named("-", 3).tobytes() == read_image(photo, 3).tobytes()
    give(b"")
    with pytest.raises(DataError, match="the image on standard input is empty"):
        read_named("-", 3)
    monkeypatch.setattr(reading, "MAX_BYTES", 1 << 20)
    give(bytes((1 << 20) + 1))
    with pytest.raises(DataError, match="the image on standard input has more than 1 MiB"):
        read_named("-", 3)


def test_addresses(checkpoint, photo, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Loopback) as server:
        url = server.prepare("/photo.png", Answer(body=photo.read_bytes()))
        (found,) = predict(checkpoint, url)
        assert found.guesses == predict(checkpoint, photo)[0].guesses
        assert found.path is None
        with pytest.raises(DownloadError, match=r"/nothing\.png cannot be fetched .the server answers 404"):
            read_source(f"{server.url}/nothing.png", 3, "")
        page = server.prepare("/page.html", Answer(body=b"<html>"))
        with pytest.raises(DataError, match=r"/page\.html cannot be read as an image"):
            read_source(page, 3, "")
