"""GhostNet's layers under the names of Huawei's release, which are timm's, and of the 2020 thesis. No torch.

Sources: `ghostnet_pytorch/ghostnet.py` of Huawei's Efficient-AI-Backbones, `timm/models/ghostnet.py`, and
the golden tensors of the thesis's code. The official form exists under the first names only, the thesis
form under the second only.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.ghost_names import ghost_module, has_shortcut, official_layers
from lightcars.models.ghostnet.config import GhostNetConfig
from lightcars.models.tensor_names import Source, TensorNames, conv_unit


def _official(config: GhostNetConfig) -> Iterator[tuple[str, str]]:
    return official_layers(config)


def _thesis(config: GhostNetConfig) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "features.0.0", "features.0.1")
    for position, block in enumerate(config.blocks):
        ours, theirs = f"blocks.{position}", f"features.{position + 1}"
        yield from ghost_module(f"{ours}.expand", f"{theirs}.conv.0")
        if block.stride > 1:
            yield from conv_unit(f"{ours}.depthwise", f"{theirs}.conv.1.0", f"{theirs}.conv.1.1")
        if block.squeeze:
            yield f"{ours}.squeeze_excite.reduce", f"{theirs}.conv.2.fc.0"
            yield f"{ours}.squeeze_excite.expand", f"{theirs}.conv.2.fc.2"
        yield from ghost_module(f"{ours}.project", f"{theirs}.conv.3")
        if has_shortcut(config, position):
            yield from conv_unit(f"{ours}.shortcut.0", f"{theirs}.shortcut.0.0", f"{theirs}.shortcut.0.1")
            yield from conv_unit(f"{ours}.shortcut.1", f"{theirs}.shortcut.1", f"{theirs}.shortcut.2")
    yield from conv_unit("head", "squeeze.0", "squeeze.1")
    yield "neck.0", "classifier.0"
    yield "neck.1", "classifier.1"
    yield "classifier", "classifier.4"


NAMES = TensorNames(
    sources={
        "timm": Source(sign="conv_stem.weight", layers=_official),
        "huawei": Source(sign="conv_stem.weight", layers=_official),
        "thesis": Source(sign="features.1.conv.0.primary_conv.0.weight", layers=_thesis),
    },
    known=lambda config: ("thesis",) if config.form == "thesis" else ("timm", "huawei"),
    title=lambda config: f"GhostNet ({config.form} form)",
)
