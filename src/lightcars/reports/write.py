"""Write the report of one run or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightcars.errors import InputError
from lightcars.files import write_text
from lightcars.models.images import without_advice
from lightcars.reports.run_metrics import Comparison, RunMetrics, Source, read_run
from lightcars.reports.several import compare, comparison, several_page
from lightcars.reports.single import single_page
from lightcars.runs.folder import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report that was written.

    Attributes:
        path: path of the page.
        runs: the key metrics of each run.
        comparison: comparison of several runs, if they were evaluated on the same images.
        notes: the notes on the page about missing parts.
    """

    path: Path
    runs: tuple[RunMetrics, ...]
    comparison: Comparison | None
    notes: tuple[str, ...]


def report(
    runs: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    data: str | Path | None = None,
) -> Path:
    """Write a self-contained HTML page about a run, or about several side by side.

    For one run: curves, hardest classes, confusion matrix of the worst classes, confident mistakes and
    calibration. For several runs: their metrics, the settings that differ, their curves, and the images that
    every one misclassifies. An unfinished run is shown up to its last epoch.

    Args:
        runs: a run folder of `finetune`, or several.
        out: path of the page; None: `report.html` in the run folder, for one run.
        data: the data folder, if it has moved since the run; missing predictions are computed from it.

    Returns:
        The path of the page.

    Raises:
        InputError: several runs without `out`, or the same run twice.
        RunError: a folder is not a run, a file in it is damaged, or the page cannot be written.
        DataError: there is no folder `data`, or it has other classes than the model.
    """
    several = [runs] if isinstance(runs, str | Path) else list(runs)
    source = Source(data=None if data is None else Path(data))
    return write_report([Path(run) for run in several], None if out is None else Path(out), source).path


def write_report(runs: Sequence[Path], out: Path | None, source: Source) -> Report:
    """Write the page and return its metrics and notes."""
    if not runs:
        raise InputError("a report needs at least one run folder.")
    if out is None and len(runs) > 1:
        raise InputError("a report of several runs needs a path for the page (--out).")
    contents = [read_run(run, label, source) for run, label in zip(runs, _labels(runs), strict=True)]
    compared = compare(contents)
    with without_advice():
        text = single_page(contents[0]) if len(contents) == 1 else several_page(contents, compared)
    path = RunFolder(runs[0]).report if out is None else out
    write_text(path, text)
    return Report(
        path=path,
        runs=tuple(content.metrics for content in contents),
        comparison=None if compared is None else comparison(compared),
        notes=tuple(note for content in contents for note in content.notes),
    )


def _labels(runs: Sequence[Path]) -> list[str]:
    """Return the names of the folders, or their paths if two names are equal."""
    resolved = [run.resolve() for run in runs]
    for position, run in enumerate(resolved):
        if run in resolved[:position]:
            raise InputError(f"the run {runs[position]} is given twice; name each run once.")
    names = [run.name for run in resolved]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]
