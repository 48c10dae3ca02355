"""Markdown tables and the plot of the Stanford Cars results, for docs/cars196.md. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.record import CARS196, CARS196_GHOSTNET, of_weights
from benchmarks.tables.plots import SOURCE
from benchmarks.tables.speed import Records, markdown, not_yet, origin

SEARCH_PICTURE, TRAINING_PICTURE = "search.png", "cars196.png"
TRAINING, WHOLE = "train_cars196", "whole_photographs"
CAR_TAGS = (CARS196, CARS196_GHOSTNET)
NAMES = {"efficientnet_lite2": "an EfficientNet-Lite2", "ghostnet_thesis": "a GhostNet"}
FINDER, TRUE_BOX = "trained finder", "cut to the true box"
"""Ways to find the car, as `benchmarks/cars/whole_photographs.py` names them."""
START = "start"
LABELS = {
    "as it is": "unchanged",
    "without colours": "grayscale",
    "of the training": "from training",
    "taken anew": "re-estimated at that resolution",
}
"""Label in a result file -> label in a table."""


def search(found: Records) -> str:
    """Return one row per trial: its change, and its gain over the starting recipe."""
    trials = dict(found.get("cars_search", {}).get("results", {}))
    if not trials:
        return not_yet("cars_search")
    c50 = found.get("cars_recipes", {}).get("results", {}).get("c-50")
    if c50 and "c-50" not in trials:
        trials = {"c-50": {"says": "the thesis's C-50, scaled; in float32", **c50}} | trials
    before = trials.get(START, {}).get("val_top1_percent_mean")
    rows = []
    for name, trial in trials.items():
        mean, runs = trial["val_top1_percent_mean"], trial["runs"]
        gain = "" if before is None or name in (START, "c-50") else f"{mean - before:+.1f}"
        seeds = ", ".join(f"{run['val_top1_percent']:.2f}" for run in runs)
        hours = f"{sum(run['hours'] for run in runs) / len(runs):.2f}"
        rows.append([f"`{name}`", trial["says"], seeds, gain, hours])
    head = ("trial", "change", "val top-1 % per seed", "gain over `start`", "hours")
    days = sorted(run["date"] for trial in trials.values() for run in trial["runs"] if "date" in run)
    record = {**found["cars_search"], "date": " to ".join(dict.fromkeys((days[0], days[-1])))}
    return markdown(head, rows, texts=2) + origin({"cars_search": record}, "cars_search")


def of_tags(found: Records, name: str) -> dict[str, Any]:
    """Return the records of a result, by the tag of the shipped weights."""
    return {tag: found[of_weights(name, tag)] for tag in CAR_TAGS if of_weights(name, tag) in found}


def origins(found: Records, name: str) -> str:
    """Return the conditions of a result of each of the shipped weights; the same ones once."""
    lines = (origin(found, of_weights(name, tag)).strip() for tag in of_tags(found, name))
    return "\n" + "\n".join(dict.fromkeys(lines)) + "\n"


def shipped(found: Records) -> str:
    """Return the metrics of the shipped weights."""
    cards = of_tags(found, TRAINING)
    if not cards:
        return not_yet(TRAINING)
    columns = [list(_metrics(card).items()) for card in cards.values()]
    rows = [[cells[0][0], *(value for _, value in cells)] for cells in zip(*columns, strict=True)]
    head = ("metric", *(f"`{tag}`" for tag in cards))
    tried = "\n".join(_tried(tag, card) for tag, card in cards.items())
    return f"{markdown(head, rows)}\n{tried}" + origins(found, TRAINING)


def training_runs(found: Records) -> str:
    """Return one row per run behind the shipped weights whose metrics by epoch are known."""
    cards = of_tags(found, TRAINING)
    rows = [
        [
            f"`{tag}`",
            f"`{run['recipe']}`",
            f"{run['resolution']} px",
            f"{len(run['val_top1_percent_by_epoch'])}",
            f"{run['hours']:.1f}",
            f"{max(run['val_top1_percent_by_epoch']):.2f} %",
        ]
        for tag, card in cards.items()
        for run in card["runs"]
    ]
    head = ("weights", "run", "resolution", "epochs", "hours", "best epoch: top-1 on `val`")
    return markdown(head, rows, texts=2) if rows else not_yet(TRAINING)


def choices(found: Records) -> str:
    """Return one row per run of the comparison of optimizers, and of training with and without a teacher."""
    record = found.get("cars_choices")
    if record is None:
        return not_yet("cars_choices")
    rows = [
        [
            f"`{row['model']}`",
            row["says"],
            f"{row['epochs']}",
            f"{row['val_top1_percent']:.2f} % at {row['resolution']} px",
            ", ".join(
                f"{last['val_top1_percent']:.2f} % at {last['resolution']} px" for last in row["last_epoch"]
            ),
            f"{row['hours']:.2f}",
        ]
        for row in record["results"].values()
    ]
    head = ("model", "run", "epochs", "best epoch: top-1 on `val`", "last epoch", "hours")
    return markdown(head, rows, texts=2) + origin(found, "cars_choices")


def training_curves(found: Records) -> dict[str, list[float]]:
    """Return top-1 on `val` after each epoch of the runs behind the shipped weights."""
    return {
        f"{tag}: {run['recipe']}": run["val_top1_percent_by_epoch"]
        for tag, card in of_tags(found, TRAINING).items()
        for run in card["runs"]
    }


def _metrics(card: Mapping[str, Any]) -> dict[str, str]:
    threads = f"{card['threads']} thread{'s' if card['threads'] > 1 else ''}"
    return {
        "model": f"`{card['model']}`, {card['parameters']:,} parameters",
        "top-1 on `val`": f"{card['val_top1_percent']:.2f} %",
        "top-5 on `val`": f"{card['val_top5_percent']:.2f} %",
        "make and model": f"{card['val_model_top1_percent']:.2f} %",
        "make": f"{card['val_make_top1_percent']:.2f} %",
        "expected calibration error on `val`": f"{100 * card['val_calibration_error']:.1f} %",
        "before temperature scaling": f"{100 * card['val_calibration_error_before']:.1f} %",
        "resolution": f"{card['resolution']} px",
        "training": f"{card['epochs']} epochs, {card['hours']:.1f} hours, {threads}, seed {card['seed']}",
    }


def _tried(tag: str, card: Mapping[str, Any]) -> str:
    """Return top-1 at each resolution, with each kind of batch norm statistics."""
    kinds = card["val_top1_percent_by_resolution"]
    sides = list(next(iter(kinds.values())))
    rows = [
        [f"batch norm statistics {LABELS.get(kind, kind)}", *(f"{tops[side]:.2f}" for side in sides)]
        for kind, tops in kinds.items()
    ]
    return markdown((f"`{tag}`: top-1 on `val`, %", *(f"{side} px" for side in sides)), rows)


def summary(found: Records) -> str:
    """Return the accuracy of the default weights in a sentence, for the README."""
    card, whole = of_tags(found, TRAINING).get(CARS196), of_tags(found, WHOLE).get(CARS196)
    measured = {} if whole is None else whole["results"]["ways"]
    ways = {name: row["composites"]["top1_percent"] for name, row in measured.items()}
    if card is None or FINDER not in ways:
        known = ((TRAINING, card is not None), (WHOLE, FINDER in ways))
        return not_yet(*(name for name, there in known if not there))
    model = NAMES.get(card["model"], card["model"])
    size = f"{card['parameters'] / 1e6:.1f} million parameters"
    return (
        f"On [Stanford Cars](docs/cars196.md), {model} with {size}, the default of `predict`,"
        f" reaches {card['val_top1_percent']:.1f} % top-1 on validation\nphotographs cropped to the"
        " car. On composites, where `predict` must find the car, it reaches"
        f" {ways[FINDER]:.1f} % (cropped: {ways[TRUE_BOX]:.1f} %).\n"
    )


def answers(found: Records) -> str:
    """Return the time of a first prediction from a cold start."""
    record = found.get("first_answer")
    if record is None:
        return not_yet("first_answer")
    rows = []
    for name, row in record["results"].items():
        wall, target = row["wall_ms"], row["target_ms"]
        time = f"{wall['median'] / 1000:.2f} s [{wall['min'] / 1000:.2f} .. {wall['max'] / 1000:.2f}]"
        rows.append([f"`{name}`", time, "" if target is None else f"{target / 1000:g} s"])
    return markdown(("command", "median [min .. max]", "target"), rows) + origin(found, "first_answer")


def out_of_distribution(found: Records, tag: str = CARS196) -> str:
    """Return how well each score detects out-of-distribution images."""
    name = of_weights("strange_pictures", tag)
    record = found.get(name)
    if record is None:
        return not_yet("strange_pictures", weights=tag)
    head = [
        f"{folder} ({len(names)} images): {column}"
        for folder, names in record["pictures"].items()
        for column in ("AUROC", "detected")
    ]
    rows = [
        [
            score,
            *(
                cell
                for each in row.values()
                for cell in (f"{each['area']:.2f}", f"{each['found_percent']:.0f} %")
            ),
        ]
        for score, row in record["results"].items()
    ]
    return markdown(("score", *head), rows) + origin(found, name)


def corrupted(found: Records) -> str:
    """Return accuracy and out-of-distribution rate on corrupted photographs, for each of the weights."""
    name = "changed_photographs"
    records = of_tags(found, name)
    if not records:
        return not_yet(name)
    keys = {"top1": "top-1", "strange": "out of distribution", "strange_of_right": "of the correct ones"}
    results = [record["results"] for record in records.values()]
    rows = [
        [
            LABELS.get(change, change),
            *(f"{each[change][f'{key}_percent']:.1f} %" for each in results for key in keys),
        ]
        for change in results[0]
    ]
    head = (f"`{tag}`: {title}" for tag in records for title in keys.values())
    return markdown(("photographs of `val`", *head), rows) + origins(found, name)


def curves(found: Records) -> dict[str, list[float]]:
    """Return top-1 on `val` after each epoch, for each trial's first seed."""
    trials = found.get("cars_search", {}).get("results", {})
    return {name: trial["runs"][0]["val_top1_percent_by_epoch"] for name, trial in trials.items()}


def digest(lines: Mapping[str, Sequence[float]]) -> str:
    """Return a digest of the data of a plot."""
    return hashlib.sha256(repr(lines).encode()).hexdigest()


def draw_curves(lines: Mapping[str, Sequence[float]], path: Path, title: str = "trial: best epoch") -> None:
    """Write a plot of top-1 by epoch, with the digest of its data in its metadata; nothing without lines."""
    from matplotlib.figure import Figure

    if not lines:
        return
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, values) in enumerate(sorted(lines.items(), key=lambda line: -max(line[1]))):
        style = "--" if index >= 10 else "-"  # the colors repeat
        axes.plot(range(1, len(values) + 1), values, style, label=f"{name}: {max(values):.1f} %")
    axes.set_xlabel("epoch")
    axes.set_ylabel("top-1 on val, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, title=title, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(path, dpi=110, metadata={SOURCE: digest(lines)})
