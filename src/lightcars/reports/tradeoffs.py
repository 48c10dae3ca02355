"""The page of a comparison of models: accuracy over FLOPs, parameters and latency, Pareto fronts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol, TypeVar

from lightcars.reports import page
from lightcars.reports.charts import Point, scatter_chart
from lightcars.tables import short_number


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedModel:
    """One model of a comparison.

    Attributes:
        name: of the model, and of its run folder.
        top1_percent, top5_percent: of the best epoch on the validation images.
        best_epoch: that epoch.
        num_params, flops: for the classes of the data, one image at the resolution of the comparison.
        latency_ms: median latency of one image in eager PyTorch, in float32, on this machine's CPU.
        seconds: time of all training epochs.
    """

    name: str
    top1_percent: float
    top5_percent: float
    best_epoch: int
    num_params: int
    flops: int
    latency_ms: float
    seconds: float


class Rated(Protocol):
    """A model whose accuracy is known."""

    @property
    def top1_percent(self) -> float:
        """Of all images."""


RatedT = TypeVar("RatedT", bound=Rated)

COSTS: dict[str, Callable[[ComparedModel], float]] = {
    "multiply-accumulates (millions)": lambda model: model.flops / 1e6,
    "parameters (millions)": lambda model: model.num_params / 1e6,
    "latency (ms)": lambda model: model.latency_ms,
}


def pareto_front(models: Sequence[RatedT], cost: Callable[[RatedT], float]) -> list[RatedT]:
    """Return the models that are more accurate than all that cost as much or less, cheapest first.

    Of models with the same cost and accuracy, the first one counts.
    """
    front: list[RatedT] = []
    for model in sorted(models, key=lambda model: (cost(model), -model.top1_percent)):
        if not front or model.top1_percent > front[-1].top1_percent:
            front.append(model)
    return front


def tradeoff_page(models: Sequence[ComparedModel], conditions: str) -> str:
    """Return the page.

    Args:
        models: at least one.
        conditions: data, recipe and machine, as text.
    """
    title = f"{len(models)} models compared"
    charts = "".join(_chart(name, cost, models) for name, cost in COSTS.items())
    explained = "A ring marks the Pareto front: no other model is both cheaper and more accurate."
    return page.page(
        title,
        page.paragraph(conditions),
        [
            page.section("Accuracy and cost", _table(models)),
            page.section("Trade-offs", page.paragraph(explained), f'<div class="charts">{charts}</div>'),
        ],
    )


def _chart(name: str, cost: Callable[[ComparedModel], float], models: Sequence[ComparedModel]) -> str:
    front = pareto_front(models, cost)
    points = [
        Point(model.name, cost(model), model.top1_percent, color, marked=model in front)
        for color, model in enumerate(models)
    ]
    return scatter_chart("top-1 (%)", points, x_name=name)


def _table(models: Sequence[ComparedModel]) -> str:
    head = ("model", "top-1", "top-5", "best epoch", "parameters", "FLOPs", "latency", "training", "report")
    rows = [
        [
            escape(model.name),
            page.percent(model.top1_percent),
            page.percent(model.top5_percent),
            str(model.best_epoch),
            short_number(model.num_params),
            short_number(model.flops),
            f"{model.latency_ms:.1f} ms",
            f"{model.seconds / 60:.1f} min",
            f'<a href="{escape(model.name)}/report.html">run</a>',
        ]
        for model in sorted(models, key=lambda model: -model.top1_percent)
    ]
    return page.table(head, rows, right=tuple(range(1, 8)))
