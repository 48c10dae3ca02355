"""Find the fastest engine for a model on this machine: convert, verify, measure, select and cache."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from lightcars.deploy.cache import Cache, Entry, cache_folder
from lightcars.deploy.calibration import Calibration, as_calibration
from lightcars.deploy.calibration_images import calibration_preprocessing
from lightcars.deploy.candidates import AUTO, Candidate, find_candidates
from lightcars.deploy.classifier import describe, is_untrained
from lightcars.deploy.cpu import cpu_name
from lightcars.deploy.execution import resolve_threads
from lightcars.deploy.fuse import require_known_layers
from lightcars.deploy.measuring import Measurement, Measurements, take_turns
from lightcars.deploy.optimized import Choice, OptimizedModel
from lightcars.deploy.packages import InferenceFunction, quietly
from lightcars.deploy.quantize import require_nncf
from lightcars.deploy.reference import Reference
from lightcars.deploy.runners import ENGINES, EnginePrecision, installed_version
from lightcars.deploy.source import Source
from lightcars.deploy.temporary import temporary_folder
from lightcars.deploy.verification import verify
from lightcars.errors import ConfigError, LightcarsError, OptimizationError
from lightcars.models.image_model import ImageModel
from lightcars.models.unwrapping import require_weights, unwrap
from lightcars.models.validation import MIN_RESOLUTION, require_int
from lightcars.version import __version__


@torch.inference_mode(mode=False)
def optimize(
    model: nn.Module,
    batch: int = 1,
    *,
    resolution: int | None = None,
    input_size: int | None = None,
    engine: str = AUTO,
    precision: str = AUTO,
    threads: int | None = None,
    calibration: Calibration | str | Path | None = None,
) -> OptimizedModel:
    """Return the model in the fastest engine on this machine whose outputs match.

    Each installed engine is set up for this batch size, resolution and number of threads, and its logits for
    synthetic images are compared with the model's: in fp32 they may differ by 1e-4 of the largest logit, in
    bf16 by 2 %, with the same top class. int8 is calibrated on images, and verified by its top-1 on others.
    Engines that fail or differ are dropped. The others are measured in turns for a few seconds, and the
    fastest one is stored in a cache beside torch.hub's folder (or in `LIGHTCARS_CACHE`), so that the next
    process starts at once.

    An untrained model may amplify rounding errors without limit. Its engines may therefore differ by a
    multiple of the error that eager PyTorch makes in that precision, which is measured.

    Args:
        model: an image classifier: of this library, timm, torchvision or your own; in training or evaluation
            mode. It is not changed, and must not be changed later: the result keeps the current weights.
        batch: batch size.
        resolution: pixels of the square input; None takes that of the weights' preprocessing.
        input_size: another name of `resolution`, as in `count_flops` and `profile`.
        engine: "torch" (fused, channels_last; on a GPU a CUDA graph), "compile" (torch.compile of the fused
            model, which takes a minute), "onnxruntime", "openvino", or "auto" for the fastest except
            "compile".
        precision: "fp32", "bf16" (where the CPU supports it), "int8", or "auto" for the fastest, which
            includes int8 only with `calibration`.
        threads: CPU threads; None takes torch.get_num_threads().
        calibration: a folder of images for int8, such as the training data, or a `Calibration`.

    Raises:
        ConfigError: an invalid engine, precision or number, or an unknown input size.
        MissingExtraError: the engine is not installed.
        DataError: no images to calibrate with, or one that cannot be read.
        InputError: the preprocessing of the calibration images is not known.
        OptimizationError: no engine can run the model, or the outputs of none match.
    """
    if resolution is not None and input_size is not None:
        raise ConfigError("resolution and input_size are the same setting; give one of them.")
    size = resolution if input_size is None else input_size
    source = _source(model, batch, size, threads, as_calibration(calibration))
    candidates = find_candidates(engine, precision, source)
    digest = source.digest()
    key = _key(source, digest, candidates, engine, precision)
    cache = Cache(engine_cache_folder())
    cached = cache.find(key)
    if cached is not None:
        with suppress(Exception):  # an artifact that its engine no longer accepts
            return _resume(source, digest, cached)
        cache.remove(key)
    if engine != AUTO:
        ENGINES[engine].require()
    if precision == "int8":
        require_nncf()
    if "int8" in key:
        _ = source.calibration_images  # an image that cannot be read is not an engine's problem
    return _choose(source, digest, candidates, cache, key)


def engine_cache_folder() -> Path:
    """Return the folder of cached engines."""
    return cache_folder() / "optimized"


def _source(
    model: Any, batch: int, resolution: int | None, threads: int | None, calibration: Calibration | None
) -> Source:
    """Check the arguments."""
    model = unwrap(model)
    if not isinstance(model, nn.Module):
        raise OptimizationError(f"optimize takes a torch.nn.Module, not a {type(model).__name__}.")
    require_weights(model, OptimizationError)
    if isinstance(model, ImageModel) and not model.fused:
        require_known_layers(model)
    require_int("batch", batch, at_least=1)
    chosen = describe(model).resolution_or(resolution)
    require_int("resolution", chosen, at_least=MIN_RESOLUTION)
    return Source(
        model=model,
        batch=batch,
        resolution=chosen,
        threads=resolve_threads(threads),
        calibration=calibration,
        untrained=is_untrained(model),
    )


def _key(
    source: Source, digest: str, candidates: Iterable[Candidate], engine: str, precision: str
) -> dict[str, Any]:
    """Return everything on which the choice depends."""
    key = {
        "model": digest,
        "untrained": source.untrained,
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
    if source.calibration is None:
        return key
    if not any(one == "int8" for _, one in candidates):
        raise ConfigError("calibration is for int8, which is not among the precisions; leave it out.")
    key["int8"] = {
        "images": source.calibration.digest(),
        "preprocessing": repr(calibration_preprocessing(source.info, source.calibration)),
        "classes": list(source.info.classes or ()),
        "nncf": installed_version("nncf"),
    }
    return key


def _machine(device: torch.device) -> str:
    return cpu_name() if device.type == "cpu" else f"{cpu_name()}; {torch.cuda.get_device_name(device)}"


def _resume(source: Source, digest: str, entry: Entry) -> OptimizedModel:
    """Start the engine of a cached entry."""
    record = entry.record
    choice = Choice(
        engine=record["engine"],
        precision=record["precision"],
        measurements=Measurements.from_record(record["measurements"]),
        num_outputs=int(record["num_outputs"]),
        eager_ms=record["eager_ms"],
        digest=digest,
        from_cache=True,
    )
    with quietly():
        run = ENGINES[choice.engine].runner.start(source, choice.precision, entry.folder)
    optimized = OptimizedModel(source, choice, run)
    _ = optimized.summary  # fails if the record lacks its measurement
    return optimized


def _choose(
    source: Source, digest: str, candidates: Iterable[Candidate], cache: Cache, key: dict[str, Any]
) -> OptimizedModel:
    """Set every candidate up, verify and measure it, and store the fastest."""
    with temporary_folder() as work:
        reference = Reference.of(source)
        runs: dict[str, InferenceFunction] = {}
        rows: dict[str, Measurement] = {}
        for candidate in candidates:
            name = "-".join((candidate[0].name, candidate[1]))
            folder = work / name
            folder.mkdir()
            rows[name], run = _try(source, candidate, folder, reference)
            if run is not None:
                runs[name] = run
        if not runs:
            problems = "; ".join(f"{row.engine} {row.precision}: {row.problem}" for row in rows.values())
            raise OptimizationError(f"no engine can be used for this model: {problems}")
        best = _fastest(runs, rows, reference)
        choice = Choice(
            engine=rows[best].engine,
            precision=cast(EnginePrecision, rows[best].precision),
            measurements=Measurements.sorted(rows.values()),
            num_outputs=reference.expected[0].shape[1],
            eager_ms=reference.eager_ms,
            digest=digest,
            from_cache=False,
        )
        cache.store(key, choice.to_record(), sorted((work / best).iterdir()))
        return OptimizedModel(source, choice, runs[best])


def _try(
    source: Source, candidate: Candidate, folder: Path, reference: Reference
) -> tuple[Measurement, InferenceFunction | None]:
    """Set one candidate up and verify it; return the engine, or None where it is dropped."""
    entry, precision = candidate
    row = Measurement(engine=entry.name, precision=precision)
    run = problem = None
    try:
        entry.require()
        with quietly():
            entry.runner.prepare(source, precision, folder)
            run = entry.runner.start(source, precision, folder)
            result = verify(run, precision, source, reference)
        error, problem = result.eager_error, result.problem
        row = replace(
            row,
            difference=result.difference,
            eager_difference=None if error is None else error.precision_difference,
            perturbation_difference=None if error is None else error.perturbation_difference,
            limit=result.limit,
            top1_change_percent=result.top1_change_percent,
        )
    except LightcarsError as error:
        problem = str(error)
    except Exception as error:  # whatever an engine raises
        problem = (str(error).strip().splitlines() or [""])[0][:300] or type(error).__name__
    return replace(row, problem=problem), run if problem is None else None


def _fastest(runs: dict[str, InferenceFunction], rows: dict[str, Measurement], reference: Reference) -> str:
    """Return the name of the fastest engine, after adding latencies to the rows."""
    images = reference.batches[0]
    latencies = take_turns({name: partial(run, images) for name, run in runs.items()})
    for name, latency_ms in latencies.items():
        rows[name] = replace(rows[name], latency_ms=latency_ms)
    return min(latencies, key=lambda name: latencies[name])
