"""The quickest engine for a model on this machine: tried, compared with PyTorch, chosen and remembered."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from lightcars.deploy.cache import Cache, Entry
from lightcars.deploy.calibration import Calibration, as_calibration
from lightcars.deploy.cpu import computes_bf16, processor
from lightcars.deploy.engines import Engine, quietly
from lightcars.deploy.measuring import Check, Measurement, Measurements, take_turns
from lightcars.deploy.optimized import Chosen, OptimizedModel
from lightcars.deploy.quantize import require_nncf
from lightcars.deploy.runners import ENGINES, PRECISIONS, EngineEntry, Precision, installed_version
from lightcars.deploy.source import Source, checked_threads, own_resolution
from lightcars.deploy.verification import judge
from lightcars.errors import ConfigError, LightcarsError, OptimizationError, did_you_mean
from lightcars.models.image_model import ImageModel
from lightcars.models.transforms import preprocessing_of
from lightcars.models.unwrapping import require_weights, unwrap_model
from lightcars.models.validation import MIN_RESOLUTION, require_int
from lightcars.version import __version__

AUTO = "auto"


@torch.inference_mode(mode=False)
def optimize(
    model: ImageModel,
    batch: int = 1,
    *,
    resolution: int | None = None,
    engine: str = AUTO,
    precision: str = AUTO,
    threads: int | None = None,
    calibration: Calibration | str | Path | None = None,
) -> OptimizedModel:
    """The model in the engine that is fastest on this machine, of those that answer as it does.

    Each engine that is installed is set up for this batch, size and number of threads; its logits for made
    images are compared with the model's own: in fp32 they may differ by 1e-4 of the largest logit, in bf16 by
    2 %, with the same class first. int8 is fitted to photographs and judged by how many of others it names
    right. Those that fail or differ are dropped. The others take turns for a few
    seconds, and the fastest is kept, in a folder beside torch.hub's (`LIGHTCARS_CACHE` names another one), so
    that the next process starts at once.

    Args:
        model: one of this library's, in whichever mode. It stays as it was, and must stay so: what is
            returned answers with the weights of now.
        batch: images at once.
        resolution: pixels of the square images; None takes that of the weights' preprocessing.
        engine: "torch" (fused, channels_last; on a GPU a CUDA graph), "compile" (torch.compile of the fused
            model, which takes a minute), "onnxruntime", "openvino", or "auto" for the fastest but "compile".
        precision: "fp32", "bf16" (where the processor has it), "int8", or "auto" for the fastest, which
            tries int8 only where `calibration` is given.
        threads: of the processor; None takes torch.get_num_threads().
        calibration: a folder of photographs for int8, such as the training data's, or a `Calibration`. The
            model's preprocessing has to be known.

    Raises:
        ConfigError: an engine, a precision or a number that cannot be.
        MissingExtraError: that engine is not installed.
        DataError: no photographs to calibrate with, or one that cannot be read.
        OptimizationError: no engine can run the model, or none answers as it does.
    """
    source = _source(model, batch, resolution, threads)
    source = replace(source, calibration=as_calibration(calibration))
    candidates = _candidates(engine, precision, source)
    digest = source.digest()
    key = {
        "model": digest,
        "shape": list(source.shape),
        "threads": source.threads,
        "machine": _machine(source.device),
        "engine": engine,
        "precision": precision,
        "versions": {
            "lightcars": __version__,
            "python": platform.python_version(),
            **{entry.name: entry.versions for entry, _ in candidates},
        },
    }
    if source.calibration is not None and any(one == "int8" for _, one in candidates):
        key["int8"] = {
            "photographs": source.calibration.digest(),
            "preprocessing": repr(preprocessing_of(source.model)),
            "classes": list(source.model.classes or ()),
            "nncf": installed_version("nncf"),
        }
    elif source.calibration is not None:
        raise ConfigError("calibration is for int8, which is not among what was asked for; leave it out.")
    cache = Cache(cache_folder())
    remembered = cache.find(key)
    if remembered is not None:
        with suppress(Exception):  # an artifact that its engine does not take any more
            return _resume(source, digest, remembered)
        cache.forget(key)
    if engine != AUTO:
        ENGINES[engine].require()
    if precision == "int8":
        require_nncf()
    if "int8" in key:
        _ = source.photos  # a photograph that cannot be read is no engine's fault
    return _choose(source, digest, candidates, cache, key)


def cache_folder() -> Path:
    """Where choices and compiled models are kept: LIGHTCARS_CACHE, or beside torch.hub's folder."""
    named = os.environ.get("LIGHTCARS_CACHE")
    root = Path(named).expanduser() if named else Path(torch.hub.get_dir()).parent / "lightcars"
    return root / "optimized"


def _source(model: ImageModel, batch: int, resolution: int | None, threads: int | None) -> Source:
    """What is to be optimized, checked."""
    model = unwrap_model(model, "optimize takes a model of lightcars", OptimizationError)
    require_weights(model, OptimizationError)
    require_int("batch", batch, at_least=1)
    resolution = own_resolution(model) if resolution is None else resolution
    require_int("resolution", resolution, at_least=MIN_RESOLUTION)
    return Source(model=model, batch=batch, resolution=resolution, threads=checked_threads(threads))


