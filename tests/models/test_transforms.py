"""`transforms_for` makes of an image what the source of the weights makes of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torchvision.models import get_model_weights

from lightcars.errors import ConfigError, InputError
from lightcars.models import transforms
from lightcars.models.images import read_image
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.transforms import fit_square, transforms_for
from lightcars.weights.catalog import ENTRIES, WeightsEntry
from lightcars.weights.publishers import IMAGENET_MEAN, IMAGENET_STD
from lightcars.zoo import ghostnet

HALF = (0.5, 0.5, 0.5)


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.fixture(
    scope="module",
    params=[(300, 411), (411, 300), (650, 640), (90, 50)],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def image(request) -> Image.Image:
    return noise(*request.param)


def distinct(source: str) -> list[WeightsEntry]:
    """One entry with each preprocessing."""
    return list({entry.preprocessing: entry for entry in ENTRIES if entry.source == source}.values())


def each(source: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", distinct(source), ids=lambda entry: entry.tag.partition("/")[2])


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert (ours.shape, ours.dtype) == (theirs.shape, torch.float32)
    assert theirs.std() > 0.05, "not all one value"
    assert (ours - theirs).abs().max() < 1e-6


@each("torchvision")
def test_torchvision(entry, image):
    name, _, tag = entry.tag.removeprefix("torchvision/").partition(".")
    weights = get_model_weights(name)[tag.upper()]
    assert_same(transforms_for(entry.preprocessing)(image), weights.transforms()(image))


@each("timm")
def test_timm(entry, image):
    from timm.data import create_transform, resolve_data_config
    from timm.models import get_pretrained_cfg

    published = get_pretrained_cfg(entry.tag.removeprefix("timm/")).to_dict()
    theirs = create_transform(**resolve_data_config(pretrained_cfg=published))
    assert_same(transforms_for(entry.preprocessing)(image), theirs(image))


@pytest.mark.parametrize("source", ["lukemelas", "huawei"])
def test_sources_that_only_show_an_example(source, image):
    """Resize, center crop, normalize: lukemelas's `examples/imagenet/main.py`, Huawei's `validate.py`."""
    from torchvision import transforms

    entry = distinct(source)[0]
    ours = entry.preprocessing
    shorter, interpolation = {"lukemelas": (224, "bicubic"), "huawei": (256, "bilinear")}[source]
    theirs = transforms.Compose(
        [
            transforms.Resize(shorter, interpolation=transforms.InterpolationMode(interpolation)),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    assert_same(transforms_for(ours)(image), theirs(image))


def test_comparison_sees_another_preprocessing(image):
    """Were the tolerance too wide, the tests above would pass for the wrong reason."""
    entry = distinct("timm")[0]
    ours = transforms_for(entry.preprocessing)(image)
    for other in distinct("timm")[1:] + distinct("torchvision"):
        theirs = transforms_for(other.preprocessing)(image)
        assert ours.shape != theirs.shape or (ours - theirs).abs().max() > 1e-2, other.tag


# Channels


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "LA"])
def test_any_image_becomes_rgb(mode):
    image = noise(60, 40).convert("L" if mode == "LA" else "RGB").convert(mode)
    transform = transforms_for(Preprocessing(resolution=32, mean=HALF, std=HALF, resize="crop"))
    x = transform(image)
    assert x.shape == (3, 32, 32)
    assert torch.equal(x, transform(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_any_image_becomes_gray(mode):
    image = noise(32, 32, mode)
    x = transforms_for(Preprocessing(resolution=32, mean=(0.4,), std=(0.2,)))(image)
    luma = np.asarray(image.convert("L"), dtype=np.float32) / 255
    assert x.shape == (1, 32, 32)
    assert (x[0] - torch.from_numpy((luma - 0.4) / 0.2)).abs().max() < 1e-5


def test_other_numbers_of_channels_are_the_images_own():
    image = noise(32, 32, "RGBA")
    x = transforms_for(Preprocessing(resolution=32, mean=(0.0,) * 4, std=(1.0,) * 4))(image)
    expected = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    assert (x - expected).abs().max() < 1e-6


def test_each_channel_has_its_own_mean_and_std():
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    x = transforms_for(Preprocessing(resolution=32, mean=mean, std=std))(Image.new("RGB", (9, 9), "white"))
    expected = [(1 - center) / spread for center, spread in zip(mean, std, strict=True)]
    assert x.amax((1, 2)).tolist() == pytest.approx(expected)
    assert torch.equal(x.amin((1, 2)), x.amax((1, 2)))


# Sizes


@pytest.mark.parametrize("size", [(60, 40), (7, 90), (1, 1), (32, 32), (33, 32)])
@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize("crop_fraction", [1.0, 0.875])
def test_size_is_the_resolution(size, resize, crop_fraction):
    preprocessing = Preprocessing(
        resolution=32, mean=HALF, std=HALF, resize=resize, crop_fraction=crop_fraction
    )
    image = noise(*size)
    before = image.copy()
    assert transforms_for(preprocessing)(image).shape == (3, 32, 32)
    assert fit_square(preprocessing)(image).size == (32, 32)
    assert image == before, "the image is left as it was"


@pytest.mark.parametrize(
    "size", [(60, 40), (41, 67), (7, 90), (90, 7), (1, 1), (32, 32), (33, 32), (311, 207)]
)
@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize("crop_fraction", [1.0, 0.875, 0.9])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_square_is_the_same_with_and_without_torchvision(size, resize, crop_fraction, interpolation):
    preprocessing = Preprocessing(
        resolution=32,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        resize=resize,
        crop_fraction=crop_fraction,
        interpolation=interpolation,
    )
    ours = np.asarray(fit_square(preprocessing)(noise(*size)), dtype=np.float32) / 255
    theirs = transforms_for(preprocessing)(noise(*size)).permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).max() < 1e-6


def test_same_image_gives_the_same_tensor():
    transform = transforms_for(ENTRIES[0].preprocessing)
    image = noise(300, 411)
    state = torch.get_rng_state()
    assert torch.equal(transform(image), transform(image))
    assert torch.equal(torch.get_rng_state(), state)


# Of a model


@pytest.fixture
def model():
    model = ghostnet(width=0.1, num_classes=2)
    model.preprocessing = Preprocessing(resolution=48, mean=HALF, std=HALF, resize="crop", crop_fraction=0.9)
    return model


def test_models_own_preprocessing(model):
    image = noise(60, 90)
    assert torch.equal(transforms_for(model)(image), transforms_for(model.preprocessing)(image))


def test_compiled_model(model):
    compiled = torch.compile(model, backend="eager")
    assert hasattr(compiled, "_orig_mod")
    assert transforms_for(compiled)(noise(60, 90)).shape == (3, 48, 48)


class Wrapper:
    """Unlike torch's, passes no attribute on."""

    def __init__(self, model) -> None:
        self._orig_mod = model


