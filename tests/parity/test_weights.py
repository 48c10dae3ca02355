"""Checkpoints of every source give the logits of their own library here, and can go back there.

No host of weights is needed: each library's model gets random weights and batch norm statistics, is saved
as it would be published, and loaded.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import lightcars
from lightcars.models.image_model import ImageModel
from lightcars.zoo import create_model
from tests.contracts.models import every_model

LARGE = ("b2", "b3", "b4", "b5", "b6", "b7")
VARIANTS = [pytest.param(f"b{n}", marks=[pytest.mark.slow] if f"b{n}" in LARGE else []) for n in range(8)]
SIZES = [None, (227, 227), (193, 257)]
"""The model's own, and two that are no multiples of 32."""

TOLERANCE = 1e-5


@pytest.fixture
def randomize_norms() -> Callable[[nn.Module], nn.Module]:
    """Gives every batch norm weights and statistics of its own, near the identity's.

    With wide ones a deep network of random weights blows up the rounding of the last bit a thousandfold, and
    a mapped file's tensors, which lie elsewhere in memory, do round otherwise.
    """

    def randomize(model: nn.Module) -> nn.Module:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.8, 1.2)
                nn.init.uniform_(module.bias, -0.2, 0.2)
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.8, 1.2)
        return model

    return randomize


def write_as_timm(model: nn.Module, architecture: str, folder: Path) -> Path:
    """A folder as timm's on the Hub, in its own short style."""
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {k: v for k, v in model.pretrained_cfg.items() if k in {"input_size", "crop_pct", "mean", "std"}}
    content = {"architecture": architecture, "num_classes": 1000, "pretrained_cfg": config}
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def write_pth(model: nn.Module, path: Path) -> Path:
    torch.save(model.state_dict(), path)
    return path


def assert_same_logits(ours: ImageModel, theirs: Callable[[tuple[int, int]], nn.Module]) -> float:
    """The largest difference, relative to the largest logit, over all sizes."""
    worst = 0.0
    for size in SIZES:
        height, width = size or (ours.config.resolution, ours.config.resolution)
        x = torch.randn(1, ours.config.img_channels, height, width)
        with torch.inference_mode():
            expected, y = theirs((height, width))(x), ours(x)
        scale = expected.abs().max().item()
        assert scale > 1e-2
        worst = max(worst, (y - expected).abs().max().item() / scale)
    print(f"largest difference: {worst:.1e}")  # noqa: T201 - shown by pytest -rP
    assert worst < TOLERANCE
    return worst


def assert_goes_back(ours: ImageModel, theirs: nn.Module, target: str) -> None:
    """Under the names of `target` our tensors are theirs again, to the bit."""
    back = lightcars.state_dict_for(ours, target)
    wanted = theirs.state_dict()
    assert back.keys() == wanted.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in wanted.items())
    theirs.load_state_dict(back, strict=True)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("form", ["", "tf_"])
def test_timm_efficientnet(variant, form, randomize_norms, tmp_path):
    timm = pytest.importorskip("timm")
    theirs = randomize_norms(timm.create_model(f"{form}efficientnet_{variant}")).eval()
    folder = write_as_timm(theirs, f"{form}efficientnet_{variant}", tmp_path / "timm")
    ours = create_model(f"efficientnet_{variant}", weights=folder)
    assert ours.config.padding == ("same" if form else "symmetric")
    assert_same_logits(ours, lambda size: theirs)
    assert_goes_back(ours, theirs, "timm")


@pytest.mark.parametrize("variant", ["050", "100", "130"])
@pytest.mark.parametrize("source", ["timm", "huawei"])
def test_ghostnet(variant, source, randomize_norms, tmp_path):
    timm = pytest.importorskip("timm")
    theirs = randomize_norms(timm.create_model(f"ghostnet_{variant}")).eval()
    if source == "timm":
        path = write_as_timm(theirs, f"ghostnet_{variant}", tmp_path / "timm")
    else:  # Huawei's release has the same names, in a PyTorch file
        path = write_pth(theirs, tmp_path / "state_dict.pth")
    ours = create_model(f"ghostnet_{variant}", weights=path)
    assert_same_logits(ours, lambda size: theirs)
    assert_goes_back(ours, theirs, source)


@pytest.mark.parametrize("variant", VARIANTS)
def test_torchvision(variant, randomize_norms, tmp_path):
    import torchvision

    theirs = randomize_norms(torchvision.models.get_model(f"efficientnet_{variant}", weights=None)).eval()
    ours = create_model(f"efficientnet_{variant}", weights=write_pth(theirs, tmp_path / "torchvision.pth"))
    assert ours.config.batch_norm_eps == (1e-3 if variant in {"b5", "b6", "b7"} else 1e-5)
    assert_same_logits(ours, lambda size: theirs)
    assert_goes_back(ours, theirs, "torchvision")


