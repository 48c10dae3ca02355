"""Convert a model to a graph that other engines run: torch.export's program, ONNX, OpenVINO.

All have one input, `images` (N, C, H, W) of normalized float32, and one output, `logits` (N, num_classes).
Batch norms are folded into their convolutions.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from lightcars.deploy.classifier import describe
from lightcars.deploy.conversion import conversion_errors, no_output
from lightcars.deploy.execution import without_autocast
from lightcars.deploy.packages import quietly, require
from lightcars.errors import ExportError
from lightcars.models.unwrapping import require_weights, unwrap
from lightcars.models.validation import MIN_RESOLUTION, require_int

if TYPE_CHECKING:
    import onnx
    import openvino

INPUT, OUTPUT = "images", "logits"
OPSET = 18
LARGEST = (65_536, 16_384)


def to_program(
    model: nn.Module,
    *,
    batch: int | None = None,
    resolution: int | None = None,
    channels: int | None = None,
    largest: tuple[int, int] = LARGEST,
    half: bool = False,
) -> ExportedProgram:
    """Export the model with torch.export, on the CPU, in float32 and evaluation mode.

    Args:
        model: an image classifier, also inside `torch.compile`; it is not changed.
        batch: batch size; None makes it dynamic.
        resolution: pixels of the square input; None makes height and width dynamic, from the model's
            `min_dynamic_resolution`.
        channels: of the input; None takes what the model states.
        largest: upper bounds of a dynamic batch and side, for engines that plan memory ahead.
        half: compute in float16; input and output stay float32.

    Raises:
        ConfigError: a batch below 1, a resolution below 32.
        ExportError: torch.export fails on the model.
    """
    if batch is not None:
        require_int("batch", batch, at_least=1)
    if resolution is not None:
        require_int("resolution", resolution, at_least=MIN_RESOLUTION)
    ready = for_export(model)
    # A batch of 1 would be specialized to a constant, and equal sides to one symbol.
    least = getattr(unwrap(model), "min_dynamic_resolution", MIN_RESOLUTION + 1)
    example_sides = (96, 128) if least <= 96 else (160, 192)
    height, width = (resolution, resolution) if resolution is not None else example_sides
    shape = (batch or 2, channels or describe(ready).channels, height, width)
    example = torch.zeros(shape, dtype=torch.float32, device="cpu")
    dynamic: dict[int, Any] = {}
    if batch is None:
        dynamic[0] = Dim("batch", min=1, max=largest[0])
    if resolution is None:
        dynamic[2] = Dim("height", min=least, max=largest[1])
        dynamic[3] = Dim("width", min=least, max=largest[1])
    with torch.no_grad(), without_autocast(), conversion_errors("torch.export"), no_output():
        inner = _Half(ready) if half else ready
        return torch.export.export(_Images(inner), (example,), dynamic_shapes=(dynamic,))


def to_onnx(
    model: nn.Module, *, batch: int | None = None, resolution: int | None = None, opset: int = OPSET
) -> onnx.ModelProto:
    """Convert the model to ONNX, checked by ONNX's own checker.

    Args:
        model, batch, resolution: as for `to_program`.
        opset: version of ONNX's operator set, at least 18.

    Raises:
        ConfigError, ExportError: as `to_program`.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    return program_to_onnx(to_program(model, batch=batch, resolution=resolution), opset=opset)


def program_to_onnx(
    program: ExportedProgram, *, opset: int = OPSET, outputs: Sequence[str] = (OUTPUT,)
) -> onnx.ModelProto:
    """Convert the result of `to_program` to ONNX, as `to_onnx` does, with the names of its outputs."""
    require_int("opset", opset, at_least=OPSET)
    checker = require("onnx.checker")
    require("onnxscript")
    with without_autocast(), conversion_errors("ONNX"), quietly():
        converted = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=[INPUT],
            output_names=list(outputs),
        )
        assert converted is not None
        proto = converted.model_proto
        _name_dimensions(proto.graph)
        _remove_source_locations(proto)
        checker.check_model(proto, full_check=True)
    return proto


def program_to_openvino(program: ExportedProgram, *, batch: int | None = None) -> openvino.Model:
    """Convert the result of `to_program` to OpenVINO; with a fixed batch size, if `batch` is given.

    Uses OpenVINO's frontend and transformations directly, because `convert_model` also sends telemetry. Going
    through ONNX would split the hard sigmoid into several operators and make GhostNet slower.
    """
    frontends, decoders = require("openvino.frontend"), require("openvino.frontend.pytorch.fx_decoder")
    transformations = require("openvino._offline_transformations")
    example = next(node for node in program.graph.nodes if node.name == INPUT).meta["val"]
    shape = [side if isinstance(side, int) else -1 for side in example.shape]
    shape[0] = shape[0] if batch is None else batch
    with without_autocast(), conversion_errors("OpenVINO"), quietly():
        manager = frontends.FrontEndManager()  # referenced, as the decoder is, until the conversion is done
        frontend = manager.load_by_framework("pytorch")
        decoder = decoders.TorchFXPythonDecoder.from_exported_program(program)
        converted = frontend.convert(frontend.load(decoder))
        converted.reshape({converted.inputs[0]: shape})
        for port, name in ((converted.inputs[0], INPUT), (converted.outputs[0], OUTPUT)):
            port.get_tensor().set_names({name})
            port.get_node().set_friendly_name(name)
        transformations.apply_moc_transformations(converted, cf=True)
        converted.validate_nodes_and_infer_types()
    return converted


def _name_dimensions(graph: Any) -> None:
    """Rename dynamic dimensions, which the exporter calls "s34"."""
    given = graph.input[0].type.tensor_type.shape.dim
    names = {
        dimension.dim_param: name
        for dimension, name in zip(given, ("batch", "channels", "height", "width"), strict=True)
        if dimension.dim_param
    }
    for value in (graph.input[0], graph.output[0]):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_param = names.get(dimension.dim_param, dimension.dim_param)
    del graph.value_info[:]  # intermediate shapes use the old names, and engines do not need them


def _remove_source_locations(proto: Any) -> None:
    """Remove the source locations of nodes, which hold paths of this machine."""
    graph = proto.graph
    values = [*graph.input, *graph.output, *graph.initializer, *graph.node, graph, proto]
    for part in values:
        del part.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""


def for_export(model: nn.Module) -> nn.Module:
    """Return the model if it is on the CPU, contiguous, in float32 and evaluation mode; else such a copy.

    Raises:
        ExportError: not a module, one without weights, or one that cannot be copied.
    """
    model = unwrap(model)
    if not isinstance(model, nn.Module):
        raise ExportError(f"export takes a torch.nn.Module, not a {type(model).__name__}.")
    require_weights(model, ExportError)
    ready = not any(module.training for module in model.modules()) and all(
        tensor.device.type == "cpu"
        and tensor.is_contiguous()
        and (tensor.dtype == torch.float32 or not tensor.is_floating_point())
        for tensor in (*model.parameters(), *model.buffers())
    )
    if ready:
        return model
    try:
        duplicate = copy.deepcopy(model).to("cpu", torch.float32)
    except Exception as error:
        raise ExportError(f"the model cannot be copied (copy.deepcopy): {error}") from error
    return duplicate.to(memory_format=torch.contiguous_format).eval()


class _Images(nn.Module):
    """Gives the model's argument the name that all graphs use."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(images)
        return logits


class _Half(nn.Module):
    """A float16 copy of a model, with float32 as input and output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).half()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(images.half())
        return logits.float()
