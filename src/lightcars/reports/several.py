"""The report of several runs, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from lightcars.evaluation.analysis import Agreement, agreement
from lightcars.evaluation.predictions import Predictions
from lightcars.reports import page
from lightcars.reports.charts import line_chart
from lightcars.reports.conditions import conditions
from lightcars.reports.lines import Line
from lightcars.reports.run_metrics import Comparison, RunContent, RunMetrics
from lightcars.reports.thumbnails import Thumbnails, grid_of
from lightcars.runs.selection import note_on_choice, shown_split, shows_top5

NUM_MISSED = 48

_METRICS: dict[str, Callable[[RunMetrics], str]] = {
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
    """Return the page: metrics, differing settings, curves, images that every run misclassifies."""
    title = f"{len(runs)} runs: {', '.join(run.label for run in runs)}"
    remarks = page.notes(f"{run.label}: {note}" for run in runs for note in run.notes)
    return page.page(
        title, remarks, [_metrics(runs), _settings(runs), _curves(runs), _agreement(runs, compared)]
    )


def compare(runs: Sequence[RunContent]) -> Agreement | None:
    """Compare the runs' predictions, if all of them are for the same images."""
    predictions = [run.predictions for run in runs if run.predictions is not None]
    return agreement(predictions) if len(predictions) == len(runs) > 1 else None


def comparison(compared: Agreement) -> Comparison:
    """Return the counts of a comparison."""
    return Comparison(
        num_images=len(compared.hits),
        right_in_every_run=compared.found_by_all,
        wrong_in_every_run=len(compared.missed_by_all),
        right_in_one_run_only=compared.found_by_one,
    )


def _metrics(runs: Sequence[RunContent]) -> str:
    head = ("", *(run.label for run in runs))
    shown = {
        name: show
        for name, show in _METRICS.items()
        if name != "top-5" or any(shows_top5(run.description.data.num_classes) for run in runs)
    }
    rows = [[name, *(escape(show(run.metrics)) for run in runs)] for name, show in shown.items()]
    trained = [conditions(run) for run in runs]
    rows += [
        [name, *(escape(entries.get(name, "-")) for entries in trained)]
        for name in dict.fromkeys(name for entries in trained for name in entries)
    ]
    caveat = ", or on its test images where that is noted" if _selected_on(runs) == "test" else ""
    text = f"Top-1, top-5 and loss of each run's best epoch on its validation images{caveat}."
    return page.section("Metrics", page.paragraph(text), page.table(head, rows))


def _settings(runs: Sequence[RunContent]) -> str:
    """Settings that differ first, highlighted; the others are collapsed."""
    lines = [_lines(run) for run in runs]
    names = list(dict.fromkeys(name for settings in lines for name in settings))
    differing, same = [], []
    for name in names:
        values = [settings.get(name, "-") for settings in lines]
        of_model = name.startswith("model.config.")
        if len(set(values)) == 1:
            same += [] if of_model else [[escape(name), _short(values[0])]]
        elif not of_model or all(name in settings for settings in lines):  # families have different ones
            differing.append([escape(name), *(f"<mark>{_short(value)}</mark>" for value in values)])
    head = ("setting", *(run.label for run in runs))
    first = page.table(head, differing) if differing else page.paragraph("All settings are equal.")
    rest = page.table(("setting", "all runs"), same)
    return page.section(
        "Settings that differ",
        first,
        f"<details><summary>{len(same)} equal settings</summary>{rest}</details>",
    )


def _lines(run: RunContent) -> dict[str, str]:
    description = run.description
    content = description.to_dict()
    recipe = content["recipe"]
    wanted = {
        "recipe.model": recipe.pop("model", {}),
        **recipe,
        "initial weights": description.weights or "random",
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
                    f"{run.label} {shown_split(run.metrics.selected_on) if what == 'val' else what}".strip(),
                    [row["epoch"] for row in run.rows],
                    [row[column] for row in run.rows],
                    color,
                    dashed,
                    run.metrics.best_epoch if what == "val" else None,
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
    text = "A ring marks the best epoch. Point at an epoch to see its values."
    return page.section(
        "Curves", page.paragraph(text, "soft"), f'<div class="charts">{"".join(charts)}</div>'
    )


def _agreement(runs: Sequence[RunContent], compared: Agreement | None) -> str:
    title = "Images that every run gets wrong"
    if compared is None:
        without = [run.label for run in runs if run.predictions is None]
        reason = (
            f"there are no predictions of {', '.join(without)}"
            if without
            else "the runs were evaluated on different validation images"
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
            f"Of {numbers.num_images:,} {page.split_name(chosen)} images, every run gets"
            f" {numbers.right_in_every_run:,} right and {numbers.wrong_in_every_run:,} wrong; only one run"
            f" gets {sum(numbers.right_in_one_run_only):,} right ({alone})."
        ),
        _grid(runs, compared),
        _missed(first.predictions, compared, Thumbnails(_root(runs))),
    )


def _selected_on(runs: Sequence[RunContent]) -> str:
    """Return "test" if the test split selected the epoch of any of the runs, else "val"."""
    return "test" if any(run.metrics.selected_on == "test" for run in runs) else "val"


def _root(runs: Sequence[RunContent]) -> Path | None:
    return next((run.image_root for run in runs if run.image_root is not None), None)


def _grid(runs: Sequence[RunContent], compared: Agreement) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(run.label)}</th>'
        f'<td><img src="{grid_of(compared.hits[:, column])}" alt="right and wrong images"></td></tr>\n'
        for column, run in enumerate(runs)
    )
    text = (
        f"One column for each {page.split_name(_selected_on(runs))} image, in the order of the data; black"
        " where the run is wrong. A black line through all runs is an image that every run misclassifies"
        " (figure 33 of the EfficientNet thesis, transposed)."
    )
    return f'{page.paragraph(text)}<div class="scroll"><table class="grid">{rows}</table></div>'


def _missed(predictions: Predictions, compared: Agreement, thumbnails: Thumbnails) -> str:
    missed = compared.missed_by_all
    if not missed:
        return ""
    shown = "".join(
        thumbnails.show(predictions.paths[position], predictions.classes[predictions.labels[position]])
        for position in missed[:NUM_MISSED]
    )
    number = min(len(missed), NUM_MISSED)
    text = f"{number} of these {len(missed):,}, by descending mean confidence:"
    return f'{page.paragraph(text)}<div class="images">{shown}</div>'