@pytest.mark.parametrize("variant", VARIANTS)
def test_lukemelas(variant, randomize_norms, tmp_path):
    package = pytest.importorskip("efficientnet_pytorch")
    name = f"efficientnet-{variant}"
    theirs = randomize_norms(package.EfficientNet.from_name(name)).eval()
    ours = create_model(f"efficientnet_{variant}", weights=write_pth(theirs, tmp_path / f"{name}.pth"))

    def for_size(size: tuple[int, int]) -> nn.Module:
        """Its padding is computed once from the size given here."""
        made = package.EfficientNet.from_name(name, image_size=size)
        made.load_state_dict(theirs.state_dict())
        return made.eval()

    assert_same_logits(ours, for_size)
    assert_goes_back(ours, theirs, "lukemelas")


@pytest.mark.parametrize("img_channels", [1, 4])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("efficientnet_b0", "efficientnet_b0"),
        ("efficientnet_b0", "tf_efficientnet_b0"),
        ("ghostnet_100", "ghostnet_100"),
    ],
)
def test_other_image_channels(name, theirs, img_channels, randomize_norms, tmp_path):
    """Of a checkpoint that was made with them, and without being told."""
    timm = pytest.importorskip("timm")
    peer = randomize_norms(timm.create_model(theirs, in_chans=img_channels, num_classes=7)).eval()
    ours = create_model(name, weights=write_as_timm(peer, theirs, tmp_path / "timm"))
    assert (ours.config.img_channels, ours.config.num_classes) == (img_channels, 7)
    assert_same_logits(ours, lambda size: peer)


@pytest.mark.parametrize("img_channels", [1, 4])
def test_other_image_channels_of_torchvision(img_channels, randomize_norms, tmp_path):
    """It has no setting for them: people put another first convolution in."""
    import torchvision

    theirs = torchvision.models.efficientnet_b0(num_classes=7)
    theirs.features[0][0] = nn.Conv2d(img_channels, 32, 3, 2, 1, bias=False)
    theirs = randomize_norms(theirs).eval()
    ours = create_model("efficientnet_b0", weights=write_pth(theirs, tmp_path / "other.pth"))
    assert (ours.config.img_channels, ours.config.num_classes) == (img_channels, 7)
    assert_same_logits(ours, lambda size: theirs)


@pytest.mark.parametrize("img_channels", [1, 4])
def test_other_image_channels_of_lukemelas(img_channels, randomize_norms, tmp_path):
    package = pytest.importorskip("efficientnet_pytorch")
    settings = {"in_channels": img_channels, "num_classes": 196}
    theirs = randomize_norms(package.EfficientNet.from_name("efficientnet-b0", **settings)).eval()
    ours = create_model("efficientnet_b0", weights=write_pth(theirs, tmp_path / "other.pth"))

    def for_size(size: tuple[int, int]) -> nn.Module:
        made = package.EfficientNet.from_name("efficientnet-b0", image_size=size, **settings)
        made.load_state_dict(theirs.state_dict())
        return made.eval()

    assert_same_logits(ours, for_size)


@pytest.mark.parametrize("width", [0.5, 1.0])
@pytest.mark.parametrize("img_channels", [1, 3])
def test_thesis_form_goes_there_and_back(width, img_channels, randomize_norms, tmp_path):
    """The thesis's own logits are in the golden tensors; here its names are read from a file."""
    settings = {"width": width, "img_channels": img_channels, "num_classes": 196, "out_channels": 320}
    model = randomize_norms(create_model("ghostnet_thesis", **settings)).eval()
    torch.save({"model": lightcars.state_dict_for(model, "thesis")}, tmp_path / "thesis.pth")
    again = create_model("ghostnet_thesis", weights=tmp_path / "thesis.pth", width=width)
    assert again.config == model.config
    for size in ((224, 224), (227, 227), (193, 257)):
        x = torch.randn(1, img_channels, *size)
        with torch.inference_mode():
            assert torch.equal(again(x), model(x))


@pytest.mark.parametrize(("file", "img_channels"), [("rgb", 3), ("gray", 1)])
def test_golden_tensors_of_the_thesis_load_as_a_file(reference, file, img_channels, tmp_path):
    from safetensors.torch import load_file

    golden = load_file(reference / "golden" / f"thesis_ghostnet_w025_{file}.safetensors")
    state = {k.removeprefix("state."): v for k, v in golden.items() if k.startswith("state.")}
    save_file(state, tmp_path / "thesis.safetensors")
    model = lightcars.ghostnet("thesis", weights=tmp_path / "thesis.safetensors", width=0.25)
    assert (model.config.img_channels, model.config.num_classes) == (img_channels, 10)
    with torch.inference_mode():
        assert (model(golden["input"]) - golden["logits"]).abs().max() < 1e-5


@every_model
def test_a_lightcars_folder(variant, randomize_norms, tmp_path):
    """Small, of every registered model: shapes differ, code does not."""
    name = variant
    small = {"width": 0.25, "num_classes": 5}
    model = randomize_norms(create_model(name, **small)).eval()
    lightcars.save(model, tmp_path / "folder")
    again = create_model(name, weights=tmp_path / "folder", width=0.25)
    assert again.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(again.buffers(), model.buffers(), strict=True))
