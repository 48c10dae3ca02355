"""The same models from each library, with the same settings and, where asked, with the same weights."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness.calls import fit_batch_norms, synthetic_images
from benchmarks.harness.ratios import OURS

if TYPE_CHECKING:
    from torch import nn

EFFICIENTNETS = tuple(f"efficientnet_b{size}" for size in range(8))
GHOSTNETS = ("ghostnet_050", "ghostnet_100", "ghostnet_130")
CLASSES = 1000


def sides_of(model: str) -> tuple[str, ...]:
    """Return the libraries that have the model: torchvision has no GhostNet."""
    return (OURS, "torchvision", "timm") if model in EFFICIENTNETS else (OURS, "timm")


def eager_peer(model: str) -> str:
    """Return the library whose eager model is the baseline: torchvision, or timm for GhostNets."""
    return sides_of(model)[1]


def builder(side: str, model: str, num_classes: int = CLASSES) -> Callable[[], nn.Module]:
    """Return a function that builds the model with random weights. Its library is imported before.

    timm's EfficientNets get the dropout and stochastic depth that the others have by default.
    """
    if side == OURS:
        from lightcars import create_model

        return lambda: create_model(model, num_classes=num_classes)
    if side == "torchvision":
        import torchvision

        build = getattr(torchvision.models, model)
        return lambda: build(weights=None, num_classes=num_classes)
    import timm

    if model in GHOSTNETS:
        return lambda: timm.create_model(model, num_classes=num_classes)
    dropout = _dropout(model)
    return lambda: timm.create_model(model, num_classes=num_classes, drop_rate=dropout, drop_path_rate=0.2)


def _dropout(model: str) -> float:
    from lightcars.models.efficientnet.config import VARIANTS

    return VARIANTS[model.removeprefix("efficientnet_")].config.dropout


def add_weights_option(options: argparse.ArgumentParser) -> None:
    """Add `--weights MODEL=FOLDER ...`, a list of pairs."""
    options.add_argument("--weights", nargs="+", type=_pair, default=[], metavar="MODEL=FOLDER")


def _pair(text: str) -> tuple[str, str]:
    name, _, folder = text.partition("=")
    return name, folder


def prepare_weights(model: str, folder: Path, source: str | None = None) -> None:
    """Run `write_weights` in a separate process."""
    named = [] if source is None else [source]
    subprocess.run([sys.executable, "-m", __name__, model, str(folder), *named], check=True)


def write_weights(model: str, folder: Path, source: str | None = None) -> None:
    """Write one set of weights in each library's format, for `with_weights`.

    Args:
        model: its name in the registry.
        folder: receives a file or folder for each library.
        source: a folder of `lightcars.save`; None means random weights, with batch norm statistics that
            match them.
    """
    import torch
    from safetensors.torch import save_file

    import lightcars

    torch.manual_seed(0)
    built = lightcars.load(source) if source else lightcars.create_model(model)
    if source is None:
        fit_batch_norms(built, synthetic_images(8, 224))
    lightcars.save(built.eval(), folder / OURS)
    for side in sides_of(model)[1:]:
        save_file(lightcars.state_dict_for(built, side), folder / f"{side}.safetensors")


def with_weights(side: str, model: str, folder: Path) -> nn.Module:
    """Return a library's model in evaluation mode, with the weights that `write_weights` wrote."""
    if side == OURS:
        import lightcars

        return lightcars.load(folder / OURS).eval()
    from safetensors.torch import load_file

    tensors = load_file(folder / f"{side}.safetensors")
    biases = (tensor for name, tensor in tensors.items() if name in ("classifier.bias", "classifier.1.bias"))
    built = builder(side, model, len(next(biases)))()
    built.load_state_dict(tensors)
    return built.eval()


if __name__ == "__main__":
    write_weights(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
