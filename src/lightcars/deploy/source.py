"""A model and the size it is optimized for, with its forms for the engines, each made once when needed."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from lightcars.deploy.calibration import Calibration, Photos, load_photos
from lightcars.deploy.fuse import fuse
from lightcars.errors import ConfigError
from lightcars.models.image_model import ImageModel
from lightcars.models.validation import require_int

if TYPE_CHECKING:
    import openvino
    from torch.export import ExportedProgram


@dataclass(frozen=True, kw_only=True)
class Source:
    """What all engines are made from.

    Attributes:
        model: stays as it is, in whichever mode and precision.
        batch: images at once.
        resolution: pixels of the square images.
        threads: of the processor that an engine may use.
        calibration: for int8; None where that is not wanted.
    """

    model: ImageModel
    batch: int
    resolution: int
    threads: int
    calibration: Calibration | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W) of the images."""
        return self.batch, self.model.config.img_channels, self.resolution, self.resolution

    @cached_property
    def device(self) -> torch.device:
        """Where the model is, and the images and logits are to be."""
        return next(self.model.parameters()).device

    @cached_property
    def eager(self) -> ImageModel:
        """The model in evaluation mode and float32: what every engine is compared with."""
        parts = self.model.state_dict().values()
        plain = all(part.dtype == torch.float32 for part in parts if part.is_floating_point())
        if plain and not any(module.training for module in self.model.modules()):
            return self.model
        return copy.deepcopy(self.model).eval().float()

    def fused(self, dtype: torch.dtype = torch.float32) -> ImageModel:
        """A fused copy."""
        fused = fuse(self.eager)
        return fused if dtype == torch.float32 else copy.deepcopy(fused).to(dtype)

    @cached_property
    def program(self) -> ExportedProgram:
        """For the converters. Of the fused model, which is exported and converted in half the time."""
        from lightcars.deploy.graphs import to_program

        return to_program(self.fused(), batch=self.batch, resolution=self.resolution)

    @cached_property
    def onnx(self) -> bytes:
        """In ONNX."""
        from lightcars.deploy.graphs import program_to_onnx

        content: bytes = program_to_onnx(self.program).SerializeToString()
        return content

    def openvino_model(self, batch: int) -> openvino.Model:
        """In OpenVINO's form, for so many images at once."""
        from lightcars.deploy.graphs import program_to_openvino

        if batch not in self._openvino_models:
            self._openvino_models[batch] = program_to_openvino(self.program, batch=batch)
        return self._openvino_models[batch]

    @cached_property
    def _openvino_models(self) -> dict[int, openvino.Model]:
        return {}

    @cached_property
    def photos(self) -> Photos:
        """What int8 is fitted to and judged by."""
        assert self.calibration is not None
        return load_photos(self.model, self.calibration, self.resolution)

    @cached_property
    def targets(self) -> torch.Tensor:
        """(N,) the classes that count as right on the judged photographs."""
        return self.first_classes if self.photos.labels is None else self.photos.labels

    @cached_property
    def first_classes(self) -> torch.Tensor:
        """(N,) what the model itself says of them."""
        fused = self.fused()
        with torch.inference_mode(), own_precision(self.device), use_threads(self.threads):
            answers = [fused(images).argmax(1) for images in self.photos.batches(self.photos.judged, 16)]
        return torch.cat(answers)[: len(self.photos.judged)]

    def digest(self) -> str:
        """Of the layers and of every weight: other models have another one."""
        digest = hashlib.sha256(f"{self.model.config}\n{self.model}".encode())
        for name, tensor in self.model.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(_bytes(tensor))
        return digest.hexdigest()


def _bytes(tensor: torch.Tensor) -> Any:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def own_resolution(model: ImageModel) -> int:
    """Pixels that the model is run with where nothing else is asked for: its weights', or its config's."""
    return model.config.resolution if model.preprocessing is None else model.preprocessing.resolution


def checked_threads(threads: int | None) -> int:
    """How many threads to use: PyTorch's number where none is given; no more than there are cores.

    Raises:
        ConfigError: a number that cannot be.
    """
    if threads is None:
        return torch.get_num_threads()
    require_int("threads", threads, at_least=1)
    most = max(os.cpu_count() or 1, torch.get_num_threads())
    if threads > most:
        raise ConfigError(f"threads must be at most {most}, the cores of this machine, not {threads}.")
    return threads


def own_precision(device: torch.device) -> torch.autocast:
    """PyTorch computes in the precision of the weights, whatever `torch.autocast` is around it."""
    return torch.autocast(device.type, enabled=False)


@contextmanager
def use_threads(number: int) -> Iterator[None]:
    """PyTorch's own work with that many threads, and then with as many as before."""
    before = torch.get_num_threads()
    if before == number:
        yield
        return
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
