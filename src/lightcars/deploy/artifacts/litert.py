"""LiteRT's .tflite file for phones, run by XNNPACK on a CPU.

The metadata are appended as a zip archive, as TensorFlow Lite's own associated files are: `classes.json` and
so on. The interpreter ignores them, and any zip tool reads them.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from lightcars.deploy.conversion import conversion_errors, no_output
from lightcars.deploy.formats import ExportPrecision
from lightcars.deploy.graphs import INPUT, OUTPUT
from lightcars.deploy.packages import InferenceFunction, require
from lightcars.deploy.quantize import DENSE, DEPTHWISE, SCALED, Attempt, best_attempt, top1_change
from lightcars.deploy.source import Source

_SUFFIX = ".json"
_SIGNATURE = "serving_default"
"""Name of the only function of a converted model."""
_KINDS = {DENSE: "FULLY_CONNECTED", DEPTHWISE: "DEPTHWISE_CONV_2D", SCALED: "MUL"}
"""Type of OpenVINO's operators -> LiteRT's."""


def write(
    program: ExportedProgram,
    path: Path,
    entries: Mapping[str, str],
    *,
    precision: ExportPrecision = "fp32",
    source: Source | None = None,
) -> None:
    """Convert and write the program; `entries` become files of an archive at its end."""
    with conversion_errors("LiteRT"), _silently():
        content = _converted(program)
        if precision == "fp16":
            content = _in_float16(content)
        elif precision == "int8":
            assert source is not None
            content = _in_int8(content, source)
    path.write_bytes(content)
    with ZipFile(path, "a") as archive:
        for key, text in entries.items():
            archive.writestr(ZipInfo(key + _SUFFIX), text)


def run(path: Path) -> InferenceFunction:
    """Load the model in LiteRT's interpreter, on this machine's CPU."""
    with _silently():
        return _engine(path.read_bytes())


def read_entries(path: Path) -> dict[str, str]:
    """Return the metadata of an artifact."""
    with ZipFile(path) as archive:
        return {name.removesuffix(_SUFFIX): archive.read(name).decode() for name in archive.namelist()}


class _Named(nn.Module):
    """Gives the output the name that all graphs use."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.model = program.module()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {OUTPUT: self.model(images)}


def _converted(program: ExportedProgram) -> bytes:
    example = next(node for node in program.graph.nodes if node.name == INPUT).meta["val"]
    images = torch.zeros(tuple(example.shape), dtype=torch.float32, device="cpu")
    converted = require("litert_torch").convert(_Named(program), sample_kwargs={INPUT: images})
    return bytes(converted.model_content())


def _in_float16(content: bytes) -> bytes:
    """Return the model with weights in float16; the engine chooses in which precision it computes."""
    types = require("ai_edge_quantizer.qtyping")
    half = types.OpQuantizationConfig(
        weight_tensor_config=types.TensorQuantizationConfig(num_bits=16, dtype=types.TensorDataType.FLOAT),
        compute_precision=types.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    quantizer = require("ai_edge_quantizer.quantizer").Quantizer(content)
    quantizer.update_quantization_recipe(".*", types.TFLOperationName.ALL_SUPPORTED, half, "float_casting")
    return bytes(quantizer.quantize(enable_progress_report=False).quantized_model)


def _in_int8(content: bytes, source: Source) -> bytes:
    """Return the model quantized for `source`'s calibration; input and output stay float32."""
    images, batch = source.calibration_images, source.batch
    fitted = [{INPUT: part.numpy()} for part in images.batches(images.fitted, batch)]

    def quantize(attempt: Attempt) -> bytes:
        quantizer = _quantizer(content, attempt)
        ranges = quantizer.calibrate({_SIGNATURE: fitted}, num_threads=source.threads)
        return bytes(quantizer.quantize(ranges, enable_progress_report=False).quantized_model)

    return best_attempt(quantize, lambda candidate: top1_change(_engine(candidate), source), source)


def _quantizer(content: bytes, attempt: Attempt) -> Any:
    """Return LiteRT's quantizer with the recipe of an attempt.

    Layers that stay in higher precision have weights in int8 nevertheless: they are converted to float.
    """
    operators = require("ai_edge_quantizer.qtyping").TFLOperationName
    quantizer = require("ai_edge_quantizer.quantizer").Quantizer(content)
    quantizer.add_static_config(".*", operators.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    for kind in (_KINDS[kept] for kept in attempt.kept):
        if kind == "MUL":
            quantizer.update_quantization_recipe(".*", operators[kind], algorithm_key="no_quantize")
        else:
            quantizer.add_weight_only_config(".*", operators[kind], num_bits=8)
    for end in (operators.INPUT, operators.OUTPUT):
        quantizer.update_quantization_recipe(".*", end, algorithm_key="no_quantize")
    return quantizer


def _engine(content: bytes) -> InferenceFunction:
    interpreter = require("ai_edge_litert.interpreter").Interpreter(
        model_content=content, num_threads=torch.get_num_threads()
    )
    infer = interpreter.get_signature_runner(_SIGNATURE)

    def call(images: Tensor) -> Tensor:
        return torch.from_numpy(infer(**{INPUT: images.contiguous().numpy()})[OUTPUT].copy())

    return call


@contextmanager
def _silently() -> Iterator[None]:
    """Discard warnings and output, also what LiteRT's own code writes to the file of standard error."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere, no_output(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
