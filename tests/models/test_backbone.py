"""The backbone as a module: its maps, dilation, and other libraries' detectors on top of it."""

import copy
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops import FeaturePyramidNetwork

import lightcars
from lightcars import create_model, save
from lightcars.errors import ConfigError
from lightcars.layers import AttentiveGhostModule, BranchedConv, CeilMaxPool, Composite, ConvNormAct
from lightcars.models.backbone import Backbone
from lightcars.models.features import map_side
from lightcars.models.registry import find_model
from tests.contracts.models import every_model, quick


def small(name: str, **changes):
    config = find_model(name).config
    if hasattr(config, "depth"):
        changes = {"depth": 0.34, **changes}
    return create_model(name, width=config.width / 4, **changes)


each_family = pytest.mark.parametrize(
    "name", ["efficientnet_lite0", "ghostnet_100", "efficientnet_b0", "efficientnetv2_b0", "mobilenetv2_100"]
)


@every_model
@torch.no_grad()
def test_maps_are_those_of_the_model(variant):
    model = quick(variant).eval()
    backbone = model.backbone()
    x = torch.randn(2, 3, 75, 61)
    for ours, expected in zip(backbone(x), model.features(x), strict=True):
        assert torch.equal(ours, expected)
    assert backbone.feature_info == model.feature_info
    assert not backbone.training
    assert {child for child, _ in backbone.named_children()} == {"stem", "blocks"}


@every_model
def test_every_parameter_has_a_gradient(variant):
    """Which DistributedDataParallel asks for; the model's own features leave its head without."""
    for indices in [None, (0, 2), (-3, -1)]:
        backbone = quick(variant, features_only=True, out_indices=indices)
        sum(y.square().mean() for y in backbone(torch.randn(2, 3, 64, 64))).backward()
        assert all(parameter.grad is not None for parameter in backbone.parameters())


UNDILATABLE = (AttentiveGhostModule, BranchedConv, CeilMaxPool, Composite)


@every_model
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_info_describes_the_maps(variant, output_stride):
    """A family whose blocks cannot be dilated says so."""
    model = quick(variant, device="meta").eval()
    own = model.feature_info[-1].stride
    dilates = not any(isinstance(part, UNDILATABLE) for part in model.blocks.modules())
    if output_stride < own and not dilates:
        with pytest.raises(ConfigError, match=f"cannot be dilated; leave output_stride at {own}"):
            model.backbone(output_stride=output_stride)
        return
    backbone = model.backbone(output_stride=output_stride)
    maps = backbone(torch.empty(1, 3, 192, 128, device="meta"))
    for y, info, before in zip(maps, backbone.feature_info, model.feature_info, strict=True):
        assert y.shape[:2] == (1, info.channels)
        assert info.stride == min(before.stride, output_stride)
        if dilates:
            assert y.shape[2:] == (192 // info.stride, 128 // info.stride)
        else:
            assert y.shape[2:] == tuple(map_side(model.config, side, info) for side in (192, 128))


def without_squeeze(backbone: nn.Module) -> nn.Module:
    """The means of squeeze-and-excitation are over other pixels."""
    for path in [path for path, _ in backbone.named_modules()]:
        if path.endswith("squeeze_excite"):
            backbone.set_submodule(path, nn.Identity())
    return backbone


@each_family
@pytest.mark.parametrize("output_stride", [8, 16])
@torch.no_grad()
def test_dilated_maps_are_the_strided_ones_between_more_pixels(name, output_stride, randomize_norms):
    changes = {"padding": "symmetric"} if "efficientnet" in name else {}
    model = without_squeeze(randomize_norms(small(name, **changes))).double().eval()
    x = torch.randn(1, 3, 96, 64).double()
    dilated = model.backbone(output_stride=output_stride)(x)
    for ours, expected, info in zip(dilated, model.backbone()(x), model.feature_info, strict=True):
        step = max(1, info.stride // output_stride)
        assert ours.shape[2] == expected.shape[2] * step
        torch.testing.assert_close(ours[:, :, ::step, ::step], expected)


def test_the_model_stays_as_it_was():
    model = small("ghostnet_100")
    before = copy.deepcopy(model)
    backbone = model.backbone(output_stride=8)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.zero_()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True))
    strides = [
        [m.conv.stride for m in one.modules() if isinstance(m, ConvNormAct)] for one in (model, before)
    ]
    assert strides[0] == strides[1]


