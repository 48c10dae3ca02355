"""The report of one run."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

import numpy as np

from lightcars.errors import DataError
from lightcars.evaluation.analysis import (
    NUM_BINS,
    class_rows,
    classes_by_difficulty,
    confident_mistakes,
    reliability,
)
from lightcars.evaluation.predictions import Predictions
from lightcars.models.inline import embedded
from lightcars.reports import page
from lightcars.reports.charts import line_chart, reliability_diagram
from lightcars.reports.conditions import conditions
from lightcars.reports.confusions import confusions
from lightcars.reports.lines import Line
from lightcars.reports.run_metrics import RunContent
from lightcars.reports.thumbnails import Thumbnails
from lightcars.runs.folder import RunFolder
from lightcars.runs.selection import shown_split, shows_top5

AUGMENTED_SIDE = 700
"""Maximum pixels of the picture of augmented images."""
NUM_HARDEST, NUM_IMAGES, NUM_MISTAKES = 15, 4, 12


def single_page(run: RunContent) -> str:
    """Return the page: curves, images, classes, confusions, mistakes, calibration, settings."""
    sections = [_curves(run), _augmented(run)]
    if run.predictions is not None:
        thumbnails = Thumbnails(run.image_root)
        sections += [
            _hardest(run.predictions, thumbnails),
            _classes(run.predictions),
            confusions(run.predictions),
            _mistakes(run.predictions, thumbnails),
            _calibration(run.predictions),
        ]
    name = run.metrics.model
    title = run.label if run.label == name else f"{run.label}: {name}"
    return page.page(title, _intro(run), [*sections, _settings(run)])


def _intro(run: RunContent) -> str:
    metrics, data = run.metrics, run.description.data
    text = f"Trained on {data.root} ({data.num_classes} classes)."
    if metrics.best_epoch is not None:
        split = page.split_name(metrics.selected_on)
        text += f" The metrics are of the best epoch, on the {split} images."
    split, mark = page.split_name(metrics.selected_on), page.mark(metrics.note)
    entries = {
        f"top-1{mark}": page.percent(metrics.val_top1_percent),
        **({f"top-5{mark}": page.percent(metrics.val_top5_percent)} if shows_top5(data.num_classes) else {}),
        f"best epoch{mark}": f"{metrics.best_epoch or '-'} of {metrics.epochs}",
        f"{split} loss{mark}": "-" if metrics.val_loss is None else f"{metrics.val_loss:.3f}",
        f"{split} images": "-" if metrics.num_images is None else f"{metrics.num_images:,}",
        f"calibration error{mark}": page.percent(metrics.calibration_error_percent),
        "parameters": f"{metrics.num_params:,}",
        "FLOPs": f"{metrics.flops:,}",
        **conditions(run),
    }
    return page.paragraph(text, "soft") + page.notes(run.notes) + page.tiles(entries)


def _curves(run: RunContent) -> str:
    if not run.rows:
        return page.section("Curves", page.paragraph("No epoch has finished yet."))
    epochs = [row["epoch"] for row in run.rows]

    def line(name: str, column: str, color: int, best: float | None = None) -> Line:
        return Line(name, epochs, [row[column] for row in run.rows], color, best=best)

    val, best = shown_split(run.metrics.selected_on), run.metrics.best_epoch
    top5 = (
        [line(f"{val} top-5", "val_top5_percent", 2)] if shows_top5(run.description.data.num_classes) else []
    )
    charts = [
        line_chart("loss", [line("train", "train_loss", 7), line(val, "val_loss", 0, best)]),
        line_chart(
            "accuracy (%)",
            [
                line("train top-1", "train_top1_percent", 7),
                line(f"{val} top-1", "val_top1_percent", 0, best),
                *top5,
            ],
        ),
        line_chart("learning rate", [line("at the end of the epoch", "learning_rate", 1)]),
    ]
    sizes = run.description.training_resolutions
    if sizes:
        steps = [(float(first), float(size)) for first, size in sizes.items()]
        ys = [max(size for first, size in steps if first <= epoch) for epoch in epochs]
        charts.append(line_chart("training resolution (px)", [Line("train", epochs, ys, 7)]))
    ring = f"The ring marks the best epoch, {best}. " if best is not None else ""
    text = f"{ring}Point at an epoch to see its values."
    return page.section(
        "Curves", page.paragraph(text, "soft"), f'<div class="charts">{"".join(charts)}</div>'
    )


def _augmented(run: RunContent) -> str:
    """Return the training images of the first batch; nothing for runs of versions that did not keep them."""
    path = RunFolder(Path(run.metrics.run)).augmented
    try:
        source = embedded(path, AUGMENTED_SIDE) if path.is_file() else None
    except DataError:
        source = None
    if source is None:
        return ""
    text = "Training images of the first batch, as the model sees them."
    figure = f'<figure class="augmented"><img src="{source}" alt="augmented training images"></figure>'
    return page.section("Augmented images", page.paragraph(text), figure)


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


def _classes(predictions: Predictions) -> str:
    """Return a table of all classes."""
    top5 = shows_top5(len(predictions.classes))
    head = ["class", "images", "top-1", *(["top-5"] if top5 else []), "precision", "most confused with"]
    rows = [
        [
            escape(row.name),
            str(row.num_images),
            page.percent(row.top1_percent),
            *([page.percent(row.top5_percent)] if top5 else []),
            page.percent(row.precision_percent),
            "-" if row.confused_with is None else f"{escape(row.confused_with)} ({row.num_confused})",
        ]
        for row in class_rows(predictions)
    ]
    text = (
        "Top-1 is the share of a class's images that are predicted as it (recall), precision the share of the"
        " images predicted as the class that are of it. Click a heading to sort."
    )
    numbers = range(1, len(head) - 1)
    return page.section(
        f"All classes{page.mark(predictions.note)}",
        page.paragraph(text),
        page.table(head, rows, right=numbers, sortable=True),
    )


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
        "initial weights": description.weights or "random",
        **content["recipe"],
        "training_resolutions": content.get("training_resolutions", {}),
        "data": content["data"],
        **{f"version of {name}": value for name, value in description.versions.items()},
    }
    rows = [[escape(name), escape(text)] for name, text in page.settings_as_text(wanted).items()]
    return page.section("Recipe and data", page.table(("setting", "value"), rows))
