"""`lightcars predict` for any number of images: printed one after the other, or in a table."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, final

import typer

from lightcars.cli.guesses import print_answer
from lightcars.cli.interrupts import one_interrupt
from lightcars.cli.output import INTERRUPTED, JsonList, complain_in_one_line, print_json
from lightcars.deploy.candidates import AUTO
from lightcars.errors import DataError, InputError, LightcarsError
from lightcars.evaluation.bulk.names import STDIN, at_least_one, find_names, read_names

if TYPE_CHECKING:
    from lightcars.evaluation.bulk.engine import EngineChoice
    from lightcars.evaluation.options import PredictOptions

SOME_FAILED = 1
"""Exit code where some images could not be read."""
MOST_NAMED = 20
"""Bad images that are named on standard error where a table names all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asks for.

    Attributes:
        run: the weights.
        images: files, folders, patterns and addresses.
        files_from: a list of further images; `-` for standard input.
        separator: of the names in that list.
        top: number of classes.
        choice: engine, precision and batch size.
        device: None: CUDA if it is available.
        workers: threads that read images.
        options: level, and what is done with whole images.
    """

    run: str
    images: tuple[str, ...]
    files_from: Path | None
    separator: str
    top: int
    choice: EngineChoice
    device: str | None
    workers: int
    options: PredictOptions

    @contextmanager
    def names(self, *, again: bool) -> Iterator[Names]:
        """Open the list, and return all names, found as they are needed.

        Args:
            again: whether the digest of the list is needed, to recognize it when the command goes on.
        """
        if STDIN in self.images and str(self.files_from) == STDIN:
            raise InputError("standard input is either an image or a list of images.")
        if self.images.count(STDIN) > 1:
            raise InputError("standard input holds one image; give - only once.")
        if self.files_from is None:
            yield Names(find_names(self.images), None)
            return
        with _opened(self.files_from) as opened, tempfile.TemporaryFile() as copy:
            digest = _copy_list(opened, copy) if again else None
            file = _as_text(copy if again else opened)
            try:
                names = chain(find_names(self.images), read_names(file, self.separator))
                nothing = f"there are no names in {_called(self.files_from)}."
                yield Names(at_least_one(names, nothing), digest)
            finally:
                file.detach()  # so that standard input stays open


@dataclass(frozen=True, slots=True)
class Names:
    """The names of all images.

    Attributes:
        all: found as they are needed.
        digest: of the list; None if there is none, or if standard input, which was read before, is empty.
    """

    all: Iterator[str]
    digest: str | None


def _copy_list(opened: IO[bytes], copy: IO[bytes]) -> str | None:
    """Copy a list, which may be a pipe, and return its digest."""
    is_stdin = opened is sys.stdin.buffer
    if not (is_stdin and opened.isatty()):
        shutil.copyfileobj(opened, copy)
    size = copy.tell()
    copy.seek(0)
    digest = hashlib.file_digest(copy, "sha256").hexdigest()[:16]  # type: ignore[arg-type]
    copy.seek(0)
    return None if is_stdin and size == 0 else digest


def _as_text(file: IO[bytes]) -> io.TextIOWrapper:
    """Read names; bytes that are not UTF-8 are those of file names."""
    return io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")


def _called(path: Path) -> str:
    return "standard input" if str(path) == STDIN else str(path)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a list of names."""
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a list of names; give it as IMAGE.")
    if str(path) == STDIN:
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        yield file