def test_wrapper_that_hides_the_models_attributes(model):
    assert transforms_for(Wrapper(model))(noise(60, 90)).shape == (3, 48, 48)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ghostnet(width=0.1, num_classes=2),
        lambda: torch.compile(ghostnet(width=0.1, num_classes=2), backend="eager"),
        lambda: torch.nn.Linear(2, 2),
        lambda: None,
    ],
    ids=["fresh", "compiled", "foreign", "nothing"],
)
def test_unknown_preprocessing(make):
    with pytest.raises(InputError, match=r"set model\.preprocessing to a lightcars\.Preprocessing") as error:
        transforms_for(make())
    assert "\n" not in str(error.value)


# What a preprocessing can be


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": 0}, "resolution must be a whole number"),
        ({"resolution": 224.0}, "resolution must be a whole number"),
        ({"resize": "pad"}, "resize must be one of squash, crop"),
        ({"interpolation": "nearest"}, "interpolation must be one of bilinear, bicubic"),
        ({"crop_fraction": 0}, "crop_fraction must be a positive number up to 1"),
        ({"crop_fraction": 1.1}, "crop_fraction must be a positive number up to 1"),
        ({"crop_fraction": float("nan")}, "crop_fraction must be a positive number up to 1"),
        ({"mean": (0.5,)}, "differ in their number of channels"),
        ({"std": (0.5, 0.5, 0.0)}, "std must be a positive number"),
        ({"std": (0.5, 0.5, -1.0)}, "std must be a positive number"),
        ({"std": (0.5, 0.5, "x")}, "std must be a tuple of numbers"),
        ({"mean": ("x", 0.5, 0.5)}, "mean must be a tuple of numbers"),
        ({"mean": (float("nan"), 0.5, 0.5)}, "mean must be a tuple of numbers"),
        ({"mean": (float("inf"), 0.5, 0.5)}, "mean must be a tuple of numbers"),
        ({"mean": (None, 0.5, 0.5)}, "mean must be a tuple of numbers"),
        ({"mean": 0.5, "std": 0.5}, "mean must be a tuple of numbers"),
        ({"mean": [0.5] * 3}, "mean must be a tuple of numbers"),
        ({"mean": (), "std": ()}, "mean must be a tuple of numbers"),
    ],
)
def test_invalid_preprocessing(changes, message):
    with pytest.raises(ConfigError, match=message) as error:
        Preprocessing(**{"resolution": 224, "mean": HALF, "std": HALF, **changes})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("resolution", "crop_fraction", "shorter_side"),
    [(224, 0.875, 256), (224, 0.9, 248), (288, 0.875, 329), (240, 240 / 255, 255), (224, 1, 224), (1, 1, 1)],
)
def test_shorter_side(resolution, crop_fraction, shorter_side):
    preprocessing = Preprocessing(resolution=resolution, mean=HALF, std=HALF, crop_fraction=crop_fraction)
    assert preprocessing.shorter_side == shorter_side


