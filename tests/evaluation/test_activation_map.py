"""Activation maps: where they must be by construction, for every family, and nothing left changed."""

import pytest
import torch
from PIL import Image, ImageDraw

import lightcars
from lightcars import activation_map, create_model, load, save
from lightcars.errors import CheckpointError, DataError, InputError
from lightcars.evaluation.activation_map import explain
from lightcars.models.preprocessing import Preprocessing
from lightcars.reports import draw_activation_map
from tests.training.tiny_settings import TINY_MODEL

SMALL = {
    "efficientnet_b0": {"width": 0.25, "depth": 0.34},
    "ghostnet_050": TINY_MODEL,
    "ghostnet_thesis": {"width": 0.25},
}
every_family = pytest.mark.parametrize("name", SMALL)


def small(name: str, **changes):
    return create_model(name, num_classes=4, **SMALL[name], **changes).eval()


def reads_channel(model, channel: int):
    """An EfficientNet whose first class is one channel of its last map, and no other class is anything."""
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.zero_()
        model.classifier.weight[0, channel] = 1.0
    return model


@pytest.mark.parametrize("channel", [0, 7, 31])
def test_a_classifier_of_one_channel_sees_that_channel(channel):
    model = reads_channel(small("efficientnet_b0"), channel)
    image = torch.randn(3, 192, 128)
    with torch.no_grad():
        expected = model.forward_features(image[None])[:, channel : channel + 1].relu()
    expected = torch.nn.functional.interpolate(expected, (192, 128), mode="bilinear")[0, 0]
    torch.testing.assert_close(activation_map(model, image, 0), expected / expected.max())


def test_a_class_that_nothing_speaks_for_is_zero_everywhere():
    model = reads_channel(small("efficientnet_b0"), 3)
    assert activation_map(model, torch.randn(3, 64, 64), 1).eq(0).all()


@pytest.mark.parametrize(("top", "left"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_car_in_a_corner_is_seen_there(top, left):
    """A model of local means: each layer passes the brightness on, so the map is where the light is."""
    model = small("ghostnet_050")
    model.stem, model.blocks = torch.nn.AvgPool2d(32), torch.nn.Identity()
    model.head = torch.nn.Conv2d(3, model.config.feature_channels, 1, bias=False)
    with torch.no_grad():
        for weight in (model.head.weight, model.neck[0].weight, model.classifier.weight):
            weight.fill_(0.1)
        model.classifier.weight[1:] = -0.1
    image = torch.zeros(3, 256, 256)
    image[:, top * 128 : top * 128 + 128, left * 128 : left * 128 + 128] = 1.0
    heat = activation_map(model, image, 0)
    quarter = heat[top * 128 : top * 128 + 128, left * 128 : left * 128 + 128]
    assert quarter.sum() > 0.85 * heat.sum()
    assert quarter.max() == 1
    assert activation_map(model, image, 1).eq(0).all(), "the light speaks against the other classes"


@every_family
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(64, 64), (75, 61), (32, 160)])
def test_it_covers_the_image_with_values_from_0_to_1(name, channels, size):
    model = small(name, img_channels=channels)
    for index in range(4):
        heat = activation_map(model, torch.randn(channels, *size), index)
        assert heat.shape == size
        assert heat.min() >= 0
        assert heat.max() == 1 or heat.eq(0).all()
        assert not heat.requires_grad


@every_family
def test_without_a_class_it_is_the_likeliest(name):
    model, image = small(name), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        likeliest = int(model(image).argmax())
    assert torch.equal(activation_map(model, image), activation_map(model, image[0], likeliest))


@every_family
@pytest.mark.parametrize("frozen", [False, True])
def test_everything_stays_as_it_was(name, frozen):
    model, image = small(name).train(), torch.randn(3, 64, 64)
    model.blocks.eval()
    model.requires_grad_(not frozen)
    model.classifier.weight.grad = torch.ones_like(model.classifier.weight)
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    heat = activation_map(model, image, 2)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
    assert model.classifier.weight.grad.eq(1).all()
    assert all(p.grad is None for key, p in model.named_parameters() if key != "classifier.weight")
    assert not image.requires_grad
    torch.testing.assert_close(activation_map(model.eval(), image, 2), heat)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(context):
    model, image = small("efficientnet_b0"), torch.randn(3, 64, 64)
    expected = activation_map(model, image, 1)
    with context():
        assert torch.equal(activation_map(model, image.clone(), 1), expected)