def test_weights_are_loaded(tmp_path):
    model = small("ghostnet_100", num_classes=5)
    folder = save(model, tmp_path)
    backbone = small("ghostnet_100", weights=folder, features_only=True, output_stride=16)
    assert isinstance(backbone, Backbone)
    assert not backbone.training
    expected = model.state_dict()
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, expected[name])
    left = set(model.state_dict()) - set(backbone.state_dict())
    assert {name.partition(".")[0] for name in left} == {"head", "neck", "classifier"}


def test_shorter_backbones_hold_no_further_blocks():
    whole, short = (small("ghostnet_100", features_only=True, out_indices=i) for i in (None, (0, 1)))
    assert len(short.blocks) < len(whole.blocks)
    assert len(short.blocks) == short.feature_info[-1].block + 1


@pytest.mark.parametrize("indices", [(), (5,), (-6,), (1, 0), (1, 1), (0, -5)])
def test_indices_that_do_not_exist(indices):
    with pytest.raises(
        ConfigError, match=r"^out_indices must be some of 0, 1, 2, 3, 4 in ascending order, not"
    ):
        small("ghostnet_100", features_only=True, out_indices=indices)


def test_settings_that_do_not_exist():
    with pytest.raises(ConfigError, match=r"^output_stride must be 8, 16 or 32, not 4\.$"):
        small("ghostnet_100").backbone(output_stride=4)
    for changes in ({"out_indices": (1,)}, {"output_stride": 16}):
        with pytest.raises(ConfigError, match=r"are for features_only=True\.$"):
            small("ghostnet_100", **changes)
    even = lightcars.models.ghostnet.config.GhostBlock(
        kernel_size=4, hidden_channels=16, channels=16, squeeze=False, stride=2
    )
    with pytest.raises(ConfigError, match="needs odd kernels"):
        create_model("ghostnet_100", blocks=(even,) * 4).backbone(output_stride=8)


def test_gradient_checkpointing_goes_with_it():
    model = small("ghostnet_100")
    model.gradient_checkpointing()
    assert model.backbone(out_indices=(1,)).blocks.recompute


@pytest.mark.parametrize("name", ["ghostnet_100", pytest.param("efficientnet_lite0", marks=pytest.mark.slow)])
def test_it_exports_and_compiles(name):
    backbone = small(name).eval().backbone(output_stride=16)
    x = torch.randn(1, 3, 64, 64)
    program = torch.export.export(backbone, (x,))
    torch.compiler.reset()
    compiled = torch.compile(backbone, backend="eager", fullgraph=True)
    for run in (program.module(), compiled):
        for ours, expected in zip(run(x), backbone(x), strict=True):
            torch.testing.assert_close(ours, expected)


# Detectors and segmentation


