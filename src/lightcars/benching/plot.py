"""The plot of `bench`: accuracy over latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from lightcars.benching.rows import BenchRow
from lightcars.errors import ConfigError
from lightcars.plots import COLORS, check_picture, house_style, new_figure, plain_text, write_figure

WIDTH, HEIGHT = 7.0, 4.5
"""Size of one panel in inches."""
MARKERS = "os^Dv<>P*X"
CHARACTERS_PER_INCH = 14
"""Of the small title: longer lines are wrapped, not clipped."""
ENTRIES_INSIDE = 6
"""A legend with more entries is beside the axes."""


def draw_bench(rows: Sequence[BenchRow], path: Path, *, machine: str, train: bool) -> Path:
    """Plot top-1 over latency, a panel for each dataset and batch size; or images per second over latency."""
    check_picture(path)
    rows = [row for row in rows if row.latency_ms is not None and row.problem is None]
    if not rows:
        raise ConfigError("nothing could be measured, so there is nothing to plot.")
    known = [row for row in rows if row.accuracy is not None]
    with house_style():
        if known and not train:
            figure = _accuracies(known)
            unknown = sorted({row.model for row in rows} - {row.model for row in known})
            note = f"accuracy unknown: {', '.join(unknown)}" if unknown else ""
        else:
            figure = _throughputs(rows, train=train)
            note = "" if train else "no accuracy is known"
        width = int(CHARACTERS_PER_INCH * figure.get_figwidth())
        lines = (fill(plain_text(part), width) for part in (machine, note) if part)
        figure.suptitle("\n".join(lines), fontsize="small")
        write_figure(figure, path)
    return path


def _accuracies(rows: Sequence[BenchRow]) -> Any:
    data = list(dict.fromkeys(row.accuracy.data for row in rows if row.accuracy))
    batches = list(dict.fromkeys(row.batch for row in rows))
    figure = new_figure(width=WIDTH * len(batches), height=HEIGHT * len(data))
    panels = figure.subplots(len(data), len(batches), squeeze=False)
    engines = list(dict.fromkeys(row.what for row in rows))
    for line, name in zip(panels, data, strict=True):
        for panel, batch in zip(line, batches, strict=True):
            part = [row for row in rows if row.batch == batch and row.accuracy and row.accuracy.data == name]
            if not part:
                panel.set_axis_off()
                continue
            _accuracy_panel(panel, part, engines)
            panel.set_xlabel(f"median latency of {batch} image{'' if batch == 1 else 's'} (ms)")
            panel.set_ylabel(f"top-1 (%), {plain_text(name)}")
    return figure


def _accuracy_panel(panel: Any, rows: Sequence[BenchRow], engines: Sequence[str]) -> None:
    middle = math.sqrt(min(map(_latency, rows)) * max(map(_latency, rows)))  # of the logarithmic axis
    for model in dict.fromkeys(row.model for row in rows):
        own = sorted((row for row in rows if row.model == model), key=_latency)
        top1 = [row.accuracy.top1_percent for row in own if row.accuracy]
        xs = [_latency(row) for row in own]
        panel.plot(xs, top1, color="0.8", zorder=1)
        panel.annotate(
            plain_text(model),
            (xs[0], top1[0]),
            xytext=(0, 7),
            textcoords="offset points",
            fontsize=8,
            horizontalalignment="right" if xs[0] > middle else "left",
        )
    for engine in dict.fromkeys(row.what for row in rows):
        own = [row for row in rows if row.what == engine]
        top1 = [row.accuracy.top1_percent for row in own if row.accuracy]
        panel.scatter([_latency(row) for row in own], top1, label=engine, zorder=2, **_style(engine, engines))
    _finish(panel)


def _throughputs(rows: Sequence[BenchRow], *, train: bool) -> Any:
    figure = new_figure(width=WIDTH, height=HEIGHT)
    panel = figure.subplots()
    models = list(dict.fromkeys(row.model for row in rows))
    engines = list(dict.fromkeys(row.what for row in rows))
    for model in models:
        for engine in engines:
            own = [row for row in rows if (row.model, row.what) == (model, engine)]
            xs, ys = [_latency(row) for row in own], [row.images_per_second for row in own]
            style = {**_style(engine, engines), "marker": MARKERS[models.index(model) % len(MARKERS)]}
            if own:
                panel.plot(xs, ys, label=plain_text(f"{model}, {engine}"), **style)
    what = "training step" if train else "batch"
    panel.set_xlabel(f"median latency of a {what} (ms)")
    panel.set_ylabel("images per second")
    _finish(panel)
    return figure


def _style(engine: str, engines: Sequence[str]) -> dict[str, Any]:
    position = engines.index(engine)
    return {"color": COLORS[position % len(COLORS)], "marker": MARKERS[position % len(MARKERS)]}


def _latency(row: BenchRow) -> float:
    assert row.latency_ms is not None
    return row.latency_ms


def _finish(panel: Any) -> None:
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:e}"[0] in "235" else "")
    panel.tick_params(axis="x", which="minor", labelsize=7)
    panel.margins(0.15)
    if len(panel.get_legend_handles_labels()[1]) > ENTRIES_INSIDE:
        panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    else:
        panel.legend()
