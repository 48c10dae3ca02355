"""Export a model as a static web page: convert, run, verify, and only then write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from lightcars.deploy.classifier import describe
from lightcars.deploy.description import Description
from lightcars.deploy.graphs import for_export
from lightcars.deploy.packages import require
from lightcars.errors import ConfigError, ExportError
from lightcars.files import staging
from lightcars.models.car_finder import CarFinder
from lightcars.outputs import check_output_folder
from lightcars.web.conversion import convert
from lightcars.web.graph import for_web
from lightcars.web.offline import SERVICE_WORKER, service_worker
from lightcars.web.page import FINDER_FILE, MODEL_FILE, SITE_FILE, PageOptions, page_files, parse_site
from lightcars.web.runtime import RuntimeOptions, find_runtime
from lightcars.web.storage import STORAGES, Storage
from lightcars.web.texts import texts_with


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPage:
    """Result of `export_web`.

    Attributes:
        path: of the folder.
        page_bytes, model_bytes, runtime_bytes: sizes of its parts, a finder among the models; a
            runtime on another site counts as 0.
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
    finder: CarFinder | None = None,
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
        finder: finds the cars, which are then classified; None where pictures are taken as they are.
        storage: of the weights: "int8", "fp16" or "fp32"; browsers compute in float32.
        force: replace files in the folder; an earlier page is replaced as a whole.
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
        raise ConfigError(f"storage must be one of {', '.join(STORAGES)}, not {storage!r}.")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package)
    ready = for_export(model)
    description = _described(ready)
    check_output_folder(target, force=force)
    texts = texts_with(page.texts)
    found = find_runtime(runtime, tell)
    files = page_files(page, description, texts, found.addresses, found.cdn, finder)
    page_bytes = sum(map(len, files.values()))
    assert description.preprocessing is not None
    module, outputs = for_web(ready)
    tell("converting for ONNX Runtime Web")
    converted = convert(module, outputs, description.preprocessing, description.entries(), storage)
    models = {MODEL_FILE: converted.content}
    if finder is not None:
        tell("converting the car finder")
        models[FINDER_FILE] = convert(finder, ("boxes",), finder.preprocessing, {}, storage).content
    files = {**files, **models, **found.files}
    worker = service_worker(files, found.elsewhere, found.later, found.cdn)
    tell(f"writing {target}")
    _write(target, {**files, SERVICE_WORKER: worker})
    return WebPage(
        path=target,
        page_bytes=page_bytes + len(worker),
        model_bytes=sum(map(len, models.values())),
        runtime_bytes=sum(map(len, found.files.values())),
        difference=converted.difference,
        stored_difference=converted.stored_difference,
        description=description,
    )


def _described(model: nn.Module) -> Description:
    info = describe(model)
    if info.classes is None or info.preprocessing is None:
        raise ExportError(
            "a web page needs class names and preprocessing, and these weights lack at least one of them;"
            " save"
            " them with both."
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


def _write(target: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, and remove those of an earlier page in the folder that this one does not have."""
    earlier = _earlier_page(target)
    with staging(target) as stage:
        for name, content in files.items():
            path = stage / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    for path in earlier - {target / name for name in files}:
        path.unlink(missing_ok=True)


def _earlier_page(folder: Path) -> set[Path]:
    """Return the files of an exported page; none if the folder has no page."""
    try:
        parse_site((folder / SITE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    inner = {path for name in ("app", "icons", "runtime", "texts") for path in (folder / name).glob("*")}
    return {path for path in (*inner, folder / FINDER_FILE) if path.is_file()}


def _silent(_: str) -> None:
    pass
