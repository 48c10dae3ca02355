"""The report of one run."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from lightcars.evaluation.analysis import (
    NUM_BINS,
    Confusion,
    classes_by_difficulty,
    confident_mistakes,
    reliability,
    worst_confusions,
)
from lightcars.evaluation.predictions import Predictions
from lightcars.reports import page
from lightcars.reports.charts import Line, line_chart, reliability_diagram
from lightcars.reports.run_metrics import RunContent
from lightcars.reports.thumbnails import Thumbnails
from lightcars.runs.selection import shown_split

NUM_HARDEST, NUM_IMAGES, NUM_MISTAKES, NUM_CONFUSED = 15, 4, 12, 15


def single_page(run: RunContent) -> str:
    """Return the page: curves, hardest classes, confusions, confident mistakes, calibration, settings."""
    sections = [_curves(run)]
    if run.predictions is not None:
        thumbnails = Thumbnails(run.image_root)
        sections += [
            _hardest(run.predictions, thumbnails),
            _confusions(run.predictions),
            _mistakes(run.predictions, thumbnails),
            _calibration(run.predictions),
        ]
    return page.page(f"{run.label}: {run.metrics.model}", _intro(run), [*sections, _settings(run)])


def _intro(run: RunContent) -> str:
    metrics, data = run.metrics, run.description.data
    text = f"Trained on {data.root} ({data.num_classes} classes)."
    if metrics.best_epoch is not None:
        split = page.split_name(metrics.selected_on)
        text += f" The metrics are of the best epoch, on the {split} images."
    split, mark = page.split_name(metrics.selected_on), page.mark(metrics.note)
    entries = {
        f"top-1{mark}": page.percent(metrics.val_top1_percent),
        f"top-5{mark}": page.percent(metrics.val_top5_percent),
        f"best epoch{mark}": f"{metrics.best_epoch or '-'} of {metrics.epochs}",
        f"{split} loss{mark}": "-" if metrics.val_loss is None else f"{metrics.val_loss:.3f}",
        f"{split} images": "-" if metrics.num_images is None else f"{metrics.num_images:,}",
        f"calibration error{mark}": page.percent(metrics.calibration_error_percent),
        "parameters": f"{metrics.num_params:,}",
        "FLOPs": f"{metrics.flops:,}",
    }
    return page.paragraph(text, "soft") + page.notes(run.notes) + page.tiles(entries)


def _curves(run: RunContent) -> str:
    if not run.rows:
        return page.section("Curves", page.paragraph("No epoch is done yet."))
    epochs = [row["epoch"] for row in run.rows]

    def line(name: str, column: str, color: int) -> Line:
        return Line(name, epochs, [row[column] for row in run.rows], color)

    val = shown_split(run.metrics.selected_on)
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


def _hardest(predictions: Predictions, thumbnails: Thumbnails) -> str:
    rows = []
    for one in classes_by_difficulty(predictions)[:NUM_HARDEST]:
        shown = "".join(
            thumbnails.show(predictions.paths[position], f"predicted as {_guess(predictions, position)}")
            for position in one.mistakes[:NUM_IMAGES]
        )
        metrics = one.metrics
        rows.append(
            [
                escape(metrics.name),
                str(metrics.num_images),
                page.percent(metrics.top1_percent),
                f'<div class="images few">{shown}</div>',
            ]
        )
    text = "The classes with the lowest top-1 accuracy, with their most confident mistakes."
    head = ("class", "images", "top-1", "most confident mistakes")
    title = f"Hardest classes{page.mark(predictions.note)}"
    return page.section(title, page.paragraph(text), page.table(head, rows, right=(1, 2)))


def _confusions(predictions: Predictions) -> str:
    part = worst_confusions(predictions, rows=NUM_CONFUSED)
    names = predictions.classes
    columns = [*(names[label] for label in part.columns), *(["other classes"] if part.others.any() else [])]
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(names[label])}</th>{_counts(part, row)}</tr>\n'
        for row, label in enumerate(part.rows)
    )
    text = (
        f"The {len(part.rows)} classes with the lowest top-1 accuracy, one per row; the columns are the"
        " predicted classes, the cells numbers of images."
    )
    return page.section(
        f"Confusion matrix of the worst classes{page.mark(predictions.note)}",
        page.paragraph(text),
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


def _mistakes(predictions: Predictions, thumbnails: Thumbnails) -> str:
    wrong = confident_mistakes(predictions)
    title = f"Confident mistakes{page.mark(predictions.note)}"
    if not wrong:
        return page.section(title, page.paragraph("There are none: every image is classified correctly."))
    shown = "".join(
        thumbnails.show(
            predictions.paths[position],
            f"{_guess(predictions, position)}: {predictions.confidences[position]:.1%}",
            f"is {predictions.classes[predictions.labels[position]]}",
        )
        for position in wrong[:NUM_MISTAKES]
    )
    text = f"The most confident of {len(wrong):,} mistakes, with their probability."
    return page.section(title, page.paragraph(text), f'<div class="images">{shown}</div>')


def _guess(predictions: Predictions, position: int) -> str:
    return predictions.classes[int(predictions.guesses[position, 0])]


def _calibration(predictions: Predictions) -> str:
    bins = reliability(predictions)
    error = page.percent(100 * bins.error)
    confidence, accuracy = 100 * float(np.mean(predictions.confidences)), predictions.top1_percent
    leaning = "overconfident" if confidence > accuracy else "underconfident"
    verdict = "" if math.isclose(confidence, accuracy, abs_tol=0.5) else f" Overall it is {leaning}."
    return page.section(
        f"Calibration{page.mark(predictions.note)}",
        page.paragraph(
            f"The expected calibration error is {error} ({NUM_BINS} bins): the mean distance between the"
            " probability of the most likely class and the accuracy. The mean probability is"
            f" {confidence:.2f} %, the accuracy {accuracy:.2f} %.{verdict}"
        ),
        f'<div class="charts">{reliability_diagram(bins)}</div>',
        page.paragraph(
            "A bar is the accuracy in a bin, the line across it the mean probability; darker bars hold more"
            " images. The dashed line is perfect calibration.",
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