def predict_many(request: Request, *, out: Path | None, force: bool, as_json: bool) -> None:
    """Print predictions as they come, or write them to a table."""
    with request.names(again=out is not None) as names:
        if out is None:
            failed = _print_all(request, names.all, as_json=as_json)
        else:
            failed = _write(request, names, out, force=force, as_json=as_json)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _write(request: Request, names: Names, out: Path, *, force: bool, as_json: bool) -> int:
    from lightcars.evaluation.bulk.journal import Journal
    from lightcars.evaluation.bulk.table import Job, check_table, write_table

    read = [image for image in request.images if os.path.isfile(image)]  # noqa: PTH113 - False for a name that is too long
    listed = [] if request.files_from is None else [request.files_from]
    check_table(out, inputs=[request.run, *read, *listed], force=force)
    sources = (*request.images, *(f"--files-from {path}" for path in listed))
    if request.separator == "\0":
        sources += ("--null",)
    job = Job(
        run=request.run,
        sources=sources,
        top=request.top,
        choice=request.choice,
        list_digest=names.digest,
        options=request.options,
    )
    complaints = _Complaints(MOST_NAMED)
    try:
        with one_interrupt():
            summary = write_table(
                job,
                names.all,
                out,
                device=request.device,
                workers=request.workers,
                force=force,
                on_error=complaints.add,
                on_resume=lambda count: complain_in_one_line(
                    f"{out}.part: resuming with the {count:,} image names of the first start"
                ),
            )
    except KeyboardInterrupt:
        begun = Journal.beside(out).settings() is not None
        done = f"the same command resumes from {out}.part" if begun else "nothing was written"
        complain_in_one_line(f"stopped; {done}")
        raise typer.Exit(INTERRUPTED) from None
    complaints.check_any(summary.images - summary.failed)
    if as_json:
        print_json(
            {
                "table": str(summary.table),
                "images": summary.images,
                "failed": summary.failed,
                "resumed_at": summary.resumed_at,
                "engine": summary.choice.engine,
                "precision": summary.choice.precision,
            }
        )
        return summary.failed
    resumed = f", {summary.resumed_at:,} of them earlier" if summary.resumed_at else ""
    failed = f"; {summary.failed:,} could not be read" if summary.failed else ""
    complain_in_one_line(
        f"{summary.images:,} images{resumed} in {summary.table} ({summary.choice.engine},"
        f" {summary.choice.precision}){failed}"
    )
    return summary.failed


@final
class _Complaints:
    """Names bad images on standard error, once it is known that there is another line for standard output.

    The first one is held back: if there is nothing else, it is the error with which the command ends.
    """

    def __init__(self, most: int | None = None) -> None:
        self.count = 0
        self._most = most
        self._first: LightcarsError | None = None

    def add(self, error: LightcarsError) -> None:
        """Name an image that could not be read."""
        self.count += 1
        if self.count == 1:
            self._first = error
            return
        self.flush()
        if self._most is None or self.count <= self._most:
            complain_in_one_line(f"warning: skipped: {error}")
        elif self.count == self._most + 1:
            complain_in_one_line(
                "warning: more images are skipped; the table's error column lists all of them."
            )

    def flush(self) -> None:
        """Name the first one, if it was not named yet."""
        if self._first is not None:
            complain_in_one_line(f"warning: skipped: {self._first}")
            self._first = None

    def check_any(self, good: int) -> None:
        """Raise the error of an image that is alone, or DataError if not one of several could be read."""
        if good:
            self.flush()
        elif self._first is not None:
            raise self._first
        elif self.count:
            raise DataError(f"none of the {self.count:,} images can be read.")


def _print_all(request: Request, names: Iterator[str], *, as_json: bool) -> int:
    """Print the predictions as they come; return how many images could not be read."""
    from lightcars.evaluation.bulk.engine import peek, start
    from lightcars.evaluation.bulk.reading import read_named
    from lightcars.evaluation.bulk.stream import classify, to_row
    from lightcars.models.images import without_advice
    from lightcars.runs.trained import load_trained

    trained = load_trained(request.run, request.device)
    many = False
    if request.choice.engine == AUTO:
        many, names = peek(names)
    classifier = start(trained, request.choice, many=many, options=request.options)
    good, complaints, items = 0, _Complaints(), JsonList()
    with without_advice(), items.closed_on_error():
        for batch in classify(classifier, names, read_named, top=request.top, workers=request.workers):
            for result in batch:
                if result.error is not None:
                    complaints.add(result.error)
                    continue
                assert result.answer is not None
                good += 1
                if as_json:
                    items.add(to_row(result))
                else:
                    print_answer(result.source, result.answer)
    complaints.check_any(good)
    if as_json:
        items.end()
    return complaints.count