class WithPyramid(nn.Module):
    """What a user writes around a backbone for torchvision's detectors."""

    def __init__(self, backbone: Backbone, out_channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.fpn = FeaturePyramidNetwork([info.channels for info in backbone.feature_info], out_channels)
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = OrderedDict((str(level), y) for level, y in enumerate(self.backbone(x)))
        return self.fpn(maps)


def boxes() -> list[dict[str, Tensor]]:
    return [{"boxes": torch.tensor([[4.0, 4.0, 40.0, 40.0]]), "labels": torch.tensor([1])}] * 2


def trains_and_detects(detector: nn.Module, backbone: nn.Module) -> None:
    images = [torch.rand(3, 64, 64), torch.rand(3, 64, 48)]
    losses = detector(images, boxes())
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    with torch.no_grad():
        found = detector.eval()(images)
    assert [set(one) for one in found] == [{"boxes", "scores", "labels"}] * 2


@each_family
def test_torchvisions_retinanet(name):
    backbone = small(name, features_only=True, out_indices=(2, 3, 4))
    anchors = AnchorGenerator(((16,), (32,), (64,)), ((1.0,),) * 3)
    detector = RetinaNet(
        WithPyramid(backbone, 16), num_classes=2, anchor_generator=anchors, min_size=64, max_size=64
    )
    trains_and_detects(detector, backbone)


@each_family
def test_torchvisions_faster_rcnn(name):
    backbone = small(name, features_only=True, out_indices=(1, 2, 3))
    layers = {str(level): str(level) for level in range(3)}
    channels = [info.channels for info in backbone.feature_info]
    body = BackboneWithFPN(backbone.stages(), layers, channels, 16)
    anchors = AnchorGenerator(((16,), (32,), (64,), (96,)), ((1.0,),) * 4)
    detector = FasterRCNN(body, num_classes=2, rpn_anchor_generator=anchors, min_size=64, max_size=64)
    trains_and_detects(detector, backbone)


@each_family
@torch.no_grad()
def test_stages_are_the_backbone(name):
    backbone = small(name, features_only=True, out_indices=(1, 3, 4)).eval()
    y = x = torch.randn(1, 3, 64, 64)
    for stage, expected in zip(backbone.stages(), backbone(x), strict=True):
        y = stage(y)
        assert torch.equal(y, expected)


@each_family
def test_unet_of_segmentation_models(name, monkeypatch):
    """From the environment, or from the folder that LIGHTCARS_SMP names."""
    monkeypatch.setattr(sys, "path", [*sys.path, *segmentation_models_folder()])
    pytest.importorskip("segmentation_models_pytorch")
    from segmentation_models_pytorch.base import SegmentationHead
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

    backbone = small(name, features_only=True)
    channels = [3, *(info.channels for info in backbone.feature_info)]
    decoder = UnetDecoder(channels, (32, 16, 16, 8, 8), n_blocks=5)
    head = SegmentationHead(8, 2)
    x = torch.rand(2, 3, 64, 96)
    masks = head(decoder([x, *backbone(x)]))
    assert masks.shape == (2, 2, 64, 96)
    masks.square().mean().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def segmentation_models_folder() -> list[str]:
    import os

    folder = os.environ.get("LIGHTCARS_SMP")
    return [folder] if folder and Path(folder).is_dir() else []


# timm's names


@each_family
@torch.no_grad()
def test_what_timms_users_reach_for(name):
    model = small(name, num_classes=7).eval()
    x = torch.randn(2, 3, 64, 64)
    assert model.num_classes == 7
    assert model.forward_features(x).shape[1] == model.num_features
    assert model.forward_head(model.forward_features(x), pre_logits=True).shape[1] == model.head_hidden_size
    assert model.get_classifier() is model.classifier
    last, maps = model.forward_intermediates(x)
    assert torch.equal(last, model.forward_features(x))
    for ours, expected in zip(maps, model.features(x), strict=True):
        assert torch.equal(ours, expected)
    (alone,) = model.forward_intermediates(x, indices=1, intermediates_only=True)
    assert torch.equal(alone, maps[-1])
    assert len(model.forward_intermediates(x, indices=[0, -1], intermediates_only=True)) == 2
    with pytest.raises(ConfigError, match="indices must be some of the 5 maps"):
        model.forward_intermediates(x, indices=[7])
    model.reset_classifier(3, global_pool="avg")
    assert model(x).shape == (2, 3)
    with pytest.raises(ConfigError, match=r"global average pooling only, not 'max'"):
        model.reset_classifier(3, "max")


def test_timm_reads_the_preprocessing():
    data = pytest.importorskip("timm.data")
    model = lightcars.efficientnet("lite0", weights="imagenet")
    found = data.resolve_data_config({}, model=model)
    about = model.preprocessing
    assert found["input_size"] == (3, about.resolution, about.resolution)
    assert (found["mean"], found["std"]) == (about.mean, about.std)
    assert (found["interpolation"], found["crop_pct"]) == (about.interpolation, about.crop_fraction)
    assert model.default_cfg == model.pretrained_cfg
    plain = small("ghostnet_100").pretrained_cfg
    assert "mean" not in plain
