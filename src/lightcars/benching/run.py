"""`bench`: models in engines, one after the other."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lightcars.benching.cases import BenchCase, plan
from lightcars.benching.process import Answer, call_elsewhere
from lightcars.benching.results import BenchResult
from lightcars.benching.rows import Accuracy, BenchRow
from lightcars.benching.settings import EAGER, BenchSettings, known_engines
from lightcars.deploy.calibration import Calibration, as_calibration
from lightcars.deploy.cpu import processor
from lightcars.deploy.runners import installed_version
from lightcars.models.image_model import ImageModel
from lightcars.models.unwrapping import unwrap
from lightcars.version import __version__
from lightcars.weights.checkpoint import save

_CHILD = "lightcars.benching.child"


def bench(
    models: Mapping[str, ImageModel],
    settings: BenchSettings = BenchSettings(),
    *,
    accuracies: Mapping[str, Accuracy] | None = None,
    progress: bool = False,
) -> BenchResult:
    """Latency, throughput, memory and set-up time of models in each engine, or of their training step.

    Each engine is set up and compared with the eager model in one fresh process, and measured in another, so
    that neither its converter nor the idle threads of other engines are in its figures. A process that
    crashes, or is ended for want of memory, is a row that says so. The models stay as they are.

    Answers may differ as much as `optimize` allows. Where weights are fresh (`model.origin` is None) the
    difference is told, but not judged: such weights make far more of a rounding error than any that learnt.

    Args:
        models: of this library, by the names that the rows shall have.
        settings: what is measured.
        accuracies: of the weights, if known, by the same names: for the plot. `published_accuracy` knows
            those of the catalog.
        progress: show a bar.

    Raises:
        ConfigError, DeviceError, OptimizationError: something that cannot be measured here.
        MissingExtraError: an engine that was named is not installed.
    """
    models = {name: unwrap(model) for name, model in models.items()}
    jobs = plan(models, settings)
    rows = []
    with tempfile.TemporaryDirectory(prefix="lightcars-bench-") as work, _bar(jobs, progress) as show:
        for number, (name, model) in enumerate(models.items()):
            weights = save(model, Path(work) / str(number))
            for job in (job for job in jobs if job.model == name):
                show(job)
                found = _measure(job, weights, model, settings)
                rows.append(BenchRow.of(job, found, (accuracies or {}).get(name)))
    return BenchResult(
        rows=tuple(_sorted(rows)), train=settings.train, machine=_machine(jobs[0]), versions=_versions(jobs)
    )


def _measure(job: BenchCase, weights: Path, model: ImageModel, settings: BenchSettings) -> dict[str, Any]:
    """What the processes of one job answer."""
    with tempfile.TemporaryDirectory(prefix="lightcars-bench-") as work:
        folder = Path(work) / "engine"
        folder.mkdir()
        task = {
            **asdict(job),
            "weights": str(weights),
            "judged": model.origin is not None,  # fresh weights make too much of rounding
            "folder": str(folder),
            "seconds": settings.seconds,
            "calibration": _plain(as_calibration(settings.calibration)),
        }
        # torch.compile keeps what it compiled: here from the one process to the other, and no longer
        environment = {"TORCHINDUCTOR_CACHE_DIR": str(Path(work) / "inductor")}

        def ask(function: str) -> Answer:
            return call_elsewhere(f"{_CHILD}:{function}", task, environment=environment)

        if job.layout is not None:
            return _found(ask("train"))
        if (job.engine, job.precision) == (EAGER.name, "fp32"):  # nothing to set up or to compare
            return _found(ask("predict"))
        before = _found(ask("set_up"))
        if "setup_s" not in before:
            return before
        measured = _found(ask("predict"))
        return {**before, **measured}


def _plain(calibration: Calibration | None) -> dict[str, Any] | None:
    """For another process."""
    if calibration is None:
        return None
    return {
        key: str(value) if isinstance(value, Path) else value for key, value in asdict(calibration).items()
    }


def _found(answer: Answer) -> dict[str, Any]:
    return {"problem": answer.problem} if answer.value is None else answer.value


def _sorted(rows: list[BenchRow]) -> list[BenchRow]:
    """Models and batches in the order in which they were asked for; within them the fastest first."""
    order = list(dict.fromkeys((row.model, row.batch) for row in rows))
    return sorted(
        rows,
        key=lambda row: (
            order.index((row.model, row.batch)),
            row.latency_ms is None,
            row.latency_ms or 0.0,
        ),
    )


@contextmanager
def _bar(jobs: list[BenchCase], progress: bool) -> Iterator[Callable[[BenchCase], None]]:
    from tqdm import tqdm

    with tqdm(total=len(jobs), disable=not (progress and sys.stderr.isatty()), leave=False) as bar:
        started = iter(range(len(jobs)))

        def show(job: BenchCase) -> None:
            bar.update(1 if next(started) else 0)
            bar.set_description(f"{job.model}, {job.engine} {job.precision}, batch {job.batch}")

        yield show


def _machine(job: BenchCase) -> str:
    """Without the list of what the processor can do."""
    name = processor().partition(": ")[0]
    gpu = f"; {torch.cuda.get_device_name(job.device)}" if job.device != "cpu" else ""
    return f"{name}{gpu}; {job.threads} thread{'' if job.threads == 1 else 's'}"


def _versions(jobs: list[BenchCase]) -> dict[str, str | None]:
    found: dict[str, str | None] = {"lightcars": __version__, "python": platform.python_version()}
    for entry in (known_engines()[job.engine] for job in jobs):
        found |= dict(zip(entry.packages, entry.versions, strict=True))
    if any(job.precision == "int8" for job in jobs):
        found["nncf"] = installed_version("nncf")
    return {**found, "torch": torch.__version__}
