"""What users of timm, smp, torchao, fvcore, torchinfo, Lightning and transformers do, in one environment.

Run with `pytest -m ecosystem tests/ecosystem`, in an environment that has them, or with the folders that
LIGHTCARS_ECOSYSTEM names (separated by colons) on the path. What is not installed is skipped.
"""

import importlib.metadata
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import lightcars

pytestmark = pytest.mark.ecosystem

FOLDERS = [folder for folder in os.environ.get("LIGHTCARS_ECOSYSTEM", "").split(":") if Path(folder).is_dir()]


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """Behind the environment's own, whose versions come first."""
    monkeypatch.setattr(sys, "path", [*sys.path, *FOLDERS])


def model(**changes):
    return lightcars.efficientnet("lite0", num_classes=3, width=0.25, depth=0.34, **changes)


def images(count: int = 4, size: int = 64) -> Tensor:
    return torch.randn(count, 3, size, size)


def test_timm_transforms_optimizers_average_and_head(tmp_path):
    timm = pytest.importorskip("timm")
    from timm.optim import create_optimizer_v2
    from timm.utils import ModelEmaV3

    network = lightcars.efficientnet("lite0", weights="imagenet", num_classes=3)
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=network))
    assert "Normalize" in str(transform)
    optimizer = create_optimizer_v2(network, opt="adamw", lr=1e-3, weight_decay=0.05)
    average = ModelEmaV3(network, decay=0.5)
    network.train()(images()).square().mean().backward()
    optimizer.step()
    average.update(network)
    torch.save({"state_dict_ema": average.module.state_dict(), "epoch": 1}, tmp_path / "last.pth.tar")
    again = lightcars.efficientnet("lite0", weights=tmp_path / "last.pth.tar", padding="same")
    for name, tensor in average.module.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_a_fine_tuned_file_of_timm(tmp_path):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("ghostnet_100", num_classes=3).eval()
    theirs.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 5)).eval()
    torch.save({"model": theirs.state_dict(), "best": 0.5}, tmp_path / "best.pth")
    with pytest.warns(UserWarning, match=r"takes classifier\.1 as the classifier"):
        ours = lightcars.ghostnet(weights=tmp_path / "best.pth")
    x = images()
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-4)


def test_smp_unet():
    pytest.importorskip("segmentation_models_pytorch")
    from segmentation_models_pytorch.base import SegmentationHead
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

    backbone = model().backbone()
    channels = [3, *(info.channels for info in backbone.feature_info)]
    decoder, head = UnetDecoder(channels, (32, 16, 16, 8, 8), n_blocks=5), SegmentationHead(8, 2)
    x = images(2)
    assert head(decoder([x, *backbone(x)])).shape == (2, 2, 64, 64)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_torchao_quantizes_weights():
    quantization = pytest.importorskip("torchao.quantization")
    network = lightcars.ghostnet(num_classes=3).eval()
    x = images(2)
    with torch.no_grad():
        expected = network(x)
        quantization.quantize_(network, quantization.Int8WeightOnlyConfig())
        assert "AffineQuantized" in str(type(network.classifier.weight)) or "Int8" in str(
            type(network.classifier.weight)
        )
        torch.testing.assert_close(network(x), expected, atol=0.1, rtol=0.1)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # fvcore's import
def test_fvcore_and_torchinfo_count_the_same():
    from fvcore.nn import FlopCountAnalysis

    network = model().eval()
    ours = lightcars.count_flops(network, 64)
    fvcore = (
        FlopCountAnalysis(network, images(1)).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    )
    layers = {name: count for name, count in fvcore.by_operator().items() if name in ("conv", "linear")}
    assert sum(layers.values()) == ours
    torchinfo = pytest.importorskip("torchinfo")
    found = torchinfo.summary(model().eval(), (1, 3, 64, 64), verbose=0)
    assert found.total_params == lightcars.count_params(network)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_lightning_trains_and_its_checkpoint_is_read(tmp_path):
    lightning = pytest.importorskip("lightning")

    class Classifier(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = model()
            self.criterion = nn.CrossEntropyLoss(weight=torch.ones(3))

        def training_step(self, batch, _):
            return self.criterion(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=1e-3)

    data = DataLoader(TensorDataset(images(8), torch.arange(8) % 3), batch_size=4)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False
    )
    trained = Classifier()
    trainer.fit(trained, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    with pytest.warns(UserWarning, match=r"ignores criterion\.weight"):
        again = lightcars.efficientnet(
            "lite0", weights=tmp_path / "last.ckpt", width=0.25, depth=0.34, padding="same"
        )
    for name, tensor in trained.net.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_transformers_is_installed_beside_it():
    """transformers 4 pins huggingface-hub below 1.0."""
    transformers = pytest.importorskip("transformers")
    hub = importlib.metadata.version("huggingface-hub")
    if transformers.__version__.startswith("4."):
        assert hub.startswith("0.")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32
    )
    vit = transformers.ViTModel(config)
    assert lightcars.count_params(vit) == sum(parameter.numel() for parameter in vit.parameters())
    assert lightcars.count_flops(vit, 32) > 0
