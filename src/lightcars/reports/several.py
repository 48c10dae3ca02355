"""The report of several runs, side by side as the theses compare theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from lightcars.evaluation.analysis import Agreement, agreement
from lightcars.evaluation.predictions import Predictions
from lightcars.reports import page
from lightcars.reports.charts import Line, line_chart
from lightcars.reports.photographs import Photographs, grid_of
from lightcars.reports.run_metrics import Comparison, RunContent, RunMetrics
from lightcars.runs.selection import note_on_choice, shown_split

NUM_MISSED = 48

_FIGURES: dict[str, Callable[[RunMetrics], str]] = {
    "model": lambda run: run.model,
    "top-1": lambda run: _marked(run, page.percent(run.val_top1_percent)),
    "top-5": lambda run: _marked(run, page.percent(run.val_top5_percent)),
    "validation loss": lambda run: _marked(run, "-" if run.val_loss is None else f"{run.val_loss:.3f}"),
    "calibration error": lambda run: _marked(run, page.percent(run.calibration_error_percent)),
    "best epoch": lambda run: _marked(run, "-" if run.best_epoch is None else str(run.best_epoch)),
    "epochs": lambda run: f"{run.epochs}{'' if run.finished else ' (unfinished)'}",
    "parameters": lambda run: f"{run.num_params:,}",
    "FLOPs": lambda run: f"{run.flops:,}",
}


def _marked(run: RunMetrics, text: str) -> str:
    return text if text == "-" else text + page.mark(run.note)


def several_page(runs: Sequence[RunContent], compared: Agreement | None) -> str:
    """Figures and settings in one table, curves in one chart, photographs that every run gets wrong."""
    title = f"{len(runs)} runs: {', '.join(run.label for run in runs)}"
    remarks = page.notes(f"{run.label}: {note}" for run in runs for note in run.notes)
    return page.page(
        title, remarks, [_figures(runs), _settings(runs), _curves(runs), _agreement(runs, compared)]
    )


def compare(runs: Sequence[RunContent]) -> Agreement | None:
    """Which photographs which run gets right, if all were judged on the same ones."""
    judged = [run.predictions for run in runs if run.predictions is not None]
    return agreement(judged) if len(judged) == len(runs) > 1 else None


def comparison(compared: Agreement) -> Comparison:
    """The same in numbers."""
    return Comparison(
        num_images=len(compared.hits),
        right_in_every_run=compared.found_by_all,
        wrong_in_every_run=len(compared.missed_by_all),
        right_in_one_run_only=compared.found_by_one,
    )


def _figures(runs: Sequence[RunContent]) -> str:
    head = ("", *(run.label for run in runs))
    rows = [[name, *(escape(show(run.figures)) for run in runs)] for name, show in _FIGURES.items()]
    spoilt = ", or on those of test where that is said" if _selected_on(runs) == "test" else ""
    says = f"Top-1, top-5 and loss are those of each run's best epoch on its validation photographs{spoilt}."
    return page.section("Figures", page.paragraph(says), page.table(head, rows))


def _settings(runs: Sequence[RunContent]) -> str:
    """Those that differ first, marked; the others folded away."""
    lines = [_lines(run) for run in runs]
    names = list(dict.fromkeys(name for settings in lines for name in settings))
    differing, same = [], []
    for name in names:
        values = [settings.get(name, "-") for settings in lines]
        of_model = name.startswith("model.config.")
        if len(set(values)) == 1:
            same += [] if of_model else [[escape(name), _short(values[0])]]
        elif not of_model or all(name in settings for settings in lines):  # families have some of their own
            differing.append([escape(name), *(f"<mark>{_short(value)}</mark>" for value in values)])
    head = ("setting", *(run.label for run in runs))
    first = page.table(head, differing) if differing else page.paragraph("All settings are the same.")
    rest = page.table(("setting", "all runs"), same)
    return page.section(
        "What differs between the runs",
        first,
        f"<details><summary>{len(same)} settings that are the same</summary>{rest}</details>",
    )


def _lines(run: RunContent) -> dict[str, str]:
    description = run.description
    content = description.to_dict()
    recipe = content["recipe"]
    wanted = {
        "recipe.model": recipe.pop("model", {}),
        **recipe,
        "weights to start from": description.weights or "fresh",
        "model": content["model"],
        "data": content["data"],
    }
    return page.settings_as_text(wanted)


def _short(text: str) -> str:
    return escape(text if len(text) <= 60 else f"{text[:59]}…")


def _curves(runs: Sequence[RunContent]) -> str:
    def chart(title: str, columns: Sequence[tuple[str, str, bool]]) -> str:
        return line_chart(
            title,
            [
                Line(
                    f"{run.label} {shown_split(run.figures.selected_on) if what == 'val' else what}".strip(),
                    [row["epoch"] for row in run.rows],
                    [row[column] for row in run.rows],
                    color,
                    dashed,
                )
                for color, run in enumerate(runs)
                for what, column, dashed in columns
                if run.rows
            ],
        )

    charts = [
        chart("loss", [("val", "val_loss", False), ("train", "train_loss", True)]),
        chart("top-1 (%)", [("val", "val_top1_percent", False), ("train", "train_top1_percent", True)]),
        chart("learning rate", [("", "learning_rate", False)]),
    ]
    return page.section("Curves", f'<div class="charts">{"".join(charts)}</div>')


def _agreement(runs: Sequence[RunContent], compared: Agreement | None) -> str:
    title = "Photographs that every run gets wrong"
    if compared is None:
        without = [run.label for run in runs if run.predictions is None]
        reason = (
            f"there are no predictions of {', '.join(without)}"
            if without
            else "the runs were judged on different validation photographs"
        )
        return page.section(title, page.paragraph(f"They cannot be compared: {reason}.", "note"))
    first = next(run for run in runs if run.predictions is not None)
    assert first.predictions is not None
    numbers, chosen = comparison(compared), _selected_on(runs)
    alone = ", ".join(
        f"{run.label} {number:,}" for run, number in zip(runs, numbers.right_in_one_run_only, strict=True)
    )
    return page.section(
        title + page.mark(note_on_choice(chosen)),
        page.paragraph(
            f"Of {numbers.num_images:,} {page.judged(chosen)} photographs every run gets"
            f" {numbers.right_in_every_run:,} right and {numbers.wrong_in_every_run:,} wrong; only one run"
            f" gets {sum(numbers.right_in_one_run_only):,} right ({alone})."
        ),
        _grid(runs, compared),
        _missed(first.predictions, compared, Photographs(_root(runs))),
    )


def _selected_on(runs: Sequence[RunContent]) -> str:
    """Of runs that were judged on the same photographs: "test" if these chose the epoch of one of them."""
    return "test" if any(run.figures.selected_on == "test" for run in runs) else "val"


def _root(runs: Sequence[RunContent]) -> Path | None:
    return next((run.photographs for run in runs if run.photographs is not None), None)


def _grid(runs: Sequence[RunContent], compared: Agreement) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(run.label)}</th>'
        f'<td><img src="{grid_of(compared.hits[:, column])}" alt="right and wrong photographs"></td></tr>\n'
        for column, run in enumerate(runs)
    )
    says = (
        f"One column for each {page.judged(_selected_on(runs))} photograph, in the order of the data; black"
        " where the run is wrong. A black line through all runs is a photograph that is hard for every one of"
        " them (figure 33 of the EfficientNet thesis, turned on its side)."
    )
    return f'{page.paragraph(says)}<div class="scroll"><table class="grid">{rows}</table></div>'


def _missed(predictions: Predictions, compared: Agreement, photographs: Photographs) -> str:
    missed = compared.missed_by_all
    if not missed:
        return ""
    shown = "".join(
        photographs.show(predictions.paths[position], predictions.classes[predictions.labels[position]])
        for position in missed[:NUM_MISSED]
    )
    number = min(len(missed), NUM_MISSED)
    says = f"{number} of these {len(missed):,}, those first of which the runs are surest:"
    return f'{page.paragraph(says)}<div class="photos">{shown}</div>'