def _candidates(engine: str, precision: str, source: Source) -> list[tuple[EngineEntry, Precision]]:
    """What is to be tried: all that can be, or what was named, if it can be."""
    device = source.device
    if engine != AUTO and engine not in tuple(ENGINES):
        known = (AUTO, *ENGINES)
        raise ConfigError(
            f"there is no engine {engine!r}.{did_you_mean(engine, known)} Choose {', '.join(known)}."
        )
    precisions = _precisions(precision, source)
    if engine != AUTO:
        entry = ENGINES[engine]
        _check_named(entry, precision, device)
        return [(entry, one) for one in precisions if one in entry.precisions]
    return [
        (entry, one)
        for entry in ENGINES.values()
        if entry.in_auto and (entry.on_gpu or device.type == "cpu")
        for one in precisions
        if one in entry.precisions
    ]


def _precisions(precision: str, source: Source) -> list[Precision]:
    known = (AUTO, *PRECISIONS)
    if precision not in known:
        raise ConfigError(
            f"there is no precision {precision!r}.{did_you_mean(precision, known)} Choose {', '.join(known)}."
        )
    on_cpu = source.device.type == "cpu"
    if precision == "int8" and source.calibration is None:
        raise ConfigError("int8 is fitted to photographs: give calibration=FOLDER, as of the training data.")
    if precision == "int8" and not on_cpu:
        raise ConfigError("int8 is for processors; move the model to the CPU, or choose bf16.")
    bf16 = computes_bf16(source.device)
    if precision == "bf16" and not bf16:
        raise OptimizationError("this processor does not compute in bf16; choose fp32 or auto.")
    possible = {"fp32": True, "bf16": bf16, "int8": on_cpu and source.calibration is not None}
    return [one for one in PRECISIONS if precision in (AUTO, one) and possible[one]]


def _check_named(entry: EngineEntry, precision: str, device: torch.device) -> None:
    if device.type != "cpu" and not entry.on_gpu:
        raise ConfigError(
            f"{entry.name} runs on the processor here, and the model is on {device}; move it to the CPU, or"
            " choose torch or compile."
        )
    if precision not in (AUTO, *entry.precisions):
        raise ConfigError(
            f"{entry.name} does not compute in {precision} on a processor; choose"
            f" {', '.join(entry.precisions)}, or another engine."
        )


def _machine(device: torch.device) -> str:
    return processor() if device.type == "cpu" else f"{processor()}; {torch.cuda.get_device_name(device)}"


def _resume(source: Source, digest: str, entry: Entry) -> OptimizedModel:
    """The engine that was chosen before, from its artifact."""
    record = entry.record
    chosen = Chosen(
        engine=record["engine"],
        precision=record["precision"],
        measurements=Measurements.from_record(record["measurements"]),
        eager_ms=record["eager_ms"],
        digest=digest,
        from_cache=True,
    )
    with quietly():
        run = ENGINES[chosen.engine].runner.start(source, chosen.precision, entry.folder)
    made = OptimizedModel(source, chosen, run)
    _ = made.summary  # a record that lacks its own figures is damaged
    return made


def _choose(
    source: Source,
    digest: str,
    candidates: Iterable[tuple[EngineEntry, Precision]],
    cache: Cache,
    key: dict[str, Any],
) -> OptimizedModel:
    """Sets every candidate up, compares, measures, and keeps the fastest."""
    work = Path(tempfile.mkdtemp(prefix="lightcars-"))
    try:
        check = Check.of(source)
        runs: dict[str, Engine] = {}
        rows: dict[str, Measurement] = {}
        for entry, precision in candidates:
            name = f"{entry.name}-{precision}"
            folder = work / name
            folder.mkdir()
            rows[name], run = _try(source, entry, precision, folder, check)
            if run is not None:
                runs[name] = run
        if not runs:
            problems = "; ".join(f"{row.engine} {row.precision}: {row.problem}" for row in rows.values())
            raise OptimizationError(f"no engine can be used for this model: {problems}")
        best = _fastest(runs, rows, check)
        chosen = Chosen(
            engine=rows[best].engine,
            precision=cast(Precision, rows[best].precision),
            measurements=Measurements.sorted(rows.values()),
            eager_ms=check.eager_ms,
            digest=digest,
            from_cache=False,
        )
        record = {
            "engine": chosen.engine,
            "precision": chosen.precision,
            "measurements": chosen.measurements.to_record(),
            "eager_ms": chosen.eager_ms,
        }
        cache.store(key, record, sorted((work / best).iterdir()))
        return OptimizedModel(source, chosen, runs[best])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _try(
    source: Source, entry: EngineEntry, precision: Precision, folder: Path, check: Check
) -> tuple[Measurement, Engine | None]:
    """One candidate: running and right, or why not."""
    row = Measurement(engine=entry.name, precision=precision)
    run = problem = None
    try:
        entry.require()
        with quietly():
            entry.runner.prepare(source, precision, folder)
            run = entry.runner.start(source, precision, folder)
            found = judge(run, precision, source, check)
        row = replace(row, difference=found.difference, top1_change_percent=found.top1_change_percent)
        problem = found.problem
    except LightcarsError as error:
        problem = str(error)
    except Exception as error:  # whatever an engine raises
        problem = (str(error).strip().splitlines() or [""])[0][:300] or type(error).__name__
    return replace(row, problem=problem), run if problem is None else None


def _fastest(runs: dict[str, Engine], rows: dict[str, Measurement], check: Check) -> str:
    """Its name; the rows get their latencies."""
    images = check.batches[0]
    latencies = take_turns({name: partial(run, images) for name, run in runs.items()})
    for name, latency_ms in latencies.items():
        rows[name] = replace(rows[name], latency_ms=latency_ms)
    return min(latencies, key=lambda name: latencies[name])
