"""Parameters and multiply-accumulates equal the reference figures, digit for digit."""

import csv

import pytest

from lightcars.counters.flops import count_flops
from lightcars.counters.params import count_params
from lightcars.models.image_model import ImageModel
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


def parse(row: str) -> ImageModel | None:
    """The model of a row like "thesis ghostnet num_classes=196 out_channels=320"; None if it is not ours."""
    words = row.split()
    changes = {key: int(value) for key, value in (word.split("=") for word in words if "=" in word)}
    name = " ".join(word for word in words if "=" not in word)
    if name == "thesis ghostnet":
        return create_model("ghostnet_thesis", device="meta", **changes)
    if name == THESIS_B0:
        return create_model("efficientnet_b0", padding="same", device="meta", **changes)
    family, _, variant = name.partition("_")
    known = {
        "efficientnet": [*(f"b{i}" for i in range(8)), *(f"lite{i}" for i in range(5))],
        "ghostnet": ["050", "100", "130"],
    }
    return create_model(name, device="meta", **changes) if variant in known.get(family, ()) else None


def test_every_row_that_is_ours(reference):
    with (reference / "models.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    covered = 0
    for row in rows:
        model = parse(row["model"])
        if model is None:
            continue
        assert count_params(model) == int(row["params"]), row["model"]
        if not row["model"].startswith(THESIS_B0):
            assert count_flops(model, int(row["resolution"])) == int(row["macs"]), row["model"]
        covered += 1
    ours = [row["model"] for row in rows if row["model"].startswith(("efficientnet_b", "thesis ghostnet"))]
    assert len(ours) == 16 + 1 + 7, (
        "eight sizes with 1000 and with 196 classes, b8, and the thesis's GhostNets"
    )
    assert covered == 16 + 5 + 4 + 7 + 2, (
        "the same without b8, the Lites, Huawei's four GhostNets and the thesis's two B0"
    )
