"""Reading one image: every usual format comes out upright, every broken file is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightcars.errors import DataError
from lightcars.models.images import read_image

ROTATE_90 = 6  # EXIF: the camera was held upright


def photo(width: int = 40, height: int = 24) -> Image.Image:
    """Smooth colors that every format keeps about as they are: red grows to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, np.full_like(x, 90)], axis=-1).astype(np.uint8))


def near(image: Image.Image, expected: Image.Image, tolerance: float = 6) -> bool:
    difference = np.asarray(image, dtype=float) - np.asarray(expected, dtype=float)
    return bool(np.abs(difference).mean() < tolerance)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tiff"])
@pytest.mark.parametrize(("channels", "mode"), [(3, "RGB"), (1, "L")])
def test_formats(tmp_path, suffix, channels, mode):
    path = tmp_path / f"photo.{suffix}"
    photo().save(path)
    image = read_image(path, channels)
    assert (image.mode, image.size) == (mode, (40, 24))
    assert near(image, photo().convert(mode))


@pytest.mark.parametrize("stored", ["L", "P", "1", "LA", "RGBA", "RGB"])
@pytest.mark.parametrize(("channels", "mode"), [(3, "RGB"), (1, "L")])
def test_modes(tmp_path, stored, channels, mode):
    path = tmp_path / "photo.png"
    photo().convert(stored).save(path)
    image = read_image(path, channels)
    assert (image.mode, image.size) == (mode, (40, 24))
    assert near(image, photo().convert(stored).convert(mode), 12)


def test_cmyk(tmp_path):
    path = tmp_path / "photo.jpg"
    photo().convert("CMYK").save(path, quality=95)
    assert near(read_image(path, 3), photo())


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_keep_their_shades(tmp_path, channels):
    path = tmp_path / "deep.png"
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    Image.fromarray(ramp.astype(np.uint16)).save(path)
    expected = Image.fromarray((ramp / 257).astype(np.uint8)).convert("RGB" if channels == 3 else "L")
    assert near(read_image(path, channels), expected, 2)


def test_floating_point_pixels_say_not_what_is_white(tmp_path):
    path = tmp_path / "float.tif"
    Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)).save(path)
    with pytest.raises(DataError, match=r"float\.tif cannot be read .*floating-point .* 8 or 16 bits"):
        read_image(path, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_an_image_taken_upright_is_upright(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = ROTATE_90
    photo().save(path, exif=exif)
    image = read_image(path, 3)
    assert image.size == (24, 40)
    assert near(image, photo().transpose(Image.Transpose.ROTATE_270))


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    path = tmp_path / "logo.png"
    image = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    if mode == "P":
        image = Image.new("P", (8, 8), 0)
        image.putpalette([200, 0, 0] * 256)
        image.info["transparency"] = 0
    image.save(path)
    assert set(read_image(path, 3).get_flattened_data()) == {(255, 255, 255)}


def test_grayscale_of_color_is_the_usual_one(tmp_path):
    path = tmp_path / "photo.png"
    photo().save(path)
    assert read_image(path, 1).tobytes() == photo().convert("L").tobytes()


def fails(path: Path) -> str:
    """The one line with which reading `path` fails."""
    with pytest.raises(DataError) as caught:
        read_image(path, 3)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_empty_file(tmp_path):
    (tmp_path / "photo.jpg").touch()
    assert "is empty (0 bytes)" in fails(tmp_path / "photo.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_file(tmp_path, suffix, part):
    path = tmp_path / f"photo.{suffix}"
    photo(200, 160).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert "cannot be read as an image" in fails(path)


@pytest.mark.parametrize("content", [b"<html>404</html>", b"\xff\xd8\xff", bytes(500)])
def test_something_else(tmp_path, content):
    (tmp_path / "photo.jpg").write_bytes(content)
    assert "cannot be read as an image" in fails(tmp_path / "photo.jpg")


def test_a_folder(tmp_path):
    folder = tmp_path / "photo.jpg"
    folder.mkdir()
    (folder / "inside").touch()
    assert "is a folder" in fails(folder)


def test_a_missing_file(tmp_path):
    assert "there is no image" in fails(tmp_path / "nowhere.jpg")


def test_a_file_too_large_to_be_an_image(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    photo().save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "cannot be read as an image" in fails(path)


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_images_have_one_or_three_channels(tmp_path, channels):
    path = tmp_path / "photo.png"
    photo().save(path)
    with pytest.raises(DataError, match=f"1 or 3 channels; the model expects {channels}"):
        read_image(path, channels)
