"""Store the weights of an ONNX model in 8 or 16 bits; engines still compute in float32.

Each weight becomes a small tensor with a cast behind it, which engines evaluate once, while they load the
model. So the file is small, and latency and most of the accuracy are those of float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lightcars.deploy.packages import require

if TYPE_CHECKING:
    import onnx

Storage: TypeAlias = Literal["int8", "fp16", "fp32"]
STORAGES: tuple[Storage, ...] = ("int8", "fp16", "fp32")
LEAST_VALUES = 256
"""Smaller tensors stay in float32; they are a small part of the file."""
LEAST_INTEGERS = 4096
"""Smaller weights, as those of depthwise convolutions, stay in float16: as integers they would make the file
of `cars196-ghostnet` 1 % smaller, and change twice as many predictions (decision 42)."""
_OUTPUT_AXES: Mapping[str, int] = {"Conv": 0, "MatMul": -1}
"""Operator -> axis of its weight, the second input, along which the output channels lie."""


def store(proto: onnx.ModelProto, storage: Storage) -> None:
    """Change the storage of a model's weights, in place.

    "int8" stores large weights of convolutions and dense layers as integers from -127 to 127 with a scale for
    each output channel, everything else as "fp16" does: in float16, where its range is enough.
    """
    if storage == "fp32":
        return
    graph = proto.graph
    axes = _output_axes(graph) if storage == "int8" else {}
    kept: list[Any] = []
    added: list[Any] = []
    for tensor in graph.initializer:
        values = _float_values(tensor)
        if values is None:
            kept.append(tensor)
        elif tensor.name in axes and values.size >= LEAST_INTEGERS:
            kept += _integers(tensor.name, values, axes[tensor.name], added)
        elif np.abs(values).max() <= np.finfo(np.float16).max:
            kept.append(_tensor(f"{tensor.name}_half", values.astype(np.float16)))
            added.append(_node("Cast", [f"{tensor.name}_half"], tensor.name, to=_float_type()))
        else:
            kept.append(tensor)
    nodes = [*added, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    require("onnx.checker").check_model(proto, full_check=True)


def _output_axes(graph: Any) -> dict[str, int]:
    """Return the axis of output channels of each weight that a single kind of layer uses."""
    found: dict[str, set[int]] = {}
    for node in graph.node:
        for position, name in enumerate(node.input):
            axis = None
            if position == 1 and node.op_type in _OUTPUT_AXES:
                axis = _OUTPUT_AXES[node.op_type]
            elif position == 1 and node.op_type == "Gemm":
                axis = 0 if any(given.name == "transB" and given.i for given in node.attribute) else 1
            found.setdefault(name, set()).add(-2 if axis is None else axis)
    return {name: next(iter(axes)) for name, axes in found.items() if len(axes) == 1 and -2 not in axes}


def _float_values(tensor: Any) -> NDArray[np.float32] | None:
    """Return the values of a float32 tensor that is worth being made smaller, else None."""
    if tensor.data_type != _float_type():
        return None
    values: NDArray[np.float32] = require("onnx.numpy_helper").to_array(tensor)
    return values if values.size >= LEAST_VALUES else None


def _integers(name: str, values: NDArray[np.float32], axis: int, added: list[Any]) -> list[Any]:
    """Return the tensors of a weight, and add the nodes that restore it."""
    others = tuple(position for position in range(values.ndim) if position != axis % values.ndim)
    largest = np.abs(values).max(axis=others, keepdims=True)
    scale = (np.where(largest > 0, largest, 1) / 127).astype(np.float32)
    integers = np.rint(values / scale).astype(np.int8)
    added.append(_node("Cast", [f"{name}_int8"], f"{name}_steps", to=_float_type()))
    added.append(_node("Mul", [f"{name}_steps", f"{name}_scale"], name))
    return [_tensor(f"{name}_int8", integers), _tensor(f"{name}_scale", scale)]


def _float_type() -> int:
    return int(require("onnx").TensorProto.FLOAT)


def _tensor(name: str, values: NDArray[Any]) -> Any:
    return require("onnx.numpy_helper").from_array(values, name)


def _node(operator: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    return require("onnx.helper").make_node(operator, inputs, [output], **attributes)
