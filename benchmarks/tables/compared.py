"""Markdown table and charts of models that were trained alike, for docs/compared.md. Imports no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from benchmarks.tables.plots import SOURCE
from benchmarks.tables.speed import Records, markdown, not_yet, origin
from lightcars.reports.tradeoffs import COSTS, ComparedModel, pareto_front
from lightcars.tables import short_number

NAME, PICTURE = "compared", "compared.png"
RING = "#1f6feb"


def models_of(found: Records) -> list[ComparedModel]:
    """Return the compared models, the most accurate one first."""
    results = found.get(NAME, {}).get("results", [])
    return sorted((ComparedModel(**row) for row in results), key=lambda model: -model.top1_percent)


def compared(found: Records) -> str:
    """Return one row per model: accuracy and cost, with the fronts that it is on."""
    record, models = found.get(NAME), models_of(found)
    if record is None:
        return not_yet(NAME)
    fronts = {name.partition(" (")[0]: pareto_front(models, cost) for name, cost in COSTS.items()}
    rows = [
        [
            f"`{model.name}`",
            ", ".join(name for name, front in fronts.items() if model in front),
            f"{model.top1_percent:.2f} %",
            f"{model.top5_percent:.2f} %",
            short_number(model.num_params),
            short_number(model.flops),
            f"{model.latency_ms:.1f} ms",
        ]
        for model in models
    ]
    head = ("model", "on the Pareto front of", "top-1", "top-5", "parameters", "FLOPs", "latency")
    images = record["images"]
    conditions = (
        f"Each model was trained for {record['epochs']} epochs at {record['resolution']} px with seed"
        f" {record['seed']}, on {images['train']:,} photographs of `train`;"
        f" {images['val']:,} of `val` selected the epoch."
        " Parameters and FLOPs are those for 196 classes at that resolution; latency is that of one image in"
        " eager PyTorch."
    )
    return f"{markdown(head, rows, texts=2)}\n{conditions}\n{origin(found, NAME)}"


def digest(found: Records) -> str:
    """Return a digest of the data of the charts."""
    return hashlib.sha256(repr(models_of(found)).encode()).hexdigest()


def draw(found: Records, path: Path) -> None:
    """Write a chart for each cost, with the digest of the data in the metadata."""
    from matplotlib.figure import Figure

    models = models_of(found)
    if not models:
        path.unlink(missing_ok=True)
        return
    figure = Figure(figsize=(4.4 * len(COSTS), 4.2), layout="constrained")
    for number, (name, cost) in enumerate(COSTS.items()):
        axes: Any = figure.add_subplot(1, len(COSTS), number + 1)
        front = pareto_front(models, cost)
        axes.scatter(
            [cost(one) for one in models], [one.top1_percent for one in models], color="#555555", s=18
        )
        axes.plot(
            [cost(one) for one in front],
            [one.top1_percent for one in front],
            "o--",
            color=RING,
            markerfacecolor="none",
            markersize=11,
            linewidth=0.8,
        )
        for one in models:
            place = (cost(one), one.top1_percent)
            axes.annotate(one.name, place, xytext=(6, 5), textcoords="offset points", fontsize=7)
        axes.set_xlabel(name, fontsize=9)
        axes.set_ylabel("top-1 (%)" if number == 0 else "", fontsize=9)
        axes.margins(x=0.3, y=0.1)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={SOURCE: digest(found)})
