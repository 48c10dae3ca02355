"""Reading one image: every usual format comes out upright, every broken file is named."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from lightcars.errors import DataError
from lightcars.models import images
from lightcars.models.images import is_image, plain_image, read_image, without_advice

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
    assert set(read_image(path, 3).tobytes()) == {255}


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
    assert "is too large: an image may have" in fails(path)


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_images_have_one_or_three_channels(tmp_path, channels):
    path = tmp_path / "photo.png"
    photo().save(path)
    with pytest.raises(DataError, match=f"1 or 3 channels, the model expects {channels}"):
        read_image(path, channels)


# Metadata


def exif(*, tag: int, kind: int, value: bytes) -> bytes:
    """Metadata with the orientation of a camera held upright, and one more tag."""
    entries = [struct.pack("<HHI", 0x0112, 3, 1) + struct.pack("<HH", ROTATE_90, 0)]
    count = len(value) if kind == 2 else 1
    place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", 8 + 2 + 2 * 12 + 4)
    entries.append(struct.pack("<HHI", tag, kind, count) + place)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + b"".join(entries) + bytes(4) + value


@pytest.mark.parametrize(
    ("tag", "kind", "value"),
    [
        (0x011A, 2, b"many\0"),
        (0x011A, 12, struct.pack("<d", math.nan)),
        (0x011A, 10, struct.pack("<ii", -1, 0)),
        (0x9C9B, 1, b"x"),
        (0x8769, 4, struct.pack("<I", 2**31)),
        (0x8825, 2, b"nowhere\0"),
    ],
    ids=["text as DPI", "NaN as DPI", "negative rational", "odd text", "wild offset", "text as GPS"],
)
def test_upright_whatever_the_other_metadata_are(tmp_path, tag, kind, value):
    path = tmp_path / "photo.jpg"
    photo().save(path, quality=95, exif=exif(tag=tag, kind=kind, value=value))
    with without_advice():
        image = read_image(path, 3)
    assert image.size == (24, 40)
    assert near(image, photo().transpose(Image.Transpose.ROTATE_270))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_orientation_is_that_of_pillow(tmp_path, orientation):
    path = tmp_path / "photo.png"
    tags = Image.Exif()
    tags[0x0112] = orientation
    photo().save(path, exif=tags)
    with Image.open(path) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert read_image(path, 3).tobytes() == expected.tobytes()


@pytest.mark.parametrize("profile", [b"", b"no profile", bytes(200)])
def test_a_broken_color_profile_does_not_matter(tmp_path, profile):
    path = tmp_path / "photo.jpg"
    photo().save(path, quality=95, icc_profile=profile)
    assert near(read_image(path, 3), photo())


# JPEG without its end


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_end_marker_is_whole(tmp_path, progressive, missing):
    path = tmp_path / "photo.jpg"
    photo(230, 170).save(path, quality=92, progressive=progressive)
    expected = read_image(path, 3).tobytes()
    path.write_bytes(path.read_bytes()[:-missing])
    assert read_image(path, 3).tobytes() == expected


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [0.02, 0.3, 0.7])
def test_a_jpeg_that_lacks_pixels_is_an_error(tmp_path, progressive, missing):
    path = tmp_path / "photo.jpg"
    Image.effect_noise((230, 170), 80).save(path, quality=92, progressive=progressive)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * (1 - missing))])
    with pytest.raises(DataError, match="truncated"):
        read_image(path, 3)


# Size


def test_an_image_that_would_need_gigabytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 1_000_000)
    path = tmp_path / "large.png"
    Image.new("1", (1001, 1000)).save(path)
    with pytest.raises(DataError, match=r"may have 1 million pixels, and this has 1,001 x 1,000\."):
        read_image(path, 3)
    Image.new("1", (1000, 1000)).save(path)
    assert read_image(path, 1).size == (1000, 1000)


def test_the_limit_lets_cameras_pass():
    assert 100_000_000 < images.MAX_PIXELS < 13_300 * 13_300


# Names


@pytest.mark.parametrize("name", ["photo", "photo.jfif", "photo.TIF", "photo.jpe", "photo.avif", "photo.ppm"])
def test_files_that_are_images(tmp_path, name):
    photo().save(tmp_path / name, format="PNG")
    assert is_image(tmp_path / name)


@pytest.mark.parametrize(("name", "content"), [("README", b"text"), ("a.txt", b""), (".hidden.png", b"x")])
def test_files_that_are_not(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert not is_image(tmp_path / name)


# Arrays


def test_arrays_are_images_too():
    pixels = np.asarray(photo())
    assert plain_image(pixels, 3).tobytes() == photo().tobytes()
    assert plain_image(pixels.astype(np.uint16) * 257, 3).tobytes() == photo().tobytes()
    assert plain_image(pixels[:, :, :1], 1).tobytes() == pixels[:, :, 0].tobytes()
    clear = np.dstack([pixels, np.zeros_like(pixels[:, :, 0])])
    assert plain_image(clear, 3).getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)])
def test_arrays_that_are_not_images(array):
    with pytest.raises(ValueError, match="an array of pixels"):
        plain_image(array, 3)
