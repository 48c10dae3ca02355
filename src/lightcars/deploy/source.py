"""A model, the input size it is optimized for, and its converted forms, each created on first use."""

from __future__ import annotations

import copy
import hashlib
import inspect
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lightcars.deploy.calibration import Calibration
from lightcars.deploy.calibration_images import CalibrationImages, load_calibration_images
from lightcars.deploy.classifier import ClassifierInfo, describe
from lightcars.deploy.execution import use_threads, without_autocast
from lightcars.deploy.fuse import fuse
from lightcars.deploy.other_libraries import folded
from lightcars.errors import OptimizationError
from lightcars.models.image_model import ImageModel

if TYPE_CHECKING:
    import openvino
    from torch.export import ExportedProgram


@dataclass(frozen=True, kw_only=True)
class Source:
    """The model from which all engines are made.

    Attributes:
        model: an image classifier, in training or evaluation mode and any precision; it is not changed.
        batch: batch size.
        resolution: pixels of the square input.
        threads: CPU threads that an engine may use.
        calibration: for int8; None without it.
        untrained: whether the weights are as initialized, which makes some models ill-conditioned.
    """

    model: nn.Module
    batch: int
    resolution: int
    threads: int
    calibration: Calibration | None = None
    untrained: bool = False

    @cached_property
    def info(self) -> ClassifierInfo:
        """Input channels, classes and preprocessing of the model."""
        return describe(self.model)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W) of the input."""
        return self.batch, self.info.channels, self.resolution, self.resolution

    @cached_property
    def device(self) -> torch.device:
        """Device of the model, its input and its logits."""
        tensors = (*self.model.parameters(), *self.model.buffers())
        return tensors[0].device if tensors else torch.device("cpu")

    @cached_property
    def eager(self) -> nn.Module:
        """The model in evaluation mode and float32: the reference of every engine."""
        parts = (*self.model.parameters(), *self.model.buffers())
        plain = all(part.dtype == torch.float32 for part in parts if part.is_floating_point())
        if plain and not any(module.training for module in self.model.modules()):
            return self.model
        return self._copy(self.model).eval().float()

    def in_precision(self, dtype: torch.dtype) -> nn.Module:
        """Return the eager model in a precision."""
        return self.eager if dtype == torch.float32 else self._copy(self.eager).to(dtype)

    def channels_last(self, dtype: torch.dtype) -> nn.Module:
        """Return a copy of the eager model in a precision, with channels_last weights."""
        return self._copy(self.eager).to(dtype).to(memory_format=torch.channels_last)

    def fused(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        """Return a fused copy; of other libraries' models one with batch norms folded."""
        fused = fuse(self.eager) if isinstance(self.eager, ImageModel) else folded(self.eager)
        return fused if dtype == torch.float32 else self._copy(fused).to(dtype)

    def _copy(self, model: nn.Module) -> nn.Module:
        try:
            return copy.deepcopy(model)
        except Exception as error:
            raise OptimizationError(f"{self.info.name} cannot be copied (copy.deepcopy): {error}") from error

    @cached_property
    def program(self) -> ExportedProgram:
        """The exported program, of the fused model: it exports and converts in half the time."""
        from lightcars.deploy.graphs import to_program

        channels = self.info.channels
        return to_program(self.fused(), batch=self.batch, resolution=self.resolution, channels=channels)

    @cached_property
    def onnx(self) -> bytes:
        """The model in ONNX."""
        from lightcars.deploy.graphs import program_to_onnx

        content: bytes = program_to_onnx(self.program).SerializeToString()
        return content

    def openvino_model(self, batch: int) -> openvino.Model:
        """Return the model in OpenVINO's form, for a batch size."""
        from lightcars.deploy.graphs import program_to_openvino

        if batch not in self._openvino_models:
            self._openvino_models[batch] = program_to_openvino(self.program, batch=batch)
        return self._openvino_models[batch]

    @cached_property
    def _openvino_models(self) -> dict[int, openvino.Model]:
        return {}

    @cached_property
    def calibration_images(self) -> CalibrationImages:
        """The images on which int8 is calibrated and verified."""
        assert self.calibration is not None
        return load_calibration_images(self.info, self.calibration, self.resolution)

    @cached_property
    def targets(self) -> Tensor:
        """(N,) classes that count as correct on the verification images."""
        labels = self.calibration_images.labels
        return self.top_classes if labels is None else labels

    @cached_property
    def top_classes(self) -> Tensor:
        """(N,) classes that the model itself predicts for the verification images."""
        fused, images = self.fused(), self.calibration_images
        with torch.inference_mode(), without_autocast(self.device), use_threads(self.threads):
            predicted = [fused(part).argmax(1) for part in images.batches(images.verification, 16)]
        return torch.cat(predicted)[: len(images.verification)]

    def digest(self) -> str:
        """Return a digest of the layers, their code and every weight."""
        digest = hashlib.sha256(f"{getattr(self.model, 'config', None)}\n{self.model}".encode())
        if not isinstance(self.model, ImageModel):
            for name, module in self.model.named_modules():
                digest.update(f"{name} {_settings(module)}".encode())
            kinds = {kind for module in self.model.modules() for kind in type(module).__mro__}
            for code in sorted(map(_code, kinds)):
                digest.update(code.encode())
        for name, tensor in (*self.model.state_dict().items(), *self.model.named_buffers()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(_bytes(tensor))
        return digest.hexdigest()


def _settings(module: nn.Module) -> dict[str, str]:
    """Return a module's plain attributes and functions, on which its `forward` may depend."""
    return {
        name: getattr(value, "__qualname__", None) or repr(value)
        for name, value in sorted(vars(module).items())
        if name != "training" and _is_setting(value)
    }


def _is_setting(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_setting, value))
    return value is None or isinstance(value, bool | int | float | str | FunctionType | BuiltinFunctionType)


def _code(kind: type) -> str:
    """Return the source code of a class outside of PyTorch; else its name, as where there is no code."""
    if not kind.__module__.startswith(("torch.", "builtins")):
        with suppress(OSError, TypeError):
            return inspect.getsource(kind)
    return f"{kind.__module__}.{kind.__qualname__}"


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
