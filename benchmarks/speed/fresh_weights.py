"""How do models with fresh weights start: their first logits, and the validation loss of the first epochs?

Sides: lightcars, timm and torchvision (EfficientNet only), each with the initial weights of its library.

Method: for each seed one training loop for all sides: AdamW (learning rate 1e-3), batches of 16, no
augmentation, dropout or stochastic depth, on synthetic images of cars of eight kinds (`draw_cars`), in
float32. After each epoch the loss on as many other images is computed in evaluation mode, whose batch norms
have seen few batches by then. Before the first epoch, the largest absolute logit of random images in
evaluation mode.

Reading: eight classes at chance have a loss of 2.08. The losses are medians over the seeds.

    python benchmarks/speed/fresh_weights.py --out benchmarks/results/fresh_weights.json
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

import lightcars
from lightcars.data.drawn_cars import SILHOUETTES, draw_cars

MODELS = ("ghostnet_050", "ghostnet_100", "ghostnet_130", "efficientnet_b0")
BATCH = 16
LEARNING_RATE = 1e-3
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build(side: str, name: str) -> nn.Module:
    """Return a library's model with fresh weights, for the synthetic images' classes."""
    num_classes = len(SILHOUETTES)
    if side == "lightcars":
        changes: dict[str, Any] = {"dropout": 0.0, "drop_path": 0.0}
        return lightcars.create_model(name, num_classes=num_classes, **changes)
    if side == "timm":
        theirs: nn.Module = timm.create_model(name, num_classes=num_classes, drop_rate=0.0)
    else:
        make = getattr(torchvision.models, name)
        theirs = make(num_classes=num_classes, dropout=0.0, stochastic_depth_prob=0.0)
    return theirs


def sides_of(name: str) -> list[str]:
    """Return the libraries that have the model."""
    return ["lightcars", "timm", *(["torchvision"] if hasattr(torchvision.models, name) else [])]


def tensors(folder: Path, resolution: int) -> tuple[Tensor, Tensor]:
    """Return all images of a folder of classes, (N, 3, resolution, resolution), and their labels, (N,)."""
    steps = [v2.Resize((resolution, resolution)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    dataset = ImageFolder(str(folder), v2.Compose([*steps, v2.Normalize(MEAN, STD)]))
    images, labels = zip(*dataset, strict=True)
    return torch.stack(images), torch.tensor(labels)


def first_logit(model: nn.Module, resolution: int) -> float:
    """Return the largest absolute logit of random images in evaluation mode."""
    with torch.no_grad():
        return float(model.eval()(torch.randn(4, 3, resolution, resolution)).abs().max())


def train(
    model: nn.Module, data: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], epochs: int
) -> list[float]:
    """Train a model and return its validation loss after each epoch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    losses = []
    for _ in range(epochs):
        model.train()
        for chosen in torch.randperm(len(data[0])).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(data[0][chosen]), data[1][chosen]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            losses.append(float(nn.functional.cross_entropy(model(val[0]), val[1])))
    return losses


def measure(name: str, data: dict[str, tuple[Tensor, Tensor]], seeds: int, epochs: int) -> dict[str, Any]:
    """Return each side's first logits and losses, medians over the seeds."""
    found: dict[str, Any] = {}
    for side in sides_of(name):
        logits, losses = [], []
        for seed in range(seeds):
            torch.manual_seed(seed)
            model = build(side, name)
            logits.append(first_logit(model, data["train"][0].shape[-1]))
            torch.manual_seed(seed)
            losses.append(train(model, data["train"], data["val"], epochs))
        found[side] = {
            "first_logit": float(f"{median(logits):.3g}"),
            "val_loss": [round(median(epoch), 3) for epoch in zip(*losses, strict=True)],
        }
        shown = " ".join(f"{loss:9.3f}" for loss in found[side]["val_loss"])
        print(f"{name:18} {side:12} {found[side]['first_logit']:9.3g} {shown}", flush=True)
    return found


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    options.add_argument("--images", type=int, default=80, help="of training, and as many of validation")
    options.add_argument("--resolution", type=int, default=96)
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--out", type=Path, help="JSON file")
    given = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        each = given.images // len(SILHOUETTES)
        drawn = draw_cars(Path(folder), train=each, val=each)
        data = {split: tensors(drawn / split, given.resolution) for split in ("train", "val")}
    print(f"{'model':18} {'side':12} {'logit':>9} validation loss after each epoch")
    results = {name: measure(name, data, given.seeds, given.epochs) for name in given.models}
    if given.out is not None:
        record = {
            "benchmark": "fresh_weights",
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": {"architecture": platform.machine()},
            "versions": {name: version(name) for name in ("torch", "torchvision", "timm")}
            | {"lightcars": lightcars.__version__},
            **{key: getattr(given, key) for key in ("images", "resolution", "epochs", "seeds")},
            "results": results,
        }
        given.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
