"""The same models from each library, with the same settings and, where asked, with the same weights."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness.calls import fit_batch_norms, synthetic_images
from benchmarks.harness.ratios import OURS

if TYPE_CHECKING:
    from torch import nn

EFFICIENTNETS = tuple(f"efficientnet_b{size}" for size in range(8))
GHOSTNETS = ("ghostnet_050", "ghostnet_100", "ghostnet_130")
HEART = ("efficientnet_b0", "ghostnet_100")
FURTHER = (
    "efficientnet_lite0",
    "mobilenetv3_large_100",
    "shufflenetv2_100",
    "ghostnetv3_100",
    "repghostnet_100",
)
OTHERS = (
    "mobilenetv1_100",
    "mobilenetv2_100",
    "mobilenetv4_conv_small",
    "mnasnet_100",
    "squeezenet_1_1",
    "ghostnetv2_100",
    "efficientnetv2_s",
)
"""What the tables of speed show in detail, further families beside them, and one of each other family."""
CLASSES = 1000


def peer_names(model: str) -> dict[str, str]:
    """Return the libraries that have a registered model -> its name there; torchvision first.

    timm's is one whose published weights need no other settings than the registered ones, or else our name.
    """
    from lightcars.models.registry import find_model
    from lightcars.weights.catalog import list_weights
    from lightcars.weights.convert.translate import sources

    found: dict[str, str] = {}
    for source in ("torchvision", "timm"):
        if source not in sources(find_model(model).config):
            continue
        entries = [entry for entry in list_weights(model) if entry.source == source]
        names = {_peer_name(entry.tag): not entry.settings for entry in entries}
        alike = [name for name, same in names.items() if same]
        if source == "torchvision" and names:
            found[source] = next(iter(names))
        elif source == "timm":
            found[source] = model if model in alike or not alike else alike[0]
    return found


def _peer_name(tag: str) -> str:
    return tag.partition("/")[2].partition(".")[0]


def sides_of(model: str) -> tuple[str, ...]:
    """Return the libraries that have the model: torchvision has no GhostNet."""
    return (OURS, *peer_names(model))


def eager_peer(model: str) -> str:
    """Return the library whose eager model is the baseline: torchvision, or timm where that lacks it."""
    return sides_of(model)[1]


def engine_peer(model: str) -> str:
    """Return the library whose model the peers' engines run: timm, or torchvision where that lacks it."""
    return sides_of(model)[-1]


def builder(side: str, model: str, num_classes: int = CLASSES) -> Callable[[], nn.Module]:
    """Return a function that builds the model with random weights. Its library is imported before.

    timm's models get the dropout and stochastic depth that the others have by default.
    """
    if side == OURS:
        from lightcars import create_model

        return lambda: create_model(model, num_classes=num_classes)
    name = peer_names(model)[side]
    if side == "torchvision":
        import torchvision

        build = getattr(torchvision.models, name)
        return lambda: build(weights=None, num_classes=num_classes)
    import timm

    rates = timm_rates(model)
    return lambda: timm.create_model(name, num_classes=num_classes, **rates)


def timm_rates(model: str) -> dict[str, float]:
    """Return the dropout and stochastic depth of the registered model as timm's arguments."""
    from lightcars.models.registry import find_model

    config: Any = find_model(model).config
    rates = {"drop_rate": config.dropout}
    if getattr(config, "drop_path", 0.0):
        rates["drop_path_rate"] = config.drop_path
    return rates


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

    from lightcars.weights.checkpoint import read_card

    tensors = load_file(folder / f"{side}.safetensors")
    built = builder(side, model, read_card(folder / OURS).config.num_classes)()
    built.load_state_dict(tensors)
    return built.eval()


def merged_branches(model: nn.Module) -> nn.Module:
    """Return timm's model in its form for deployment: branches that train in parallel are merged."""
    convert = getattr(model, "convert_to_deploy", None)
    if convert is not None:
        convert()
    return model


if __name__ == "__main__":
    write_weights(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
