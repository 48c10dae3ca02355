"""All sides have the same weights, and outputs of the engines match the model's."""

import pytest
import torch
from torch import nn

from benchmarks.harness.calls import fit_batch_norms, inference, logits, synthetic_images
from benchmarks.harness.peer_engines import with_onnxruntime
from benchmarks.harness.peers import (
    FURTHER,
    HEART,
    eager_peer,
    engine_peer,
    merged_branches,
    peer_names,
    sides_of,
    with_weights,
    write_weights,
)
from benchmarks.harness.ratios import relative_difference
from lightcars import create_model, save


@pytest.mark.parametrize("model", [*HEART, *FURTHER])
def test_one_set_of_weights(model, tmp_path):
    ours = create_model(model, num_classes=7)
    fit_batch_norms(ours, synthetic_images(8, 64))
    save(ours.eval(), tmp_path / "source")
    write_weights(model, tmp_path, str(tmp_path / "source"))
    images = synthetic_images(2, 64)
    expected = logits(inference(ours, images))()
    assert len(expected) == 2 * 7
    for side in sides_of(model):
        if (model, side) == ("mobilenetv3_large_100", "torchvision"):
            continue  # its batch norms have another eps
        model_of_side = with_weights(side, model, tmp_path)
        assert not model_of_side.training
        assert relative_difference(logits(inference(model_of_side, images))(), expected) < 1e-5, side


def test_outputs_of_random_weights_differ_between_images(tmp_path):
    write_weights("ghostnet_050", tmp_path)
    first, second = with_weights("timm", "ghostnet_050", tmp_path)(synthetic_images(2, 64)).detach()
    assert (first - second).abs().max() > 0.01 * first.abs().max()


def test_which_library_is_the_baseline():
    assert eager_peer("efficientnet_b0") == "torchvision"
    assert eager_peer("ghostnet_100") == "timm"
    assert (eager_peer("mobilenetv3_large_100"), engine_peer("mobilenetv3_large_100")) == (
        "torchvision",
        "timm",
    )
    assert engine_peer("shufflenetv2_100") == "torchvision", "timm has none"


def test_a_peer_has_its_own_name():
    assert peer_names("efficientnet_lite0") == {"timm": "tf_efficientnet_lite0"}, "it pads as ours does"
    assert peer_names("shufflenetv2_100") == {"torchvision": "shufflenet_v2_x1_0"}
    assert peer_names("hardnet_39ds") == {}


def test_engines_get_merged_branches(tmp_path):
    write_weights("repghostnet_050", tmp_path)
    images = synthetic_images(2, 64)
    model = with_weights("timm", "repghostnet_050", tmp_path)
    before, expected = len(list(model.modules())), logits(inference(model, images))()
    merged = merged_branches(model)
    assert len(list(merged.modules())) < before
    assert relative_difference(logits(inference(merged, images))(), expected) < 1e-5


def test_images_are_the_same_at_each_call():
    torch.manual_seed(5)
    assert torch.equal(synthetic_images(2, 32), synthetic_images(2, 32))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_outputs_of_onnx_runtime_match_and_its_file_is_kept(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    images = synthetic_images(2, 8)
    expected = logits(inference(model, images))()
    task = {"weights": str(tmp_path), "batch": 2, "threads": 1}
    assert relative_difference(logits(with_onnxruntime(model, images, task))(), expected) < 1e-5
    assert (tmp_path / "batch2" / "timm.onnx").exists()
    again = with_onnxruntime(nn.Identity(), images, task)
    assert relative_difference(logits(again)(), expected) < 1e-5
