"""The plot of `bench`: accuracy over latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightcars.benching.rows import BenchRow
from lightcars.errors import ConfigError
from lightcars.plots import check_picture, new_figure, write_figure

WIDTH, HEIGHT = 7.0, 4.5
"""Size of one panel in inches."""
MARKERS = "os^Dv<>P*X"
COLORS = 10
"""Length of matplotlib's color cycle, C0 to C9."""


def draw_bench(rows: Sequence[BenchRow], path: Path, *, machine: str, train: bool) -> Path:
    """Plot top-1 over latency, a panel for each dataset and batch size; or images per second over latency."""
    check_picture(path)
    rows = [row for row in rows if row.latency_ms is not None and row.problem is None]
    if not rows:
        raise ConfigError("nothing could be measured, so there is nothing to plot.")
    known = [row for row in rows if row.accuracy is not None]
    if known and not train:
        figure = _accuracies(known)
        unknown = sorted({row.model for row in rows} - {row.model for row in known})
        note = f"accuracy unknown: {', '.join(unknown)}" if unknown else ""
    else:
        figure = _throughputs(rows, train=train)
        note = "" if train else "no accuracy is known"
    figure.suptitle("\n".join(part for part in (machine, note) if part), fontsize="small")
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
            panel.set_ylabel(f"top-1 (%), {_plain(name)}")
    return figure


def _accuracy_panel(panel: Any, rows: Sequence[BenchRow], engines: Sequence[str]) -> None:
    for model in dict.fromkeys(row.model for row in rows):
        own = sorted((row for row in rows if row.model == model), key=_latency)
        top1 = [row.accuracy.top1_percent for row in own if row.accuracy]
        xs = [_latency(row) for row in own]
        panel.plot(xs, top1, color="0.8", zorder=1)
        panel.annotate(_plain(model), (xs[0], top1[0]), xytext=(0, 7), textcoords="offset points", fontsize=8)
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
                panel.plot(xs, ys, label=_plain(f"{model}, {engine}"), **style)
    what = "training step" if train else "batch"
    panel.set_xlabel(f"median latency of a {what} (ms)")
    panel.set_ylabel("images per second")
    _finish(panel)
    return figure


def _style(engine: str, engines: Sequence[str]) -> dict[str, Any]:
    position = engines.index(engine)
    return {"color": f"C{position % COLORS}", "marker": MARKERS[position % len(MARKERS)]}


def _latency(row: BenchRow) -> float:
    assert row.latency_ms is not None
    return row.latency_ms


def _plain(text: str) -> str:
    """Escape "$", which matplotlib would read as a formula."""
    return text.replace("$", r"\$")


def _finish(panel: Any) -> None:
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter("{x:g}")
    panel.tick_params(axis="x", which="minor", labelsize=7)
    panel.margins(0.12)
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8)
