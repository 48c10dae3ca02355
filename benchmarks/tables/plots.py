"""Bar plots of the speed results, for docs/benchmarks.md. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness.peers import eager_peer
from benchmarks.harness.ratios import OURS
from benchmarks.tables.speed import CASES, INT8, MODELS, deployments, label_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOURCE = "Source"
"""Metadata of an image file: the digest of the data that it shows."""
COLUMNS = 2
NAMES = {OURS: "lightcars.optimize", INT8: "lightcars.optimize int8"}
OWN, OTHERS = "#1f6feb", "#9aa4af"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One side: its speed-up over the eager peer, with the extremes over rounds."""

    side: str
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One model and case; the fastest side comes first."""

    title: str
    bars: tuple[Bar, ...]


def cpu_panels(found: Mapping[str, Any]) -> list[Panel]:
    """Return fused and optimized models beside the alternatives, on the CPU."""
    panels = []
    for model, batch, fused, optimized in deployments(found):
        eager = eager_peer(model)
        over = {NAMES.get(side, side): ratio for side, ratio in optimized.get("eager_over_side", {}).items()}
        if fused:
            over["lightcars.fuse"] = fused["ms"]["peer_over_lightcars"][eager]
        panels.append(_panel(f"{label_of(model, batch)}: times faster than {eager}, eager", over))
    return panels


def gpu_panels(found: Mapping[str, Any]) -> list[Panel]:
    """Return the panels of the GPU benchmark."""
    return [
        _panel(f"{MODELS[model]}, {CASES[case]}: times faster than timm, eager", result["eager_over_side"])
        for model, cases in found.get("gpu", {}).get("results", {}).items()
        for case, result in cases.items()
    ]


PICTURES = {"speed.png": cpu_panels, "speed-gpu.png": gpu_panels}
"""File name -> function that returns its panels."""


def digest(panels: Sequence[Panel]) -> str:
    """Return a digest of the data of a plot."""
    return hashlib.sha256(repr(list(panels)).encode()).hexdigest()


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Write the plot, with the digest of its data in its metadata."""
    from matplotlib.figure import Figure

    rows = -(-len(panels) // COLUMNS)
    columns = min(COLUMNS, len(panels))
    most = max(len(panel.bars) for panel in panels)
    figure = Figure(figsize=(6.2 * columns, (0.7 + 0.32 * most) * rows), layout="constrained")
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, index + 1)
        _bars(axes, panel)
        axes.set_ylim(len(panel.bars) - most - 0.6, len(panel.bars) - 0.4)  # all bars as thick
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={SOURCE: digest(panels)})


def draw_all(found: Mapping[str, Any], folder: Path) -> None:
    """Write every plot that has data; the files of the others are removed."""
    for name, panels_of in PICTURES.items():
        panels = panels_of(found)
        if panels:
            draw(panels, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def _bars(axes: Axes, panel: Panel) -> None:
    bars = panel.bars[::-1]  # drawn from below
    ratios = [bar.ratio for bar in bars]
    reach = (
        [max(0.0, bar.ratio - bar.low) for bar in bars],
        [max(0.0, bar.high - bar.ratio) for bar in bars],
    )
    colors = [OWN if bar.side.startswith(OURS) else OTHERS for bar in bars]
    axes.barh([bar.side for bar in bars], ratios, xerr=reach, color=colors, capsize=3)
    for index, bar in enumerate(bars):
        axes.annotate(f" {bar.ratio:.2f}", (bar.high, index), va="center", fontsize=8)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.margins(x=0.12)
    axes.set_title(panel.title, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _panel(title: str, over: Mapping[str, Mapping[str, float]]) -> Panel:
    bars = (
        Bar(side=side, ratio=ratio["ratio"], low=ratio["low"], high=ratio["high"])
        for side, ratio in over.items()
    )
    return Panel(title=title, bars=tuple(sorted(bars, key=lambda bar: -bar.ratio)))
