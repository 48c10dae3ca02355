"""A model as a graph that other engines run: torch.export's program, ONNX, OpenVINO.

All have one input, `images` (N, img_channels, H, W) of normalized float32, and one output, `logits`
(N, num_classes). Batch norms are folded into their convolutions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from lightcars.deploy.engines import quietly, require
from lightcars.errors import ExportError, LightcarsError
from lightcars.models.image_model import ImageModel
from lightcars.models.unwrapping import require_weights, unwrap_model
from lightcars.models.validation import MIN_RESOLUTION, require_int

if TYPE_CHECKING:
    import onnx
    import openvino

INPUT, OUTPUT = "images", "logits"
OPSET = 18
LARGEST = (65_536, 16_384)


def to_program(
    model: ImageModel,
    *,
    batch: int | None = None,
    resolution: int | None = None,
    largest: tuple[int, int] = LARGEST,
) -> ExportedProgram:
    """The model as torch.export sees it, on the CPU, in float32 and evaluation mode.

    Args:
        model: one of this library's, also inside `torch.compile`; it is not changed.
        batch: images at once; None takes any number.
        resolution: pixels of the square input; None takes any height and width above 32.
        largest: batch and side of what is left open, for engines that plan memory ahead.

    Raises:
        ConfigError: a batch below 1, a resolution below 32.
        ExportError: torch.export does not take the model.
    """
    if batch is not None:
        require_int("batch", batch, at_least=1)
    if resolution is not None:
        require_int("resolution", resolution, at_least=MIN_RESOLUTION)
    ready = for_export(model)
    # An example of 1 would be taken for a constant, and equal sides for one.
    height, width = (resolution, resolution) if resolution is not None else (96, 128)
    shape = (batch or 2, ready.config.img_channels, height, width)
    example = torch.zeros(shape, dtype=torch.float32, device="cpu")
    dynamic: dict[int, Any] = {}
    if batch is None:
        dynamic[0] = Dim("batch", min=1, max=largest[0])
    if resolution is None:
        dynamic[2] = Dim("height", min=MIN_RESOLUTION + 1, max=largest[1])
        dynamic[3] = Dim("width", min=MIN_RESOLUTION + 1, max=largest[1])
    with torch.no_grad(), as_it_is(), refusals("torch.export"):
        return torch.export.export(_Images(ready), (example,), dynamic_shapes=(dynamic,))


def to_onnx(
    model: ImageModel, *, batch: int | None = None, resolution: int | None = None, opset: int = OPSET
) -> onnx.ModelProto:
    """The model in ONNX, checked by ONNX's own checker.

    Args:
        model, batch, resolution: as for `to_program`.
        opset: version of ONNX's operators, at least 18.

    Raises:
        ConfigError, ExportError: as `to_program`.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    return program_to_onnx(to_program(model, batch=batch, resolution=resolution), opset=opset)


def to_openvino(
    model: ImageModel, *, batch: int | None = None, resolution: int | None = None
) -> openvino.Model:
    """The model in OpenVINO's form, not yet compiled for a device.

    Args:
        model, batch, resolution: as for `to_program`.

    Raises:
        ConfigError, ExportError: as `to_program`.
        MissingExtraError: openvino is not installed.
    """
    return program_to_openvino(to_program(model, batch=batch, resolution=resolution))


def program_to_onnx(program: ExportedProgram, *, opset: int = OPSET) -> onnx.ModelProto:
    """As `to_onnx`, from the program of `to_program`."""
    require_int("opset", opset, at_least=OPSET)
    checker = require("onnx.checker")
    require("onnxscript")
    with as_it_is(), refusals("ONNX"), quietly():
        converted = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=[INPUT],
            output_names=[OUTPUT],
        )
        assert converted is not None
        proto = converted.model_proto
        _name_dimensions(proto.graph)
        _forget_source(proto)
        checker.check_model(proto, full_check=True)
    return proto


def program_to_openvino(program: ExportedProgram, *, batch: int | None = None) -> openvino.Model:
    """As `to_openvino`, from the program of `to_program`; for `batch` images, if that is given.

    By OpenVINO's own frontend and transformations, as in its `convert_model`, which in addition sends a note
    to its makers. Through ONNX it would lose the hard sigmoid as one operator, and GhostNet its speed.
    """
    frontends, decoders = require("openvino.frontend"), require("openvino.frontend.pytorch.fx_decoder")
    transformations = require("openvino._offline_transformations")
    example = next(node for node in program.graph.nodes if node.name == INPUT).meta["val"]
    shape = [side if isinstance(side, int) else -1 for side in example.shape]
    shape[0] = shape[0] if batch is None else batch
    with as_it_is(), refusals("OpenVINO"), quietly():
        manager = frontends.FrontEndManager()  # held, as the decoder is, until all is converted
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
    """The exporter calls dynamic dimensions "s34"; here they are what they mean."""
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
    del graph.value_info[:]  # sizes between the layers: in terms of the old names, and of no use to engines


def _forget_source(proto: Any) -> None:
    """The exporter notes for each node where it came from, with paths of this machine."""
    graph = proto.graph
    values = [*graph.input, *graph.output, *graph.initializer, *graph.node, graph, proto]
    for part in values:
        del part.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""


def for_export(model: ImageModel) -> ImageModel:
    """The model if it is on the CPU, in float32, evaluation mode and plain layout; else such a copy.

    Raises:
        ExportError: not a model of this library, or one without weights.
    """
    model = unwrap_model(model, "export takes a model of lightcars", ExportError)
    require_weights(model, ExportError)
    ready = not any(module.training for module in model.modules()) and all(
        tensor.device.type == "cpu"
        and tensor.is_contiguous()
        and (tensor.dtype == torch.float32 or not tensor.is_floating_point())
        for tensor in model.state_dict().values()
    )
    if ready:
        return model
    twin = copy.deepcopy(model).to("cpu", torch.float32).to(memory_format=torch.contiguous_format)
    return twin.eval()


class _Images(nn.Module):
    """Names the model's argument as all graphs do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(images)
        return logits


def as_it_is() -> torch.autocast:
    """The converters run parts of a model; an autocast around them would become part of the graph."""
    return torch.autocast("cpu", enabled=False)


@contextmanager
def refusals(engine: str) -> Iterator[None]:
    """What a converter raises, whatever it is, as one line of ours."""
    try:
        yield
    except LightcarsError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0][:300] if lines else type(error).__name__
        raise ExportError(f"{engine} does not take this model: {reason}") from error
