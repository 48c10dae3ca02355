"""Parameters and multiply-accumulates equal the reference figures, digit for digit."""

import csv
import os
from pathlib import Path

import pytest

from lightcars.counters.flops import count_flops
from lightcars.counters.params import count_params
from lightcars.models.image_model import ImageModel
from lightcars.models.merging import reparameterize
from lightcars.zoo import create_model

KEY_FIGURES = [
    ("efficientnet_b0", {}, 224, 5_288_548, 385_814_752),
    ("efficientnet_b0", {"num_classes": 196}, 224, 4_258_624, 384_785_632),
    ("efficientnet_b3", {"num_classes": 196}, 300, 10_997_484, 1_825_906_448),
    ("efficientnet_b7", {}, 600, 66_347_960, 37_745_884_192),
    ("efficientnet_lite0", {}, 224, 4_652_008, 385_187_552),
    ("efficientnet_lite4", {}, 380, 13_006_568, 3_943_564_112),
    ("ghostnet_100", {}, 224, 5_182_508, 141_150_512),
    ("ghostnet_100", {"num_classes": 196}, 224, 4_152_584, 140_121_392),
    ("ghostnet_thesis", {}, 224, 5_183_016, 141_149_744),
    ("ghostnet_thesis", {"num_classes": 196, "out_channels": 320}, 227, 3_041_412, 161_394_496),
    (
        "ghostnet_thesis",
        {"num_classes": 196, "out_channels": 320, "img_channels": 1},
        227,
        3_041_124,
        157_651_648,
    ),
]
"""A few of the reference's rows, so that this file tests something without it."""


def figures(model: ImageModel, resolution: int) -> tuple[int, int]:
    return count_params(model), count_flops(model, resolution)


@pytest.mark.parametrize(("name", "changes", "resolution", "params", "flops"), KEY_FIGURES)
def test_key_figures(name, changes, resolution, params, flops):
    assert figures(create_model(name, device="meta", **changes), resolution) == (params, flops)


THESIS_B0 = "thesis eff_b0"
"""Its multiply-accumulates are not ours: it pads every layer for the size of the image, not of its input."""

THEIR_NAMES = {
    "thesis ghostnet": "ghostnet_thesis",
    THESIS_B0: "efficientnet_b0",
    "thesis mob_v2": "mobilenetv2_100",
    "thesis sq_11": "squeezenet_1_1",
    "thesis shuff_v2_x10": "shufflenetv2_100",
    "thesis sqnxt_1": "squeezenext_100",
    "thesis sqnxt_1v5": "squeezenext_100v5",
    "thesis sqnxt_2": "squeezenext_200",
    "thesis sqnxt_2v5": "squeezenext_200v5",
    "thesis hard_39dw": "hardnet_39ds",
    "thesis hard_68dw": "hardnet_68ds",
    "thesis hard_68": "hardnet_68",
    "thesis hard_85": "hardnet_85",
    "squeezenet1_0": "squeezenet_1_0",
    "squeezenet1_1": "squeezenet_1_1",
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "shufflenet_v2_x0_5": "shufflenetv2_050",
    "shufflenet_v2_x1_0": "shufflenetv2_100",
    "shufflenet_v2_x1_5": "shufflenetv2_150",
    "shufflenet_v2_x2_0": "shufflenetv2_200",
}
"""The reference's names of our models, where they differ."""

SLOW_FLOPS = 5e9
"""Rows of models beyond it are left out of quick runs."""


def parse(row: str) -> tuple[str, dict[str, int], bool]:
    """Name, settings and "is fused" of a row like "thesis ghostnet num_classes=196 out_channels=320"."""
    words = row.removesuffix(" training form").removesuffix(" fused form").split()
    changes = {key: int(value) for key, value in (word.split("=") for word in words if "=" in word)}
    name = " ".join(word for word in words if "=" not in word)
    if name == THESIS_B0:
        changes["padding"] = "same"
    return THEIR_NAMES.get(name, name), changes, row.endswith(" fused form")


def rows() -> list:
    """The reference's rows, none without its file; those of large models are slow."""
    root = Path(__file__).parents[2]
    table = Path(os.environ.get("LIGHTCARS_SHARED", root.parent / "shared")) / "reference" / "models.csv"
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert len(found) > 90
    return [
        pytest.param(row, id=row["model"], marks=[pytest.mark.slow] if int(row["macs"]) > SLOW_FLOPS else [])
        for row in found
    ]


@pytest.mark.parametrize("row", rows())
def test_every_row(row):
    name, changes, is_fused = parse(row["model"])
    model = create_model(name, device="meta", **changes)
    model = reparameterize(model) if is_fused else model
    assert count_params(model) == int(row["params"])
    if not row["model"].startswith(THESIS_B0):
        assert count_flops(model, int(row["resolution"])) == int(row["macs"])
