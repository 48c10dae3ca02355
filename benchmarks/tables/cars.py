"""Markdown tables and the plot of the Stanford Cars results, for docs/cars196.md. Imports no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchmarks.tables.plots import SOURCE
from benchmarks.tables.speed import Records, markdown, not_yet, origin

SEARCH_PICTURE = "search.png"
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


def shipped(found: Records) -> str:
    """Return the metrics of the shipped weights."""
    card = found.get("train_cars196")
    if card is None:
        return not_yet("train_cars196")
    threads = f"{card['threads']} thread{'s' if card['threads'] > 1 else ''}"
    rows = [
        ["top-1 on `val`", f"{card['val_top1_percent']:.2f} %"],
        ["top-5 on `val`", f"{card['val_top5_percent']:.2f} %"],
        ["expected calibration error on `val`", f"{100 * card['val_calibration_error']:.1f} %"],
        [
            "before temperature scaling",
            f"{100 * card['val_calibration_error_before']:.1f} %",
        ],
        ["resolution", f"{card['resolution']} px"],
        ["training", f"{card['epochs']} epochs, {card['hours']:.1f} hours, {threads}, seed {card['seed']}"],
    ]
    kinds = card["val_top1_percent_by_resolution"]
    sides = list(next(iter(kinds.values())))
    tried = [
        [f"batch norm statistics {LABELS.get(kind, kind)}", *(f"{tops[side]:.2f}" for side in sides)]
        for kind, tops in kinds.items()
    ]
    text = markdown(("metric", "value"), rows)
    choice = markdown(("top-1 on `val`, %", *(f"{side} px" for side in sides)), tried)
    return f"{text}\n{choice}" + origin(found, "train_cars196")


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


def out_of_distribution(found: Records) -> str:
    """Return how well each score detects out-of-distribution images."""
    record = found.get("strange_pictures")
    if record is None:
        return not_yet("strange_pictures")
    head = [
        f"{folder} ({len(names)} images): {column}"
        for folder, names in record["pictures"].items()
        for column in ("AUROC", "detected")
    ]
    rows = [
        [
            name,
            *(
                cell
                for each in row.values()
                for cell in (f"{each['area']:.2f}", f"{each['found_percent']:.0f} %")
            ),
        ]
        for name, row in record["results"].items()
    ]
    return markdown(("score", *head), rows) + origin(found, "strange_pictures")


def corrupted(found: Records) -> str:
    """Return accuracy and out-of-distribution rate on corrupted photographs."""
    record = found.get("changed_photographs")
    if record is None:
        return not_yet("changed_photographs")
    rows = [
        [
            LABELS.get(name, name),
            *(f"{row[f'{key}_percent']:.1f} %" for key in ("top1", "strange", "strange_of_right")),
        ]
        for name, row in record["results"].items()
    ]
    head = ("photographs of `val`", "top-1", "out of distribution", "of the correct ones")
    return markdown(head, rows) + origin(found, "changed_photographs")


def curves(found: Records) -> dict[str, list[float]]:
    """Return top-1 on `val` after each epoch, for each trial's first seed."""
    trials = found.get("cars_search", {}).get("results", {})
    return {name: trial["runs"][0]["val_top1_percent_by_epoch"] for name, trial in trials.items()}


def digest(found: Records) -> str:
    """Return a digest of the data of the plot."""
    return hashlib.sha256(repr(curves(found)).encode()).hexdigest()


def draw_curves(found: Records, path: Path) -> None:
    """Write the plot, with the digest of its data in its metadata; nothing without results."""
    from matplotlib.figure import Figure

    lines = curves(found)
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
    axes.legend(fontsize=8, title="trial: best epoch", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(path, dpi=110, metadata={SOURCE: digest(found)})