def test_modes_come_back_after_an_error():
    model = small("ghostnet_050").train()
    with pytest.raises(InputError, match="takes images of shape"):
        activation_map(model, torch.randn(1, 64, 64), 0)
    assert model.training


@pytest.mark.parametrize(
    ("shape", "index", "text"),
    [
        ((3, 64, 64), 4, "class_index must be from 0 to 3, not 4"),
        ((3, 64, 64), -1, "class_index must be from 0 to 3, not -1"),
        ((64, 64), 0, r"takes one image \(C, H, W\), not \(64, 64\)"),
        ((2, 3, 64, 64), 0, r"takes one image \(C, H, W\), not \(2, 3, 64, 64\)"),
    ],
)
def test_input_that_cannot_be(shape, index, text):
    with pytest.raises(InputError, match=text):
        activation_map(small("ghostnet_050"), torch.randn(shape), index)


def test_a_model_without_classes():
    model = small("ghostnet_050")
    model.reset_classifier(0)
    with pytest.raises(InputError, match="the model has no classes"):
        activation_map(model, torch.randn(3, 64, 64))


# From an image to a picture


def test_an_image_is_explained_with_its_likeliest_class(finished):
    photo = finished.data / "val" / "Van" / "0000.png"
    seen = explain(finished.run, photo)
    (prediction,) = lightcars.predict(finished.run, photo)
    assert seen.guess.name == prediction.guesses[0].name
    assert seen.guess.probability == pytest.approx(prediction.guesses[0].probability)
    assert seen.image.size == (96, 96)
    assert seen.heat.shape == (32, 32)


def test_a_cropped_image_shows_what_the_model_sees(tmp_path):
    model = small("ghostnet_050")
    cut = Preprocessing(resolution=64, mean=(0.5,) * 3, std=(0.5,) * 3, resize="crop", crop_fraction=0.5)
    save(model, tmp_path / "cut", classes=tuple("abcd"), preprocessing=cut)
    wide = Image.new("RGB", (400, 200), "red")
    ImageDraw.Draw(wide).rectangle((150, 50, 250, 150), fill="blue")
    wide.save(tmp_path / "wide.png")
    seen = explain(tmp_path / "cut", tmp_path / "wide.png")
    assert seen.image.size == (64, 64)
    assert seen.image.getpixel((32, 32)) == (0, 0, 255)
    assert load(tmp_path / "cut").classes == tuple("abcd")


def test_a_grayscale_model_shows_the_image_in_color(tmp_path):
    model = small("ghostnet_050", img_channels=1)
    gray = Preprocessing(resolution=64, mean=(0.5,), std=(0.5,))
    save(model, tmp_path / "gray", classes=tuple("abcd"), preprocessing=gray)
    Image.new("RGB", (90, 60), "green").save(tmp_path / "photo.png")
    seen = explain(tmp_path / "gray", tmp_path / "photo.png")
    assert (seen.image.mode, seen.image.size) == ("RGB", (90, 60))
    draw_activation_map(seen, tmp_path / "cam.png")
    with Image.open(tmp_path / "cam.png") as picture:
        assert picture.format == "PNG"


def test_bad_files_are_named(finished, tmp_path):
    with pytest.raises(DataError, match="there is no image"):
        explain(finished.run, tmp_path / "x.jpg")
    with pytest.raises(CheckpointError, match="there is no run or checkpoint folder"):
        explain(tmp_path / "nowhere", tmp_path / "x.jpg")


def test_a_wrapped_model_is_unwrapped():
    model, image = small("ghostnet_050"), torch.randn(3, 64, 64)
    torch.testing.assert_close(
        activation_map(torch.nn.DataParallel(model), image, 0), activation_map(model, image, 0)
    )
    with pytest.raises(InputError, match="activation_map takes a model of lightcars, not a Linear"):
        activation_map(torch.nn.Linear(2, 2), image)
