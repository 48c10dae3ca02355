"""The thesis form of GhostNet gives the logits that the thesis's own code gave."""

import json
import re

import pytest
import torch
from safetensors import safe_open

from lightcars.zoo import ghostnet

LAYER = {"0": "conv", "1": "norm"}
"""Position in the thesis's (convolution, norm, activation) sequences -> name of ours."""


def our_name(name: str) -> str:
    """The thesis's name of a tensor -> ours."""
    blocks = r"features\.(\d+)\."
    patterns = [
        (r"features\.0\.([01])\.", lambda m: f"stem.{LAYER[m[1]]}."),
        (
            blocks + r"conv\.([03])\.(primary|cheap)_(?:conv|operation)\.([01])\.",
            lambda m: f"{block(m[1])}.{ {'0': 'expand', '3': 'project'}[m[2]] }.{m[3]}.{LAYER[m[4]]}.",
        ),
        (blocks + r"conv\.1\.([01])\.", lambda m: f"{block(m[1])}.depthwise.{LAYER[m[2]]}."),
        (
            blocks + r"conv\.2\.fc\.([02])\.",
            lambda m: f"{block(m[1])}.squeeze_excite.{ {'0': 'reduce', '2': 'expand'}[m[2]] }.",
        ),
        (blocks + r"shortcut\.0\.([01])\.", lambda m: f"{block(m[1])}.shortcut.0.{LAYER[m[2]]}."),
        (
            blocks + r"shortcut\.([12])\.",
            lambda m: f"{block(m[1])}.shortcut.1.{ {'1': 'conv', '2': 'norm'}[m[2]] }.",
        ),
        (r"squeeze\.([01])\.", lambda m: f"head.{LAYER[m[1]]}."),
        (r"classifier\.([01])\.", lambda m: f"neck.{m[1]}."),
        (r"classifier\.4\.", lambda m: "classifier."),
    ]
    for pattern, replacement in patterns:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name)
    raise AssertionError(f"no name of ours for {name}")


def block(position: str) -> str:
    return f"blocks.{int(position) - 1}"


@pytest.mark.parametrize(("file", "img_channels"), [("rgb", 3), ("gray", 1)])
def test_logits_of_the_thesis(reference, file, img_channels):
    path = reference / "golden" / f"thesis_ghostnet_w025_{file}.safetensors"
    with safe_open(path, "pt") as golden:
        tensors = {name: golden.get_tensor(name) for name in golden.keys()}  # noqa: SIM118
        settings = json.loads(golden.metadata()["config"])
    assert settings["img_channels"] == img_channels
    settings["width"] = settings.pop("width_mult")
    model = ghostnet("thesis", **settings).eval()
    state = {
        our_name(name.removeprefix("state.")): tensor
        for name, tensor in tensors.items()
        if name.startswith("state.")
    }
    assert len(state) == len(tensors) - 2
    counters = {name: t for name, t in model.state_dict().items() if name.endswith("num_batches_tracked")}
    model.load_state_dict({**state, **counters}, strict=True)
    with torch.no_grad():
        difference = (model(tensors["input"]) - tensors["logits"]).abs().max().item()
    assert tensors["logits"].abs().max() > 0.1, "not all zero"
    assert difference < 1e-5
