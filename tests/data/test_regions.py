"""The region of an image that is decoded: whole, cut to the box, or the box before white."""

import numpy as np
import pytest
from PIL import Image

from lightcars.data.dataset import decode
from lightcars.data.layouts import Sample
from lightcars.data.regions import check_region, read_sample
from lightcars.data.stanford_cars import GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD
from lightcars.errors import ConfigError, DataError
from lightcars.models.preprocessing import Preprocessing

RGB = Preprocessing(resolution=8, mean=RGB_MEAN, std=RGB_STD)
GRAY = Preprocessing(resolution=8, mean=GRAY_MEAN, std=GRAY_STD)
BOX = (4, 3, 9, 5)  # columns 3 to 8 and rows 2 to 4, counted from 0


@pytest.fixture
def photo(tmp_path):
    """Twelve by ten pixels of which each is another color; and a function that gives it a box."""
    values = np.arange(10 * 12 * 3, dtype=np.uint16).reshape(10, 12, 3) % 251
    path = tmp_path / "photo.png"
    Image.fromarray(values.astype(np.uint8)).save(path)
    return values, lambda box: Sample(path, 0, box)


def test_the_box_has_its_first_and_its_last_pixel(photo):
    values, sample = photo
    cut = np.asarray(read_sample(sample(BOX), 3, "box"))
    assert np.array_equal(cut, values[2:5, 3:9])


def test_masked_keeps_size_and_place_and_paints_white(photo):
    values, sample = photo
    masked = np.asarray(read_sample(sample(BOX), 3, "masked"))
    assert masked.shape == values.shape
    assert np.array_equal(masked[2:5, 3:9], values[2:5, 3:9])
    outside = np.ones((10, 12), dtype=bool)
    outside[2:5, 3:9] = False
    assert (masked[outside] == 255).all()


def test_the_whole_needs_no_box(photo):
    values, sample = photo
    assert np.array_equal(np.asarray(read_sample(sample(None), 3)), values)


def test_gray_regions(photo):
    _, sample = photo
    masked = read_sample(sample(BOX), 1, "masked")
    assert masked.mode == "L"
    assert masked.getpixel((0, 0)) == 255
    assert read_sample(sample(BOX), 1, "box").size == (6, 3)


@pytest.mark.parametrize("box", [(1, 1, 12, 10), (0, 0, 12, 10), (-3, 1, 500, 500)])
def test_a_box_over_the_border_ends_there(photo, box):
    values, sample = photo
    for region in ("box", "masked"):
        assert np.array_equal(np.asarray(read_sample(sample(box), 3, region)), values)


@pytest.mark.parametrize("box", [(13, 1, 20, 5), (1, 11, 5, 12), (-5, -5, 0, 0)])
@pytest.mark.parametrize("region", ["box", "masked"])
def test_a_box_outside_names_file_box_and_size(photo, box, region):
    with pytest.raises(DataError) as caught:
        read_sample(photo[1](box), 3, region)
    assert "photo.png" in str(caught.value)
    assert f"its box {box} is outside of its 12 x 10 pixels" in str(caught.value)


@pytest.mark.parametrize("preprocessing", [RGB, GRAY], ids=["color", "gray"])
def test_decode_cuts_before_it_scales(photo, preprocessing):
    values, sample = photo
    whole = decode([sample(BOX)], preprocessing)
    cut = decode([sample(BOX)], preprocessing, region="box")
    expected = Image.fromarray(values[2:5, 3:9].astype(np.uint8))
    if preprocessing is GRAY:
        expected = expected.convert("L")
    scaled = np.asarray(expected.resize((8, 8), Image.Resampling.BILINEAR)).reshape(8, 8, -1)
    assert np.abs(cut.pixels[0].astype(int) - scaled).max() <= 1
    assert not np.array_equal(cut.pixels, whole.pixels)


def test_decode_leaves_out_an_image_whose_box_is_outside(photo):
    _, sample = photo
    decoded = decode([sample(BOX), sample((50, 50, 60, 60))], RGB, region="masked")
    assert len(decoded.labels) == 1
    assert "outside of its 12 x 10 pixels" in decoded.broken[0]


def test_samples_without_a_box_are_an_error_at_once(photo):
    _, sample = photo
    with pytest.raises(DataError) as caught:
        decode([sample(BOX), sample(None), sample(None)], RGB, region="box", name="train")
    assert "2 of 3 images of train have no box (first: " in str(caught.value)
    assert "region 'box' needs one for each" in str(caught.value)


def test_an_unknown_region():
    with pytest.raises(ConfigError, match="'crop'"):
        check_region([], "crop")
