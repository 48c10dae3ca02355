"""SqueezeNet, SqueezeNext, HarDNet and the ShuffleNets give the logits, names and counts of their references.

Weights of torchvision, of the authors' code and of pytorchcv go there and back through `names.py`. Random
weights, random batch norms; small odd images, and the models' own size where a test is slow.
"""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import lightcars
from lightcars.counters.flops import count_flops
from lightcars.models.image_model import ImageModel
from lightcars.models.registry import MODELS
from lightcars.weights.conversion import convert_weights
from lightcars.weights.convert.translate import recognize
from lightcars.zoo import create_model

TORCHVISION = {
    "shufflenetv2_050": "shufflenet_v2_x0_5",
    "shufflenetv2_100": "shufflenet_v2_x1_0",
    "shufflenetv2_150": "shufflenet_v2_x1_5",
    "shufflenetv2_200": "shufflenet_v2_x2_0",
    "squeezenet_1_0": "squeezenet1_0",
    "squeezenet_1_1": "squeezenet1_1",
}
SHUFFLENET_MEGAFLOPS = {1: 143, 2: 140, 3: 137, 4: 133, 8: 137}
"""Groups, and the complexity that arXiv 1707.01083 states in table 1."""

each_torchvision = pytest.mark.parametrize(("name", "theirs"), TORCHVISION.items(), ids=TORCHVISION)


def assert_same_logits(ours: ImageModel, theirs: nn.Module, sizes: list[tuple[int, int]]) -> None:
    for height, width in sizes:
        x = torch.randn(2, ours.config.img_channels, height, width)
        with torch.inference_mode():
            expected, y = theirs(x), ours(x)
        scale = expected.abs().max()
        assert scale > 1e-2
        assert (y - expected).abs().max() < 1e-5 * scale


def assert_goes_back(ours: ImageModel, theirs: nn.Module, library: str) -> None:
    back, wanted = lightcars.state_dict_for(ours, library), theirs.state_dict()
    assert back.keys() == wanted.keys()
    assert all(torch.equal(back[key], tensor) for key, tensor in wanted.items())


def of_torchvision(name: str, randomize_norms, **settings) -> nn.Module:
    """SqueezeNet's classifier starts so small that its logits would be no test: it gets larger weights."""
    import torchvision

    model = randomize_norms(torchvision.models.get_model(name, weights=None, **settings)).eval()
    if isinstance(model, torchvision.models.SqueezeNet):
        nn.init.normal_(model.classifier[1].weight, 0, 0.1)
        nn.init.normal_(model.classifier[1].bias, 0, 0.1)
    return model


@each_torchvision
def test_logits_are_torchvisions(name, theirs, randomize_norms, tmp_path):
    peer = of_torchvision(theirs, randomize_norms)
    torch.save(peer.state_dict(), tmp_path / "theirs.pth")
    ours = create_model(name, weights=tmp_path / "theirs.pth")
    assert ours.origin.source == "torchvision"
    assert_same_logits(ours, peer, [(64, 64), (67, 91), (50, 36)])
    assert_goes_back(ours, peer, "torchvision")


@pytest.mark.slow
@each_torchvision
def test_logits_at_the_models_size(name, theirs, randomize_norms, tmp_path):
    peer = of_torchvision(theirs, randomize_norms)
    torch.save(peer.state_dict(), tmp_path / "theirs.pth")
    ours = create_model(name, weights=tmp_path / "theirs.pth")
    assert_same_logits(ours, peer, [(ours.config.resolution,) * 2, (193, 257)])


@pytest.mark.parametrize("name", ["squeezenet_1_1", "shufflenetv2_050"])
def test_other_classes_and_channels_of_torchvision(name, randomize_norms, tmp_path):
    """Read from the tensors, and replaced by those that are asked for."""
    peer = of_torchvision(TORCHVISION[name], randomize_norms, num_classes=7)
    torch.save(peer.state_dict(), tmp_path / "theirs.pth")
    ours = create_model(name, weights=tmp_path / "theirs.pth")
    assert ours.config.num_classes == 7
    assert_same_logits(ours, peer, [(64, 48)])
    other = create_model(name, weights=tmp_path / "theirs.pth", num_classes=3, img_channels=1)
    assert other.origin.adapted == ("stem.conv.weight",)
    assert other.origin.initialized == ("classifier.weight", "classifier.bias")
    assert other(torch.randn(2, 1, 48, 48)).shape == (2, 3)
    assert torch.equal(
        other.blocks[-1].state_dict()[next(iter(other.blocks[-1].state_dict()))],
        ours.blocks[-1].state_dict()[next(iter(ours.blocks[-1].state_dict()))],
    )


