"""The report of one run."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from lightcars.evaluation.analysis import (
    NUM_BINS,
    Confusion,
    calibration,
    classes_by_difficulty,
    confident_mistakes,
    worst_confusions,
)
from lightcars.evaluation.predictions import Predictions
from lightcars.reports import page
from lightcars.reports.charts import Line, line_chart, reliability_diagram
from lightcars.reports.photographs import Photographs
from lightcars.reports.run_metrics import RunContent
from lightcars.runs.selection import shown_split

NUM_HARDEST, NUM_PHOTOS, NUM_MISTAKES, NUM_CONFUSED = 15, 4, 12, 15


def single_page(run: RunContent) -> str:
    """Curves, hardest classes, confusions, confident mistakes, calibration, settings."""
    sections = [_curves(run)]
    if run.predictions is not None:
        photographs = Photographs(run.photographs)
        sections += [
            _hardest(run.predictions, photographs),
            _confusions(run.predictions),
            _mistakes(run.predictions, photographs),
            _calibration(run.predictions),
        ]
    return page.page(f"{run.label}: {run.figures.model}", _intro(run), [*sections, _settings(run)])


def _intro(run: RunContent) -> str:
    figures, data = run.figures, run.description.data
    says = f"Trained on {data.root} ({data.num_classes} classes)."
    if figures.best_epoch is not None:
        says += f" The figures are of the best epoch, on the {page.judged(figures.selected_on)} photographs."
    split, mark = page.judged(figures.selected_on), page.mark(figures.note)
    entries = {
        f"top-1{mark}": page.percent(figures.val_top1_percent),
        f"top-5{mark}": page.percent(figures.val_top5_percent),
        f"best epoch{mark}": f"{figures.best_epoch or '-'} of {figures.epochs}",
        f"{split} loss{mark}": "-" if figures.val_loss is None else f"{figures.val_loss:.3f}",
        f"{split} photographs": "-" if figures.num_images is None else f"{figures.num_images:,}",
        f"calibration error{mark}": page.percent(figures.calibration_error_percent),
        "parameters": f"{figures.num_params:,}",
        "FLOPs": f"{figures.flops:,}",
    }
    return page.paragraph(says, "soft") + page.notes(run.notes) + page.tiles(entries)


def _curves(run: RunContent) -> str:
    if not run.rows:
        return page.section("Curves", page.paragraph("No epoch is done yet."))
    epochs = [row["epoch"] for row in run.rows]

    def line(name: str, column: str, color: int) -> Line:
        return Line(name, epochs, [row[column] for row in run.rows], color)

    val = shown_split(run.figures.selected_on)
    charts = [
        line_chart("loss", [line("train", "train_loss", 7), line(val, "val_loss", 0)]),
        line_chart(
            "accuracy (%)",
            [
                line("train top-1", "train_top1_percent", 7),
                line(f"{val} top-1", "val_top1_percent", 0),
                line(f"{val} top-5", "val_top5_percent", 2),
            ],
        ),
        line_chart("learning rate", [line("at the end of the epoch", "learning_rate", 1)]),
    ]
    sizes = run.description.training_resolutions
    if sizes:
        steps = [(float(first), float(size)) for first, size in sizes.items()]
        ys = [max(size for first, size in steps if first <= epoch) for epoch in epochs]
        charts.append(line_chart("training resolution (px)", [Line("train", epochs, ys, 7)]))
    return page.section("Curves", f'<div class="charts">{"".join(charts)}</div>')


def _hardest(predictions: Predictions, photographs: Photographs) -> str:
    rows = []
    for one in classes_by_difficulty(predictions)[:NUM_HARDEST]:
        shown = "".join(
            photographs.show(predictions.paths[position], f"taken for {_guess(predictions, position)}")
            for position in one.mistakes[:NUM_PHOTOS]
        )
        figures = one.figures
        rows.append(
            [
                escape(figures.name),
                str(figures.num_images),
                page.percent(figures.top1_percent),
                f'<div class="photos few">{shown}</div>',
            ]
        )
    says = "The classes with the lowest top-1, with the mistakes of which the model is surest."
    head = ("class", "photographs", "top-1", "taken for something else")
    title = f"Hardest classes{page.mark(predictions.note)}"
    return page.section(title, page.paragraph(says), page.table(head, rows, right=(1, 2)))


def _confusions(predictions: Predictions) -> str:
    part = worst_confusions(predictions, rows=NUM_CONFUSED)
    names = predictions.classes
    columns = [*(names[label] for label in part.columns), *(["other classes"] if part.others.any() else [])]
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(names[label])}</th>{_counts(part, row)}</tr>\n'
        for row, label in enumerate(part.rows)
    )
    says = (
        f"The {len(part.rows)} classes with the lowest top-1, one a row; the columns are the classes that the"
        " model takes their photographs for, in numbers of photographs."
    )
    return page.section(
        f"Confusion matrix of the worst classes{page.mark(predictions.note)}",
        page.paragraph(says),
        f'<div class="scroll"><table class="matrix"><thead><tr><td></td>{head}</tr>'
        f"</thead>\n<tbody>{body}</tbody></table></div>",
    )


def _counts(part: Confusion, row: int) -> str:
    total = max(int(part.counts[row].sum() + part.others[row]), 1)
    cells = []
    for column, count in enumerate(part.counts[row].tolist()):
        color = "22, 163, 74" if column == row else "220, 60, 40"
        style = f' style="background: rgba({color}, {0.15 + 0.7 * count / total:.2f})"' if count else ""
        cells.append(f"<td{style}>{count or ''}</td>")
    others = f"<td>{int(part.others[row]) or ''}</td>" if part.others.any() else ""
    return "".join(cells) + others


def _mistakes(predictions: Predictions, photographs: Photographs) -> str:
    wrong = confident_mistakes(predictions)
    title = f"Confident mistakes{page.mark(predictions.note)}"
    if not wrong:
        return page.section(title, page.paragraph("There are none: every photograph is right."))
    shown = "".join(
        photographs.show(
            predictions.paths[position],
            f"{_guess(predictions, position)}: {predictions.confidences[position]:.1%}",
            f"is {predictions.classes[predictions.labels[position]]}",
        )
        for position in wrong[:NUM_MISTAKES]
    )
    says = (
        f"Of {len(wrong):,} mistakes those of which the model is surest, with the probability it gives them."
    )
    return page.section(title, page.paragraph(says), f'<div class="photos">{shown}</div>')


def _guess(predictions: Predictions, position: int) -> str:
    return predictions.classes[int(predictions.guesses[position, 0])]


def _calibration(predictions: Predictions) -> str:
    bins = calibration(predictions)
    error = page.percent(100 * bins.error)
    says, right = 100 * float(np.mean(predictions.confidences)), predictions.top1_percent
    leaning = "over-confident" if says > right else "under-confident"
    verdict = "" if math.isclose(says, right, abs_tol=0.5) else f" On the whole it is {leaning}."
    return page.section(
        f"Calibration{page.mark(predictions.note)}",
        page.paragraph(
            f"The expected calibration error is {error} ({NUM_BINS} bins): so far, on average, is the"
            " probability of the first guess from the share of such guesses that are right. The model says"
            f" {says:.2f} % on average and is right in {right:.2f} % of the photographs.{verdict}"
        ),
        f'<div class="charts">{reliability_diagram(bins)}</div>',
        page.paragraph(
            "A bar is the share of right guesses, the stroke across it the probability that the model gave"
            " them; stronger bars hold more photographs. On the dashed line both are the same.",
            "soft",
        ),
    )


def _settings(run: RunContent) -> str:
    description = run.description
    content = description.to_dict()
    wanted = {
        "weights to start from": description.weights or "fresh",
        **content["recipe"],
        "training_resolutions": content.get("training_resolutions", {}),
        "data": content["data"],
        **{f"version of {name}": value for name, value in description.versions.items()},
    }
    rows = [[escape(name), escape(text)] for name, text in page.settings_as_text(wanted).items()]
    return page.section("Recipe and data", page.table(("setting", "value"), rows))
