"""The quickest engine for a model on this machine: tried, compared with PyTorch, chosen and remembered."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn, cast, final

import torch
from torch import Tensor

from lightcars import __version__
from lightcars.deploy.cache import Cache, Entry
from lightcars.deploy.engines import Engine, quietly
from lightcars.deploy.measuring import Check, Measurement, Measurements, take_turns
from lightcars.deploy.processor import has_bf16, processor
from lightcars.deploy.runners import ENGINES, PRECISIONS, EngineEntry, Precision
from lightcars.deploy.source import Source, checked_threads, own_resolution
from lightcars.errors import ConfigError, InputError, LightcarsError, OptimizationError, did_you_mean
from lightcars.models.config import ModelConfig
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.validation import MIN_RESOLUTION, require_int

AUTO = "auto"


@final
class OptimizedModel:
    """What `optimize` returns: a function of images that answers as the model does, without gradients.

    (N, img_channels, H, W) of float32 on the model's device -> (N, num_classes) logits there, for any N.
    The batch and the size that were asked for are the fast ones: other numbers of images are run in
    batches, the last one filled up; other sizes are run by the fused model in PyTorch.

    Attributes:
        engine, precision: what was chosen.
        batch, resolution, threads: what it was chosen for.
        measurements: what was tried and found, also where it was remembered; prints as a table.
        eager_ms: what the model itself took for one batch.
        from_cache: whether the choice was remembered from another call.
        config, classes, preprocessing: the model's.
    """

    def __init__(self, source: Source, chosen: _Chosen, run: Engine) -> None:
        self.engine, self.precision = chosen.engine, chosen.precision
        self.batch, self.resolution, self.threads = source.batch, source.resolution, source.threads
        self.measurements, self.eager_ms = chosen.measurements, chosen.eager_ms
        self.from_cache = chosen.from_cache
        self.config: ModelConfig = source.model.config
        self.classes: tuple[str, ...] | None = source.model.classes
        self.preprocessing: Preprocessing | None = source.model.preprocessing
        self._source = replace(source)  # without what was converted on the way
        self._run = run
        self._any_batch = ENGINES[chosen.engine].any_batch
        self._device, self._shape = source.device, source.shape
        self._digest = chosen.digest

    def __call__(self, images: Tensor) -> Tensor:
        """(N, img_channels, H, W) -> (N, num_classes).

        Raises:
            InputError: not such images.
        """
        if type(images) is not Tensor or images.requires_grad:
            images = images.detach().as_subclass(Tensor)
        if images.shape == self._shape and images.dtype == torch.float32 and images.device == self._device:
            return self._run(images)
        self._check(images)
        if images.shape[0] == 0:
            return images.new_empty(0, self.config.num_classes or self.config.head_channels)
        if images.shape[2:] != self._shape[2:]:
            return self._elsewhere(images)
        return self._run(images) if self._any_batch else self._in_batches(images)

    def _in_batches(self, images: Tensor) -> Tensor:
        answers = []
        for part in images.split(self.batch):
            lacking = self.batch - len(part)
            full = torch.cat((part, part.new_zeros(lacking, *part.shape[1:]))) if lacking else part
            answers.append(self._run(full)[: len(part)])
        return torch.cat(answers)

    @cached_property
    def _elsewhere(self) -> Engine:
        """The fused model, for images of other sizes."""
        if self._source.digest() != self._digest:
            raise InputError(
                "the model's weights have changed since it was optimized, for images of"
                f" {self.resolution} x {self.resolution}; optimize it again."
            )
        return ENGINES["torch"].runner.start(self._source, "fp32", Path())

    def _check(self, images: Tensor) -> None:
        channels = self.config.img_channels
        if images.ndim != 4 or images.shape[1] != channels:
            raise InputError(
                f"this model takes images of shape (N, {channels}, H, W), not {tuple(images.shape)}."
            )
        if images.dtype != torch.float32:
            raise InputError(f"this model takes images of float32, not {images.dtype}; call images.float().")
        if images.device != self._device:
            raise InputError(
                f"this model is on {self._device}, the images are on {images.device}; move them there."
            )

    @property
    def latency_ms(self) -> float:
        """Of one batch, as measured when it was chosen."""
        rows = (row for row in self.measurements if (row.engine, row.precision) == self._name)
        return cast(float, next(rows).latency_ms)

    @property
    def summary(self) -> str:
        """What was measured, in one line."""
        others = [f"{row.engine} {row.precision}" for row in self.measurements]
        found = [
            f"{name} {row.latency_ms:.3g} ms" if row.problem is None else f"{name} dropped ({row.problem})"
            for name, row in zip(others, self.measurements, strict=True)
            if (row.engine, row.precision) != self._name
        ]
        return (
            f"{self.engine} in {self.precision}: {self.latency_ms:.3g} ms for {self.batch} x"
            f" {self.resolution} px on {self.threads} threads, eager {self.eager_ms:.3g} ms"
            f"{'; ' if found else ''}{', '.join(found)}"
        )

    @property
    def _name(self) -> tuple[str, str]:
        return self.engine, self.precision

    def __repr__(self) -> str:
        return (
            f"OptimizedModel({type(self._source.model).__name__}, engine={self.engine!r},"
            f" precision={self.precision!r}, batch={self.batch}, resolution={self.resolution},"
            f" threads={self.threads}, latency_ms={self.latency_ms:.3g})"
        )

    def __reduce__(self) -> NoReturn:
        raise OptimizationError(
            "an optimized model cannot be copied or pickled; give the other process the model, and optimize"
            " it there: the choice is remembered."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """What was decided."""

    engine: str
    precision: Precision
    measurements: Measurements
    eager_ms: float
    digest: str
    from_cache: bool


@torch.inference_mode(mode=False)
def optimize(
    model: ImageModel,
    batch: int = 1,
    *,
    resolution: int | None = None,
    engine: str = AUTO,
    precision: str = AUTO,
    threads: int | None = None,
) -> OptimizedModel:
    """The model in the engine that is fastest on this machine, of those that answer as it does.

    Each engine that is installed is set up for this batch, size and number of threads; its logits for made
    images are compared with the model's own: in fp32 they may differ by 1e-4 of the largest logit, in bf16 by
    2 %, with the same class first. Those that fail or differ are dropped. The others take turns for a few
    seconds, and the fastest is kept, in a folder beside torch.hub's (`LIGHTCARS_CACHE` names another one), so
    that the next process starts at once.

    Args:
        model: one of this library's, in whichever mode. It stays as it was, and must stay so: what is
            returned answers with the weights of now.
        batch: images at once.
        resolution: pixels of the square images; None takes that of the weights' preprocessing.
        engine: "torch" (fused, channels_last; on a GPU a CUDA graph), "compile" (torch.compile of the fused
            model, which takes a minute), "onnxruntime", "openvino", or "auto" for the fastest but "compile".
        precision: "fp32", "bf16" (where the processor has it), or "auto" for the faster one.
        threads: of the processor; None takes torch.get_num_threads().

    Raises:
        ConfigError: an engine, a precision or a number that cannot be.
        MissingExtraError: that engine is not installed.
        OptimizationError: no engine can run the model, or none answers as it does.
    """
    source = _source(model, batch, resolution, threads)
    candidates = _candidates(engine, precision, source.device)
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
    cache = Cache(cache_folder())
    remembered = cache.find(key)
    if remembered is not None:
        with suppress(Exception):  # an artefact that its engine does not take any more
            return _resume(source, digest, remembered)
        cache.forget(key)
    if engine != AUTO:
        ENGINES[engine].require()
    return _choose(source, digest, candidates, cache, key)


def cache_folder() -> Path:
    """Where choices and compiled models are kept: LIGHTCARS_CACHE, or beside torch.hub's folder."""
    named = os.environ.get("LIGHTCARS_CACHE")
    root = Path(named).expanduser() if named else Path(torch.hub.get_dir()).parent / "lightcars"
    return root / "optimized"