def test_hardnet_gives_the_logits_of_its_authors_code(reference, tmp_path):
    with safe_open(reference / "golden" / "hardnet39ds.safetensors", "pt") as golden:
        tensors = {name: golden.get_tensor(name) for name in golden.keys()}  # noqa: SIM118
        settings = json.loads(golden.metadata()["config"])
    assert settings == {"num_classes": 10, "img_channels": 3, "arch": 39, "depth_wise": True}
    state = {name.removeprefix("state."): t for name, t in tensors.items() if name.startswith("state.")}
    save_file(state, tmp_path / "theirs.safetensors")
    model = create_model("hardnet_39ds", weights=tmp_path / "theirs.safetensors")
    assert (model.origin.source, model.origin.kept) == ("pingolh", len(model.state_dict()))
    with torch.inference_mode():
        difference = (model(tensors["input"]) - tensors["logits"]).abs().max()
    assert difference < 1e-5 * tensors["logits"].abs().max()
    back = lightcars.state_dict_for(model, "pingolh")
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())
    assert {name for name in back if name not in state} == {
        name.replace("running_mean", "num_batches_tracked") for name in state if "running_mean" in name
    }


@pytest.mark.parametrize(
    ("name", "first", "last", "classifier"),
    [
        ("hardnet_39ds", "base.3.layers.0.layer1.conv", "base.13.conv", "base.14.3"),
        ("hardnet_68ds", "base.3.layers.0.layer1.conv", "base.15.conv", "base.16.3"),
        ("hardnet_68", "base.3.layers.0.conv", "base.15.conv", "base.16.3"),
        ("hardnet_85", "base.3.layers.0.conv", "base.18.conv", "base.19.3"),
    ],
)
def test_hardnets_layers_are_numbered_as_by_its_authors(name, first, last, classifier):
    """Poolings count, and so does HarDNet-85's inner dropout."""
    names = lightcars.state_dict_for(create_model(name, device="meta"), "pingolh")
    shapes = {key: tuple(tensor.shape) for key, tensor in names.items()}
    config = MODELS[name].config
    assert shapes[f"{first}.weight"][1] == 2 * config.stem_channels
    assert shapes[f"{last}.weight"] == (config.head_channels, config.block_channels[-1], 1, 1)
    assert shapes[f"{classifier}.weight"] == (1000, config.head_channels)
    assert recognize(names) == "pingolh"


@pytest.mark.parametrize("name", ["squeezenext_100", "squeezenext_200v5"])
def test_squeezenext_goes_through_luuuyis_names(name, randomize_norms, tmp_path):
    model = randomize_norms(create_model(name, num_classes=5)).eval()
    theirs = lightcars.state_dict_for(model, "luuuyi")
    stem, first = theirs["conv1.weight"], theirs["stage1.0.shortcut.0.weight"]
    assert (stem.shape[2:], first.shape[:2]) == ((7, 7), (stem.shape[0] // 2, stem.shape[0]))
    assert theirs["stage4.0.conv3.weight"].shape[2:] == (1, 3)
    assert theirs["stage4.0.conv4.weight"].shape[2:] == (3, 1)
    torch.save(theirs, tmp_path / "theirs.pth")
    again = create_model(name, weights=tmp_path / "theirs.pth")
    assert again.origin.source == "luuuyi"
    assert again.config == model.config
    x = torch.randn(1, 3, 64, 48)
    torch.testing.assert_close(again(x), model(x))


@pytest.mark.parametrize(
    ("name", "theirs"), [("squeezenext_100", "sqnxt23_w1"), ("squeezenext_200v5", "sqnxt23v5_w2")]
)
def test_logits_are_pytorchcvs(name, theirs, randomize_norms, tmp_path):
    """Its average pooling takes one size of image only, and its stem is padded."""
    zoo = pytest.importorskip("pytorchcv.models.squeezenext")
    peer = randomize_norms(getattr(zoo, theirs)()).eval()
    torch.save(peer.state_dict(), tmp_path / "theirs.pth")
    ours = create_model(name, weights=tmp_path / "theirs.pth")
    assert (ours.origin.source, ours.config.stem_padding) == ("pytorchcv", 1)
    assert_same_logits(ours, peer, [(224, 224)])
    assert_goes_back(ours, peer, "pytorchcv")


def test_pytorchcvs_files_have_a_padded_stem(tmp_path):
    """Which no tensor shows."""
    for padding, library in ((1, "pytorchcv"), (0, "luuuyi")):
        model = create_model("squeezenext_100", width=0.25, stem_padding=padding, num_classes=5).eval()
        torch.save(lightcars.state_dict_for(model, library), tmp_path / "theirs.pth")
        again = create_model("squeezenext_100", width=0.25, weights=tmp_path / "theirs.pth")
        assert again.config == model.config
        assert (again.origin.source, again.config.stem_padding) == (library, padding)


@pytest.mark.parametrize(("groups", "megaflops"), SHUFFLENET_MEGAFLOPS.items())
def test_shufflenets_complexity_is_the_papers(groups, megaflops):
    """Which leaves the classifier out."""
    model = create_model(f"shufflenetv1_g{groups}", num_classes=0, device="meta")
    assert round(count_flops(model, 224) / 1e6) == megaflops


def test_a_stem_that_the_target_does_not_have_is_named(tmp_path):
    folder = lightcars.save(create_model("squeezenext_100", width=0.25, num_classes=3), tmp_path / "model")
    with pytest.warns(UserWarning, match="stem_padding 0 become 1 there"):
        convert_weights(str(folder), tmp_path / "theirs.pth", to="pytorchcv")
