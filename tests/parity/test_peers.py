"""With another library's weights, our models give its logits."""

import pytest
import torch
from torch import nn

from lightcars.models.image_model import ImageModel
from lightcars.models.merging import reparameterize
from lightcars.weights.convert.export import state_dict_for
from lightcars.zoo import create_model

SIZES = [(64, 64), (67, 71)]


def copy_by_order(ours: ImageModel, theirs: nn.Module) -> None:
    """All register the same layers in the same order, only under other names."""
    pairs = list(zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True))
    for (our_name, our_tensor), (their_name, their_tensor) in pairs:
        assert our_name.rpartition(".")[2] == their_name.rpartition(".")[2], (our_name, their_name)
        assert our_tensor.shape == their_tensor.shape, (our_name, their_name)
    ours.load_state_dict({our_name: tensor for (our_name, _), (_, tensor) in pairs})


def assert_same_logits(ours: ImageModel, theirs: nn.Module) -> None:
    ours.eval()
    theirs.eval()
    copy_by_order(ours, theirs)
    for height, width in SIZES:
        x = torch.randn(2, ours.config.img_channels, height, width)
        with torch.no_grad():
            expected, y = theirs(x), ours(x)
        scale = expected.abs().max()
        assert scale > 1e-2
        assert (y - expected).abs().max() < 1e-5 * scale


@pytest.mark.parametrize("variant", ["b0", "b1", pytest.param("b5", marks=pytest.mark.slow)])
def test_torchvision_efficientnet(variant, randomize_norms):
    import torchvision

    theirs = randomize_norms(torchvision.models.get_model(f"efficientnet_{variant}", weights=None))
    constants = {"batch_norm_eps": 1e-3, "batch_norm_momentum": 0.01} if variant == "b5" else {}
    assert_same_logits(create_model(f"efficientnet_{variant}", **constants), theirs)


@pytest.mark.parametrize("variant", ["s", pytest.param("l", marks=pytest.mark.slow)])
def test_torchvision_efficientnetv2(variant, randomize_norms):
    import torchvision

    theirs = randomize_norms(torchvision.models.get_model(f"efficientnet_v2_{variant}", weights=None))
    assert_same_logits(create_model(f"efficientnetv2_{variant}", batch_norm_eps=1e-3), theirs)


@pytest.mark.parametrize(
    ("name", "theirs", "changes"),
    [
        ("efficientnet_b0", "efficientnet_b0", {}),
        ("efficientnet_b0", "tf_efficientnet_b0", {"padding": "same", "batch_norm_eps": 1e-3}),
        ("efficientnet_b0", "efficientnet_b0", {"num_classes": 10, "img_channels": 1}),
        ("efficientnet_lite0", "tf_efficientnet_lite0", {}),
        ("efficientnet_lite1", "tf_efficientnet_lite1", {"num_classes": 10, "img_channels": 1}),
        (
            "efficientnet_lite0",
            "efficientnet_lite0",
            {"padding": "symmetric", "batch_norm_eps": 1e-5, "batch_norm_momentum": 0.1},
        ),
        ("ghostnet_100", "ghostnet_100", {}),
        ("ghostnet_050", "ghostnet_050", {}),
        ("ghostnet_130", "ghostnet_130", {"num_classes": 10, "img_channels": 1}),
        ("efficientnetv2_b0", "tf_efficientnetv2_b0", {"padding": "same", "batch_norm_eps": 1e-3}),
        ("efficientnetv2_b3", "tf_efficientnetv2_b3", {"padding": "same", "batch_norm_eps": 1e-3}),
        ("ghostnetv2_100", "ghostnetv2_100", {"num_classes": 10, "img_channels": 1}),
        pytest.param("efficientnet_b4", "efficientnet_b4", {}, marks=pytest.mark.slow),
        pytest.param("efficientnetv2_m", "efficientnetv2_m", {}, marks=pytest.mark.slow),
    ],
)
def test_timm(name, theirs, changes, randomize_norms):
    import timm

    renamed = {"num_classes": changes.get("num_classes", 1000), "in_chans": changes.get("img_channels", 3)}
    peer = randomize_norms(timm.create_model(theirs, pretrained=False, **renamed))
    assert_same_logits(create_model(name, **changes), peer)


def test_tensorflows_padding_and_eps_matter(randomize_norms):
    """Were the settings without effect, the test above would pass for the wrong reason."""
    import timm

    theirs = randomize_norms(timm.create_model("tf_efficientnet_b0", pretrained=False)).eval()
    x = torch.randn(1, 3, 64, 64)
    for changes in ({"padding": "same"}, {"batch_norm_eps": 1e-3}):
        ours = create_model("efficientnet_b0", **changes).eval()
        copy_by_order(ours, theirs)
        with torch.no_grad():
            expected = theirs(x)
            assert (ours(x) - expected).abs().max() > 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", ["ghostnetv3_050", "repghostnet_058"])
@torch.no_grad()
def test_timm_with_parallel_branches(name, randomize_norms, tmp_path):
    """In both forms; the names in timm's merged form are ours, too."""
    import timm
    from timm.utils.model import reparameterize_model

    theirs = randomize_norms(timm.create_model(name, pretrained=False)).eval()
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    ours = create_model(name, weights=tmp_path / "theirs.pth")
    merged, their_merged = reparameterize(ours), reparameterize_model(theirs)
    assert state_dict_for(merged, "timm").keys() == their_merged.state_dict().keys()
    for size in SIZES:
        x = torch.randn(2, 3, *size)
        expected = theirs(x)
        for y in (ours(x), merged(x), their_merged(x)):
            assert (y - expected).abs().max() < 1e-5 * expected.abs().max()