def _source(model: ImageModel, batch: int, resolution: int | None, threads: int | None) -> Source:
    """What is to be optimized, checked."""
    model = getattr(model, "_orig_mod", model)
    if not isinstance(model, ImageModel):
        raise OptimizationError(f"optimize takes a model of lightcars, not a {type(model).__name__}.")
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise OptimizationError("the model has no weights (it is on the meta device); build it elsewhere.")
    require_int("batch", batch, at_least=1)
    resolution = own_resolution(model) if resolution is None else resolution
    require_int("resolution", resolution, at_least=MIN_RESOLUTION)
    return Source(model=model, batch=batch, resolution=resolution, threads=checked_threads(threads))


def _candidates(engine: str, precision: str, device: torch.device) -> list[tuple[EngineEntry, Precision]]:
    """What is to be tried: all that can be, or what was named, if it can be."""
    if engine != AUTO and engine not in ENGINES:
        known = (AUTO, *ENGINES)
        raise ConfigError(
            f"there is no engine {engine!r}.{did_you_mean(engine, known)} Choose {', '.join(known)}."
        )
    precisions = _precisions(precision, device)
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


def _precisions(precision: str, device: torch.device) -> list[Precision]:
    known = (AUTO, *PRECISIONS)
    if precision == "int8":
        raise ConfigError(
            f"int8 needs calibration on photographs, which optimize does not do; choose {', '.join(known)}."
        )
    if precision not in known:
        raise ConfigError(
            f"there is no precision {precision!r}.{did_you_mean(precision, known)} Choose {', '.join(known)}."
        )
    possible = has_bf16() if device.type == "cpu" else torch.cuda.is_bf16_supported()
    if precision == "bf16" and not possible:
        raise OptimizationError("this processor does not compute in bf16; choose fp32 or auto.")
    return [one for one in PRECISIONS if precision in (AUTO, one) and (one != "bf16" or possible)]


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
    """The engine that was chosen before, from its artefact."""
    record = entry.record
    chosen = _Chosen(
        engine=record["engine"],
        precision=record["precision"],
        measurements=Measurements.from_record(record["measurements"]),
        eager_ms=record["eager_ms"],
        digest=digest,
        from_cache=True,
    )
    with quietly():
        run = ENGINES[chosen.engine].runner.start(source, chosen.precision, entry.folder)
    return OptimizedModel(source, chosen, run)


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
        chosen = _Chosen(
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
    difference = None
    run = None
    try:
        entry.require()
        with quietly():
            entry.runner.prepare(source, precision, folder)
            run = entry.runner.start(source, precision, folder)
            difference = check.difference(run)
            problem = check.problem(run, precision, difference)
    except LightcarsError as error:
        problem = str(error)
    except Exception as error:  # whatever an engine raises
        problem = (str(error).strip().splitlines() or [""])[0][:300] or type(error).__name__
    row = Measurement(engine=entry.name, precision=precision, difference=difference, problem=problem)
    return row, run if problem is None else None


def _fastest(runs: dict[str, Engine], rows: dict[str, Measurement], check: Check) -> str:
    """Its name; the rows get their latencies."""
    images = check.batches[0]
    latencies = take_turns({name: partial(run, images) for name, run in runs.items()})
    for name, latency_ms in latencies.items():
        rows[name] = replace(rows[name], latency_ms=latency_ms)
    return min(latencies, key=lambda name: latencies[name])
