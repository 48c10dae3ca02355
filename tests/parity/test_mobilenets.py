"""MobileNets and MNASNet give the logits and names of torchvision's and timm's models.

Their weights go there and back through `names.py`. Weights and batch norms are random; images are small, and
of the models' own size where a test is slow.
"""

from functools import cache

import pytest
import torch
from torch import Tensor, nn

import lightcars
from lightcars.models.image_model import ImageModel
from lightcars.weights.convert.translate import recognize, to_lightcars
from lightcars.zoo import create_model

NATIVE = {"padding": "symmetric", "batch_norm_eps": 1e-5}
TENSORFLOW = {"padding": "same", "batch_norm_eps": 1e-3}
PEERS = [
    ("mobilenetv1_100", {}, "timm", "mobilenetv1_100", {}),
    ("mobilenetv1_100", {"width": 1.25}, "timm", "mobilenetv1_125", {}),
    ("mobilenetv2_100", {}, "timm", "mobilenetv2_100", {}),
    ("mobilenetv2_100", {}, "torchvision", "mobilenet_v2", {}),
    ("mobilenetv2_100", {"width": 0.5}, "timm", "mobilenetv2_050", {}),
    ("mobilenetv2_100", {"width": 1.4}, "torchvision", "mobilenet_v2", {"width_mult": 1.4}),
    ("mobilenetv3_small_100", NATIVE, "timm", "mobilenetv3_small_100", {}),
    ("mobilenetv3_large_100", NATIVE, "timm", "mobilenetv3_large_100", {}),
    ("mobilenetv3_small_100", TENSORFLOW, "timm", "tf_mobilenetv3_small_100", {}),
    ("mobilenetv3_large_100", TENSORFLOW, "timm", "tf_mobilenetv3_large_100", {}),
    ("mobilenetv3_small_100", {}, "torchvision", "mobilenet_v3_small", {}),
    ("mobilenetv3_large_100", {}, "torchvision", "mobilenet_v3_large", {}),
    (
        "mobilenetv3_large_100",
        {"width": 0.75, "out_channels": 960},
        "torchvision",
        "mobilenet_v3_large",
        {"width_mult": 0.75},
    ),
    ("mobilenetv4_conv_small", {}, "timm", "mobilenetv4_conv_small", {}),
    ("mobilenetv4_conv_small", {"width": 0.5}, "timm", "mobilenetv4_conv_small_050", {}),
    ("mobilenetv4_conv_medium", {}, "timm", "mobilenetv4_conv_medium", {}),
    ("mnasnet_100", {}, "timm", "mnasnet_100", {}),
    ("mnasnet_100", {}, "torchvision", "mnasnet1_0", {}),
    ("mnasnet_100", {"width": 0.5}, "timm", "mnasnet_050", {}),
    ("mnasnet_100", {"width": 1.3}, "torchvision", "mnasnet1_3", {}),
]
"""Our model and its settings; the library, its name there and its settings there."""

each_peer = pytest.mark.parametrize(
    ("name", "changes", "library", "theirs", "settings"),
    PEERS,
    ids=[f"{library}-{theirs}-{changes.get('width', 1.0)}" for _, changes, library, theirs, _ in PEERS],
)

NAMES = [
    "mobilenetv1_100",
    "mobilenetv2_100",
    "mobilenetv3_small_100",
    "mobilenetv3_large_100",
    "mnasnet_100",
    "mobilenetv4_conv_small",
    "mobilenetv4_conv_medium",
]


def build(library: str, name: str, **settings) -> nn.Module:
    if library == "timm":
        import timm

        return timm.create_model(name, pretrained=False, **settings)
    import torchvision

    return torchvision.models.get_model(name, weights=None, **settings)


@cache
def peer_tensors(library: str, name: str, settings: tuple[tuple[str, float], ...]) -> dict[str, Tensor]:
    """On the meta device."""
    with torch.device("meta"):
        return build(library, name, **dict(settings)).state_dict()


def described(tensors: dict[str, Tensor]) -> list[tuple[str, tuple[int, ...], torch.dtype]]:
    """Names, shapes and kinds, in order."""
    return [(name, tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()]


@each_peer
def test_names_and_shapes_are_the_peers(name, changes, library, theirs, settings):
    ours = create_model(name, device="meta", **changes)
    peer = peer_tensors(library, theirs, tuple(settings.items()))
    assert described(lightcars.state_dict_for(ours, library)) == described(peer)
    assert recognize(peer) == library
    assert described(to_lightcars(peer, ours.config, library)) == described(ours.state_dict())


def assert_same_logits(ours: ImageModel, theirs: nn.Module, sizes: list[tuple[int, int]]) -> None:
    for height, width in sizes:
        x = torch.randn(2, ours.config.img_channels, height, width)
        with torch.inference_mode():
            expected, y = theirs(x), ours(x)
        scale = expected.abs().max()
        assert scale > 1e-2
        assert (y - expected).abs().max() < 1e-5 * scale


@each_peer
def test_logits_are_the_peers(name, changes, library, theirs, settings, randomize_norms, tmp_path):
    peer = randomize_norms(build(library, theirs, **settings)).eval()
    torch.save(peer.state_dict(), tmp_path / "theirs.pth")
    ours = create_model(name, weights=tmp_path / "theirs.pth", **changes)
    assert ours.origin.source == library
    assert_same_logits(ours, peer, [(64, 64), (67, 91)])
    back = lightcars.state_dict_for(ours, library)
    assert all(torch.equal(back[key], tensor) for key, tensor in peer.state_dict().items())


@pytest.mark.slow
@each_peer
def test_logits_at_the_models_size(name, changes, library, theirs, settings, randomize_norms, tmp_path):
    peer = randomize_norms(build(library, theirs, **settings)).eval()
    torch.save(peer.state_dict(), tmp_path / "theirs.pth")
    ours = create_model(name, weights=tmp_path / "theirs.pth", **changes)
    assert_same_logits(ours, peer, [(ours.config.resolution,) * 2, (193, 257)])


@pytest.mark.parametrize("name", NAMES)
def test_fresh_maps_neither_vanish_nor_explode(name):
    """In evaluation mode, where new batch norms are the identity."""
    torch.manual_seed(0)
    model = create_model(name).eval()
    with torch.inference_mode():
        last = model.forward_features(torch.randn(2, 3, 128, 128))
    assert 0.01 < last.square().mean().sqrt() < 100
