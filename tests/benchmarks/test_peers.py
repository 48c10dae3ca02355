"""All sides have the same weights, and engines answer as the model does."""

import pytest
import torch
from torch import nn

from calls import inference, logits, made_images
from lightcars import create_model, save
from peer_engines import with_onnxruntime
from peers import eager_peer, sides_of, with_weights, write_weights
from ratios import relative_difference


@pytest.mark.parametrize("model", ["efficientnet_b0", "ghostnet_100"])
def test_one_set_of_weights(model, tmp_path, randomize_norms):
    ours = randomize_norms(create_model(model, num_classes=7)).eval()
    save(ours, tmp_path / "source")
    write_weights(model, tmp_path, str(tmp_path / "source"))
    images = made_images(2, 64)
    expected = logits(inference(ours, images))()
    assert len(expected) == 2 * 7
    for side in sides_of(model):
        made = with_weights(side, model, tmp_path)
        assert not made.training
        assert relative_difference(logits(inference(made, images))(), expected) < 1e-5, side


def test_fresh_weights_give_answers_that_differ_between_images(tmp_path):
    write_weights("ghostnet_050", tmp_path)
    first, second = with_weights("timm", "ghostnet_050", tmp_path)(made_images(2, 64)).detach()
    assert (first - second).abs().max() > 0.01 * first.abs().max()


def test_whose_eager_model_is_the_measure():
    assert eager_peer("efficientnet_b0") == "torchvision"
    assert eager_peer("ghostnet_100") == "timm"


def test_images_are_the_same_at_each_call():
    torch.manual_seed(5)
    assert torch.equal(made_images(2, 32), made_images(2, 32))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_onnx_runtime_answers_as_the_model_and_its_file_is_kept(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    images = made_images(2, 8)
    expected = logits(inference(model, images))()
    task = {"weights": str(tmp_path), "batch": 2, "threads": 1}
    assert relative_difference(logits(with_onnxruntime(model, images, task))(), expected) < 1e-5
    assert (tmp_path / "batch2" / "timm.onnx").exists()
    again = with_onnxruntime(nn.Identity(), images, task)
    assert relative_difference(logits(again)(), expected) < 1e-5
