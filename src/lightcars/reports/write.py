"""From run folders to a page on disk."""

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
        path: of the page.
        runs: the key figures of each run.
        comparison: of several runs that were judged on the same photographs.
        notes: what the page says about gaps.
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
    """Writes one HTML page about a run, or about several side by side; it needs no network.

    Curves, confusion matrix of the worst classes, hardest classes, confident mistakes and calibration; of
    several runs their figures, what differs in their settings, their curves, and the photographs that every
    one gets wrong. An unfinished run is shown as far as it is.

    Args:
        runs: a run folder of `finetune`, or several.
        out: the page; the default is `report.html` in the run folder, for one run.
        data: the folder with the photographs, if it is not where the run found it; predictions that a run
            lacks are computed from it.

    Returns:
        The path of the page.

    Raises:
        InputError: several runs without `out`, or one of them twice.
        RunError: no run, a damaged file in it, or a page that cannot be written.
        DataError: there is no folder `data`, or it has other classes.
    """
    several = [runs] if isinstance(runs, str | Path) else list(runs)
    source = Source(data=None if data is None else Path(data))
    return write_report([Path(run) for run in several], None if out is None else Path(out), source).path


def write_report(runs: Sequence[Path], out: Path | None, source: Source) -> Report:
    """The same, with what the page says."""
    if not runs:
        raise InputError("a report needs at least one run folder.")
    if out is None and len(runs) > 1:
        raise InputError("a report of several runs needs a file of its own (--out).")
    contents = [read_run(run, label, source) for run, label in zip(runs, _labels(runs), strict=True)]
    compared = compare(contents)
    with without_advice():
        text = single_page(contents[0]) if len(contents) == 1 else several_page(contents, compared)
    path = RunFolder(runs[0]).report if out is None else out
    write_text(path, text)
    return Report(
        path=path,
        runs=tuple(content.figures for content in contents),
        comparison=None if compared is None else comparison(compared),
        notes=tuple(note for content in contents for note in content.notes),
    )


def _labels(runs: Sequence[Path]) -> list[str]:
    """The folders' names, or whole paths if some are the same."""
    resolved = [run.resolve() for run in runs]
    for position, run in enumerate(resolved):
        if run in resolved[:position]:
            raise InputError(f"the run {runs[position]} is given twice.")
    names = [run.name for run in resolved]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]
