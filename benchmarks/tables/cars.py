"""What docs/cars196.md and README.md quote of the search and of the weights that ship. No torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from plots import SOURCE
from speed_tables import Records, markdown, not_yet, origin

SEARCH_PICTURE = "search.png"
START = "start"


def search(found: Records) -> str:
    """One row a trial: what is changed, and what it gives against the start."""
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
    head = ("trial", "what is changed", "val top-1 %, each seed", "against `start`", "hours")
    days = sorted(run["date"] for trial in trials.values() for run in trial["runs"] if "date" in run)
    record = {**found["cars_search"], "date": " to ".join(dict.fromkeys((days[0], days[-1])))}
    return markdown(head, rows, texts=2) + origin({"cars_search": record}, "cars_search")


def shipped(found: Records) -> str:
    """The figures of the weights in the package."""
    card = found.get("train_cars196")
    if card is None:
        return not_yet("train_cars196")
    threads = f"{card['threads']} thread{'s' if card['threads'] > 1 else ''}"
    rows = [
        ["top-1 on `val`", f"{card['val_top1_percent']:.2f} %"],
        ["top-5 on `val`", f"{card['val_top5_percent']:.2f} %"],
        ["calibration error on `val`", f"{100 * card['val_calibration_error']:.1f} %"],
        [
            "before the temperature was fitted",
            f"{100 * card['val_calibration_error_before']:.1f} %",
        ],
        ["resolution", f"{card['resolution']} px"],
        ["training", f"{card['epochs']} epochs, {card['hours']:.1f} hours, {threads}, seed {card['seed']}"],
    ]
    kinds = card["val_top1_percent_by_resolution"]
    sides = list(next(iter(kinds.values())))
    tried = [[f"statistics {kind}", *(f"{tops[side]:.2f}" for side in sides)] for kind, tops in kinds.items()]
    text = markdown(("figure", "value"), rows)
    choice = markdown(("top-1 of `val`, %", *(f"{side} px" for side in sides)), tried)
    return f"{text}\n{choice}" + origin(found, "train_cars196")


def answers(found: Records) -> str:
    """How long a first answer takes, from a cold start."""
    record = found.get("first_answer")
    if record is None:
        return not_yet("first_answer")
    rows = []
    for name, row in record["results"].items():
        wall, target = row["wall_ms"], row["target_ms"]
        time = f"{wall['median'] / 1000:.2f} s [{wall['min'] / 1000:.2f} .. {wall['max'] / 1000:.2f}]"
        rows.append([f"`{name}`", time, "" if target is None else f"{target / 1000:g} s"])
    return markdown(("command", "median [least .. most]", "asked"), rows) + origin(found, "first_answer")


def strange(found: Records) -> str:
    """How well each score tells strange pictures."""
    record = found.get("strange_pictures")
    if record is None:
        return not_yet("strange_pictures")
    head = [
        f"{folder} {len(names)}: {figure}"
        for folder, names in record["pictures"].items()
        for figure in ("area", "found")
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


def changed(found: Records) -> str:
    """What is made of worse photographs."""
    record = found.get("changed_photographs")
    if record is None:
        return not_yet("changed_photographs")
    rows = [
        [
            name,
            *(f"{row[f'{figure}_percent']:.1f} %" for figure in ("top1", "strange", "strange_of_right")),
        ]
        for name, row in record["results"].items()
    ]
    head = ("photographs of `val`", "top-1", "called strange", "of those named right")
    return markdown(head, rows) + origin(found, "changed_photographs")


def curves(found: Records) -> dict[str, list[float]]:
    """Top-1 of `val` after each epoch, of each trial's first seed."""
    trials = found.get("cars_search", {}).get("results", {})
    return {name: trial["runs"][0]["val_top1_percent_by_epoch"] for name, trial in trials.items()}


def digest(found: Records) -> str:
    """Of what the picture shows."""
    return hashlib.sha256(repr(curves(found)).encode()).hexdigest()


def draw_curves(found: Records, path: Path) -> None:
    """Writes the picture, with the digest of its figures in it; nothing where there are none."""
    from matplotlib.figure import Figure

    lines = curves(found)
    if not lines:
        return
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, values) in enumerate(sorted(lines.items(), key=lambda line: -max(line[1]))):
        style = "--" if index >= 10 else "-"  # colours come again
        axes.plot(range(1, len(values) + 1), values, style, label=f"{name}: {max(values):.1f} %")
    axes.set_xlabel("epoch")
    axes.set_ylabel("top-1 of val, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, title="trial: best epoch", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(path, dpi=110, metadata={SOURCE: digest(found)})
