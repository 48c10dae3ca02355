"""The table of README.md: five models with their published accuracy, counts and measured latency."""

from __future__ import annotations

from benchmarks.harness.ratios import OURS, spread
from benchmarks.tables.families import OPTIMIZED
from benchmarks.tables.speed import Records, markdown, milliseconds
from lightcars.tables import short_number
from scripts.zoo.published import published_models

MODELS = {
    "efficientnet_b0": "optimize",
    "ghostnet_100": "optimize",
    "efficientnet_lite0": OPTIMIZED,
    "mobilenetv3_large_100": OPTIMIZED,
    "shufflenetv2_100": OPTIMIZED,
}
"""The models, and the benchmark record that has their latency."""


def five_models(found: Records) -> str:
    """Return one row per model; the latency is that of one image of 224 px."""
    published = {model.name: model for model in published_models()}
    rows = []
    for name, benchmark in MODELS.items():
        model, result = published[name], found[benchmark]["results"][name]["batch1"]
        eager = result["eager"]
        rows.append(
            [
                f"`{name}`",
                f"{model.top1_percent:.1f} %",
                short_number(model.num_params),
                short_number(model.flops),
                f"{milliseconds(result, eager)} ({eager})",
                milliseconds(result, OURS),
                spread(result["ms"]["peer_over_lightcars"][eager]),
            ]
        )
    head = ("", "top-1", "parameters", "FLOPs", "eager, ms", "`optimize`, ms", "speed-up")
    return markdown(head, rows)