def test_shorter_side_comes_back_whatever_the_division_rounds_to():
    for resolution in range(32, 640, 7):
        for shorter_side in range(resolution, resolution + 100):
            preprocessing = Preprocessing(
                resolution=resolution, mean=HALF, std=HALF, crop_fraction=resolution / shorter_side
            )
            assert preprocessing.shorter_side == shorter_side


# As `predict` reads


def stored(path: Path, kind: str) -> Path:
    image = noise(60, 90)
    if kind == "rotated":
        tags = Image.Exif()
        tags[0x0112] = 6
        image.save(path, exif=tags)
    elif kind == "16 bits":
        Image.fromarray((np.asarray(image.convert("L")).astype(np.uint16)) * 257).save(path)
    elif kind == "transparent":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.save(path)
    elif kind == "palette":
        image.quantize(16).save(path, transparency=3)
    return path


@pytest.mark.parametrize("kind", ["rotated", "16 bits", "transparent", "palette"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_opened_file_is_read_as_predict_reads_it(tmp_path, kind, channels):
    path = stored(tmp_path / "photo.png", kind)
    preprocessing = Preprocessing(resolution=32, mean=(0.0,) * channels, std=(1.0,) * channels)
    with Image.open(path) as image:
        ours = transforms_for(preprocessing)(image)
    expected = fit_square(preprocessing)(read_image(path, channels))
    assert ours.mul(255).round().permute(1, 2, 0).numpy() == pytest.approx(
        np.atleast_3d(np.asarray(expected)), abs=1.01
    )


def test_arrays_are_read_as_images():
    image = noise(60, 90)
    transform = transforms_for(Preprocessing(resolution=32, mean=HALF, std=HALF))
    assert torch.equal(transform(np.asarray(image)), transform(image))
    assert torch.equal(transform(np.asarray(image).astype(np.uint16) * 257), transform(image))


# Extreme shapes


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (3, 2_000)])
def test_a_long_image_is_cropped_before_it_is_scaled(size):
    """Scaled first, it would have three billion pixels."""
    preprocessing = Preprocessing(resolution=224, mean=HALF, std=HALF, resize="crop", crop_fraction=0.875)
    image = Image.new("RGB", size, (200, 100, 50))
    assert fit_square(preprocessing)(image).getextrema() == ((200, 200), (100, 100), (50, 50))
    assert transforms_for(preprocessing)(image).shape == (3, 224, 224)


@pytest.mark.parametrize("size", [(20, 300), (300, 20), (21, 400)])
def test_cropping_first_gives_the_same_pixels(monkeypatch, size):
    image = noise(*size).filter(ImageFilter.GaussianBlur(2))
    preprocessing = Preprocessing(resolution=24, mean=HALF, std=HALF, resize="crop", crop_fraction=0.8)
    first = np.asarray(fit_square(preprocessing)(image)).astype(int)
    monkeypatch.setattr(transforms, "MAX_ASPECT_RATIO", 1000)
    assert np.abs(np.asarray(fit_square(preprocessing)(image)) - first).max() <= 3
