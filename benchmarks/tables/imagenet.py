"""Markdown table of ImageNet weights in each precision, for docs/weights.md. Imports no torch."""

from __future__ import annotations

from benchmarks.tables.speed import Records, markdown, not_yet, origin

NAME = "imagenet_precisions"


def precisions(found: Records) -> str:
    """Return how many images each model classifies right: of all, and of those not used for calibration."""
    record = found.get(NAME)
    if record is None:
        return not_yet(NAME)
    rows = []
    for model, result in record["results"].items():
        for part, number in (("all", result["images"]), ("others", result["others"])):
            which = f"`{model}`, {'all' if part == 'all' else 'the other'} {number:,}"
            rows.append([which, *(str(counts[part]) for counts in result["right"].values())])
    columns = list(next(iter(record["results"].values()))["right"])
    engines = "; ".join(
        f"`{model}`: {', '.join(f'{precision} by {engine}' for precision, engine in chosen.items())}"
        for model, chosen in ((model, result["engines"]) for model, result in record["results"].items())
    )
    return f"{markdown(('images', *columns), rows)}\nEngines: {engines}.\n{origin(found, NAME)}"
