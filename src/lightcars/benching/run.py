"""Run a benchmark: models in engines, one after the other."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from lightcars.benching.cases import BenchCase, plan
from lightcars.benching.process import ProcessResult, call_in_process
from lightcars.benching.results import BenchResult
from lightcars.benching.rows import Accuracy, BenchRow
from lightcars.benching.settings import EAGER, BenchSettings, known_engines
from lightcars.benching.transfer import write_model
from lightcars.deploy.calibration import as_calibration
from lightcars.deploy.cpu import cpu_name
from lightcars.deploy.runners import installed_version
from lightcars.deploy.temporary import temporary_folder
from lightcars.models.unwrapping import unwrap
from lightcars.progress import shows_bars, wants_progress
from lightcars.version import __version__

_CHILD = "lightcars.benching.child"


def bench(
    models: Mapping[str, nn.Module],
    settings: BenchSettings = BenchSettings(),
    *,
    accuracies: Mapping[str, Accuracy] | None = None,
    progress: bool | None = None,
) -> BenchResult:
    """Measure latency, throughput, memory and set-up time of models in each engine, or of a training step.

    Each engine is set up and compared with the eager model in one new process, and measured in another, so
    that neither its converter nor idle threads of other engines affect the measurement. A process that
    crashes or runs out of memory becomes a row with the problem. The models are not changed.

    Outputs may differ as much as in `optimize`: for untrained models by a multiple of PyTorch's own error.

    Args:
        models: image classifiers of this library, timm, torchvision or your own, by the names of the rows.
            Those of other libraries are pickled for the other process.
        settings: what to measure.
        accuracies: of the weights, if known, by the same names, for the plot. `published_accuracy` has those
            of the catalog.
        progress: show a progress bar; None: in notebooks.

    Raises:
        ConfigError, DeviceError, OptimizationError: something that cannot be measured here.
        MissingExtraError: a named engine is not installed.
    """
    models = {name: unwrap(model) for name, model in models.items()}
    cases = plan(models, settings)
    rows = []
    with temporary_folder("lightcars-bench-") as work, _bar(cases, wants_progress(progress)) as show:
        for number, (name, model) in enumerate(models.items()):
            written = write_model(model, work / str(number), name)
            for case in (case for case in cases if case.model == name):
                show(case)
                measured = _measure(case, written, settings)
                rows.append(BenchRow.of(case, measured, (accuracies or {}).get(name)))
    return BenchResult(
        rows=tuple(_sorted(rows)), train=settings.train, machine=_machine(cases[0]), versions=_versions(cases)
    )


def _measure(case: BenchCase, written: dict[str, Any], settings: BenchSettings) -> dict[str, Any]:
    """Return the results of one case's processes."""
    calibration = as_calibration(settings.calibration)
    with temporary_folder("lightcars-bench-") as work:
        folder = work / "engine"
        folder.mkdir()
        task = {
            **asdict(case),
            **written,
            "folder": str(folder),
            "seconds": settings.seconds,
            "calibration": None if calibration is None else calibration.to_plain(),
        }
        # torch.compile's cache lasts from the one process to the other, and no longer
        environment = {"TORCHINDUCTOR_CACHE_DIR": str(work / "inductor")}

        def ask(function: str) -> ProcessResult:
            return call_in_process(f"{_CHILD}:{function}", task, environment=environment)

        if case.memory_format is not None:
            return _outcome(ask("train"))
        if (case.engine, case.precision) == (EAGER.name, "fp32"):  # nothing to set up or to compare
            return _outcome(ask("predict"))
        before = _outcome(ask("set_up"))
        if "setup_s" not in before:
            return before
        measured = _outcome(ask("predict"))
        return {**before, **measured}


def _outcome(result: ProcessResult) -> dict[str, Any]:
    return {"problem": result.problem} if result.value is None else result.value


def _sorted(rows: list[BenchRow]) -> list[BenchRow]:
    """Sort by latency within each model and batch size, which keep their order."""
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
def _bar(cases: list[BenchCase], progress: bool) -> Iterator[Callable[[BenchCase], None]]:
    from tqdm import tqdm

    with tqdm(total=len(cases), disable=not shows_bars(progress), leave=False) as bar:
        started = iter(range(len(cases)))

        def show(case: BenchCase) -> None:
            bar.update(1 if next(started) else 0)
            bar.set_description(f"{case.model}, {case.engine} {case.precision}, batch {case.batch}")

        yield show


def _machine(case: BenchCase) -> str:
    """Describe the machine, without the CPU's feature flags."""
    name = cpu_name().partition(": ")[0]
    gpu = f"; {torch.cuda.get_device_name(case.device)}" if case.device != "cpu" else ""
    return f"{name}{gpu}; {case.threads} thread{'' if case.threads == 1 else 's'}"


def _versions(cases: list[BenchCase]) -> dict[str, str | None]:
    versions: dict[str, str | None] = {"lightcars": __version__, "python": platform.python_version()}
    for entry in (known_engines()[case.engine] for case in cases):
        versions |= dict(zip(entry.packages, entry.versions, strict=True))
    if any(case.precision == "int8" for case in cases):
        versions["nncf"] = installed_version("nncf")
    return {**versions, "torch": torch.__version__}
