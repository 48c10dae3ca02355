"""The confusion matrix in a report: all of it, and the part of the worst classes."""

from __future__ import annotations

from html import escape

from lightcars.evaluation.analysis import Confusion, confusion_counts, worst_confusions
from lightcars.evaluation.predictions import Predictions
from lightcars.reports import page
from lightcars.reports.thumbnails import heat_map
from lightcars.text import json_text

NUM_WORST = 15
NUM_IN_TABLE = 25
"""A matrix of more classes is an image, with a pixel for each cell."""
RIGHT, WRONG = "0, 114, 178", "213, 94, 0"
"""Colors of cells: blue and orange, as the first two of all pictures."""


def confusions(predictions: Predictions) -> str:
    """Return the confusion matrix as a table; of many classes, an image of it and a table of the worst."""
    title = f"Confusion matrix{page.mark(predictions.note)}"
    if len(predictions.classes) <= NUM_IN_TABLE:
        part = worst_confusions(predictions, rows=NUM_IN_TABLE)
        text = (
            "One row for each class, from the lowest top-1 accuracy; the columns are the predicted classes,"
        )
        return page.section(
            title, page.paragraph(f"{text} and the cells are numbers of images."), _table(predictions, part)
        )
    part = worst_confusions(predictions, rows=NUM_WORST)
    text = (
        f"The {len(part.rows)} classes with the lowest top-1 accuracy, one per row; the columns are the"
        " predicted classes, and the cells are numbers of images."
    )
    return page.section(
        title,
        _image(predictions),
        page.subheading(f"Confusion matrix of the worst classes{page.mark(predictions.note)}"),
        page.paragraph(text),
        _table(predictions, part),
    )


def _image(predictions: Predictions) -> str:
    counts, names = confusion_counts(predictions), predictions.classes
    cells = " ".join(f"{row},{column},{count}" for (row, column), count in counts.items())
    text = (
        f"All {len(names)} classes in the order of their labels: true classes are rows, predicted classes"
        " are columns. Blue is right, orange is wrong; the darker a cell, the larger its share of the class."
    )
    return (
        f"{page.paragraph(text)}"
        f'<figure class="confusion" data-classes="{escape(json_text(names, indent=None))}"'
        f' data-counts="{cells}"><img src="{heat_map(counts, len(names))}" alt="confusion matrix">'
        "<figcaption>Point at a cell to see its classes.</figcaption></figure>"
    )


def _table(predictions: Predictions, part: Confusion) -> str:
    names = predictions.classes
    columns = [*(names[label] for label in part.columns), *(["other classes"] if part.others.any() else [])]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(names[label])}</th>{_counts(part, row)}</tr>\n'
        for row, label in enumerate(part.rows)
    )
    return (
        f'<div class="scroll"><table class="matrix"><thead><tr><td></td>{head}</tr>'
        f"</thead>\n<tbody>{body}</tbody></table></div>"
    )


def _counts(part: Confusion, row: int) -> str:
    total = max(int(part.counts[row].sum() + part.others[row]), 1)
    cells = []
    for column, count in enumerate(part.counts[row].tolist()):
        color = RIGHT if column == row else WRONG
        style = f' style="background: rgba({color}, {0.15 + 0.7 * count / total:.2f})"' if count else ""
        cells.append(f"<td{style}>{count or ''}</td>")
    others = f"<td>{int(part.others[row]) or ''}</td>" if part.others.any() else ""
    return "".join(cells) + others
