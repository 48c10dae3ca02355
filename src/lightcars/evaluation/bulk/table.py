"""Classify any number of images into a table: in constant memory, and from where it was interrupted."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

from tqdm import tqdm

from lightcars.errors import DataError, LightcarsError, RunError
from lightcars.evaluation.bulk.engine import AUTO_FROM, Classifier, EngineChoice, model_digest, start
from lightcars.evaluation.bulk.formats import FORMATS, Columns, check_installed
from lightcars.evaluation.bulk.journal import Journal
from lightcars.evaluation.bulk.reading import read_named
from lightcars.evaluation.bulk.stream import classify, to_row
from lightcars.evaluation.finding import finder_for
from lightcars.evaluation.options import PredictOptions
from lightcars.files import replacing
from lightcars.models.images import without_advice
from lightcars.outputs import check_output_file
from lightcars.runs.lock import RunLock
from lightcars.runs.trained import TrainedModel, load_trained
from lightcars.weights.car_finder import finder_digest

LIST = "content of the list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a table is to hold; the same job goes on after an interruption.

    Attributes:
        run: the weights, as for `predict`.
        sources: where the images are, as on the command line; recorded only.
        top: guesses of each image.
        choice: engine, precision and batch size.
        list_digest: digest of the list of names, if there is one; None is not compared.
        options: level of the names, and what is done with whole images.
    """

    run: str
    sources: tuple[str, ...]
    top: int
    choice: EngineChoice
    list_digest: str | None = None
    options: PredictOptions = PredictOptions()

    def settings(self, trained: TrainedModel) -> dict[str, Any]:
        """Return all that must be the same when it goes on."""
        return {
            "images": list(self.sources),
            LIST: self.list_digest,
            "working folder": os.getcwd(),  # noqa: PTH109 - relative names start there
            "weights": self.run,
            "model": model_digest(trained),
            "top": self.top,
            "engine": self.choice.engine,
            "precision": self.choice.precision,
            "batch size": self.choice.batch_size,
            "device": str(trained.device),
            "level": self.options.level,
            "cut": self.options.cut,
            "all cars": self.options.all_cars,
            "car finder": finder_digest() if finder_for(trained, self.options) else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A finished table.

    Attributes:
        table: its path.
        images: number of rows.
        failed: of images that could not be read; their rows say why.
        resumed_at: number of images that an interrupted command had done before.
        choice: engine, precision and batch size.
    """

    table: Path
    images: int
    failed: int
    resumed_at: int
    choice: EngineChoice


@final
class _Log:
    """Counts images that could not be read, and tells of the first one."""

    def __init__(self) -> None:
        self.failed, self.first = 0, ""

    def watch(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the rows."""
        for row in rows:
            if "error" in row:
                self.failed += 1
                self.first = self.first or row["error"]
            yield row


def check_table(table: Path, *, inputs: Iterable[str | Path] = (), force: bool = False) -> None:
    """Check before any work that a table can be written.

    Raises:
        ConfigError: an unknown suffix.
        InputError, RunError: see `check_output_file`.
        MissingExtraError: Parquet without pyarrow.
    """
    check_output_file(table, suffixes=tuple(FORMATS), inputs=inputs, force=force)
    check_installed(table.suffix.lower())


def write_table(
    job: Job,
    names: Iterable[str],
    table: Path,
    *,
    device: str | None = None,
    workers: int = 1,
    force: bool = False,
    on_error: Callable[[LightcarsError], None] = lambda _: None,
    on_resume: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Classify images into a table, or go on with it.

    Args:
        job: what the table is to hold.
        names: names of the images; taken only where the job begins.
        table: its path, checked by `check_table`.
        device: None: CUDA if it is available.
        workers: threads that read images.
        force: an interrupted job with other settings may be given up.
        on_error: told of each image that cannot be read.
        on_resume: told of the number of images when an interrupted job goes on.

    Raises:
        RunError: an interrupted job had other settings, another process is writing the table or has just
            finished it, the folder of the job holds other files, or the disk is full.
        DataError: none of the images can be read.
        LightcarsError: of the model, the engine, or a folder without images.
    """
    trained = load_trained(job.run, device)
    journal = Journal.beside(table)
    journal.make()
    with RunLock() as lock, without_advice():
        lock.acquire(journal.folder)
        try:
            check_output_file(table, force=force)  # another process may have finished it just now
            before = _resumable(job.settings(trained), journal, table, force=force)
            if before is None:
                classifier = _begin(job, trained, names, journal)
            else:
                on_resume(journal.count_names())
                classifier = start(
                    trained, replace(job.choice, **before["chosen"]), many=True, options=job.options
                )
        except BaseException:
            if journal.settings() is None:
                journal.remove()
            raise
        summary = _go_on(job, classifier, journal, table, workers, on_error)
        journal.remove()
    return summary


def _resumable(
    settings: dict[str, Any], journal: Journal, table: Path, *, force: bool
) -> dict[str, Any] | None:
    """Return what an interrupted job wrote at its beginning; None if a job is to begin.

    Raises:
        RunError: its settings were others, and `force` is False.
    """
    before = journal.settings()
    if before is None or _is_older(journal, table):
        return None
    changed = _changed(before["settings"], settings)
    if changed is None:
        return before
    if force:
        return None
    first = _shown(before["settings"].get(changed))
    raise RunError(
        f"{journal.folder} was started with other settings ({changed}: {first}, now"
        f" {_shown(settings[changed])}); --force starts again."
    )


def _begin(job: Job, trained: TrainedModel, names: Iterable[str], journal: Journal) -> Classifier:
    """Return the classifier, once the journal has the names and the settings."""
    journal.clear()
    many = journal.store_names(names) >= AUTO_FROM
    classifier = start(trained, job.choice, many=many, options=job.options)
    journal.begin({"settings": job.settings(trained), "chosen": asdict(classifier.choice)})
    return classifier


def _is_older(journal: Journal, table: Path) -> bool:
    """Return whether the table was finished after the journal: it was killed while it tidied up."""
    rows = journal.rows_file
    return table.exists() and rows.exists() and rows.stat().st_mtime_ns < table.stat().st_mtime_ns


def _changed(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """Return the name of the first setting that is another; a list on standard input need not come twice."""
    for name, value in now.items():
        if before.get(name) != value and not (name == LIST and value is None):
            return name
    return None


def _shown(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _go_on(
    job: Job,
    classifier: Classifier,
    journal: Journal,
    table: Path,
    workers: int,
    on_error: Callable[[LightcarsError], None],
) -> Summary:
    """Classify what is missing, then write the table from the rows."""
    done, total = journal.recover(classifier.choice.batch_size), journal.count_names()
    bar = tqdm(desc=table.name, initial=done, total=total, unit=" images", disable=None, smoothing=0.05)
    with journal.writer() as writer, bar:
        batches = classify(classifier, journal.remaining(done), read_named, top=job.top, workers=workers)
        for batch in batches:
            writer.write(map(to_row, batch))
            with bar.external_write_mode(file=sys.stderr):
                for error in (result.error for result in batch if result.error is not None):
                    on_error(error)
            bar.update(len(batch))
    log = _Log()
    columns = Columns(
        top=min(job.top, len(classifier.naming.names)),
        has_familiarity=classifier.has_familiarity,
        has_boxes=classifier.finder is not None,
    )
    with replacing(table) as temporary:
        FORMATS[table.suffix.lower()](log.watch(journal.rows()), temporary, columns)
        if log.failed == total:  # such as addresses without a network
            journal.remove()
            raise DataError(log.first if total == 1 else f"none of the {total:,} images can be read.")
    return Summary(table=table, images=total, failed=log.failed, resumed_at=done, choice=classifier.choice)
