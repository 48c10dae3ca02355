"""Export a model as a static web page: convert, run, verify, and only then write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightcars.deploy.classifier import describe
from lightcars.deploy.description import Description
from lightcars.deploy.execution import without_autocast
from lightcars.deploy.graphs import INPUT, for_export
from lightcars.deploy.packages import require
from lightcars.deploy.verification import TOLERANCES
from lightcars.errors import ConfigError, ExportError
from lightcars.files import staging
from lightcars.outputs import check_output_folder
from lightcars.web.graph import for_web, web_onnx
from lightcars.web.offline import SERVICE_WORKER, service_worker
from lightcars.web.page import MODEL_FILE, PageOptions, page_files
from lightcars.web.runtime import RuntimeOptions, find_runtime
from lightcars.web.storage import STORAGES, Storage, store
from lightcars.web.texts import texts_with

STORED_LIMITS: Mapping[Storage, float] = {"int8": 0.25, "fp16": 0.02}
"""By how much outputs of stored weights may differ from PyTorch's, as a fraction of the largest one."""
_IMAGES = 2
"""Random images to compare outputs with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPage:
    """Result of `export_web`.

    Attributes:
        path: of the folder.
        page_bytes, model_bytes, runtime_bytes: sizes of its parts; a runtime on another site counts as 0.
        difference: largest difference from PyTorch's outputs, as a fraction of the largest one, before the
            weights were stored smaller.
        stored_difference: the same of the stored model.
        description: of the model.
    """

    path: Path
    page_bytes: int
    model_bytes: int
    runtime_bytes: int
    difference: float
    stored_difference: float
    description: Description

    @property
    def size_bytes(self) -> int:
        """Size of the folder."""
        return self.page_bytes + self.model_bytes + self.runtime_bytes


def export_web(
    model: nn.Module,
    folder: str | Path,
    *,
    page: PageOptions = PageOptions(),
    runtime: RuntimeOptions = RuntimeOptions(),
    storage: Storage = "int8",
    force: bool = False,
    say: Callable[[str], None] | None = None,
) -> WebPage:
    """Write a folder that any static host can serve, and that classifies pictures in the browser.

    Args:
        model: an image classifier with class names and preprocessing; it is not changed.
        folder: new or empty.
        page: title, color and texts.
        runtime: where ONNX Runtime Web comes from.
        storage: of the weights: "int8", "fp16" or "fp32"; browsers compute in float32.
        force: replace files in the folder.
        say: called with a line of text before each step.

    Raises:
        ConfigError: an invalid option or file of texts.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        InputError: the runtime is another version.
        DownloadError: the runtime cannot be fetched.
        ExportError: class names or preprocessing are not known, or the outputs do not match.
        RunError: the folder is not empty, or cannot be written to.
    """
    target, tell = Path(folder), say or _silent
    if storage not in STORAGES:
        raise ConfigError(f"storage is one of {', '.join(STORAGES)}, not {storage!r}.")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package)
    ready = for_export(model)
    description = _described(ready)
    check_output_folder(target, force=force)
    texts = texts_with(page.texts)
    found = find_runtime(runtime, tell)
    files = page_files(page, description, texts, found.addresses, found.cdn)
    content, difference, stored_difference = _converted(ready, description, storage, tell)
    page_bytes = sum(map(len, files.values()))
    files = {**files, MODEL_FILE: content, **found.files}
    worker = service_worker(files, found.elsewhere, found.later, found.cdn)
    tell(f"writing {target}")
    _write(target, {**files, SERVICE_WORKER: worker})
    return WebPage(
        path=target,
        page_bytes=page_bytes + len(worker),
        model_bytes=len(content),
        runtime_bytes=sum(map(len, found.files.values())),
        difference=difference,
        stored_difference=stored_difference,
        description=description,
    )


def _described(model: nn.Module) -> Description:
    info = describe(model)
    if info.classes is None or info.preprocessing is None:
        raise ExportError(
            "a web page needs class names and preprocessing, and these weights have not both; save them with"
            " both."
        )
    if info.channels not in (1, 3):
        raise ExportError(f"a web page reads images with 1 or 3 channels, not {info.channels}.")
    resolution = info.resolution_or(None)
    return Description(
        model=info.name,
        classes=info.classes,
        preprocessing=replace(info.preprocessing, resolution=resolution),
        temperature=info.temperature,
        license=info.license,
    )


def _converted(
    model: nn.Module, description: Description, storage: Storage, tell: Callable[[str], None]
) -> tuple[bytes, float, float]:
    """Return the ONNX file, and the differences of its outputs before and after its weights were stored."""
    assert description.preprocessing is not None
    channels, side = len(description.preprocessing.mean), description.preprocessing.resolution
    tell("converting for ONNX Runtime Web")
    module, outputs = for_web(model)
    proto = web_onnx(module, outputs, channels, side)
    for key, value in description.entries().items():
        proto.metadata_props.add(key=key, value=value)
    tell("comparing with PyTorch")
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn((1, channels, side, side), generator=generator) for _ in range(_IMAGES)]
    with torch.no_grad(), without_autocast():
        expected = [_tensors(module(image)) for image in images]
    difference = _difference(proto, images, expected)
    if not difference <= TOLERANCES["fp32"]:  # also if it is NaN
        raise ExportError(
            f"the outputs of ONNX Runtime differ from PyTorch's by {difference:.1e} of the largest one (the"
            f" limit is {TOLERANCES['fp32']:.0e}); nothing was written."
        )
    if storage == "fp32":
        return proto.SerializeToString(), difference, difference
    store(proto, storage)
    stored = _difference(proto, images, expected)
    if not stored <= STORED_LIMITS[storage]:
        other = STORAGES[STORAGES.index(storage) + 1]
        raise ExportError(
            f"with weights in {storage} the outputs differ by {stored:.1e} of the largest one (the limit is"
            f" {STORED_LIMITS[storage]:g}); nothing was written. Take {other}."
        )
    return proto.SerializeToString(), difference, stored


def _tensors(outputs: Any) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _difference(proto: Any, images: list[Tensor], expected: list[tuple[Tensor, ...]]) -> float:
    """Return the largest difference of any output, as a fraction of its largest value."""
    onnxruntime = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    differences = []
    for image, outputs in zip(images, expected, strict=True):
        got = session.run(None, {INPUT: image.numpy()})
        for output, values in zip(outputs, got, strict=True):
            size = output.abs().max().clamp_min(1e-30)
            differences.append((torch.from_numpy(values) - output).abs().max() / size)
    return float(torch.stack(differences).max())


def _write(target: Path, files: Mapping[str, bytes]) -> None:
    with staging(target) as stage:
        for name, content in files.items():
            path = stage / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _silent(_: str) -> None:
    pass
