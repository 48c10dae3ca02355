"""Rows of a profile, one per module and one per operator, and their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lightcars.tables import short_number

Table: TypeAlias = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Head and rows."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One module. Its counts include those of the modules inside it.

    Attributes:
        name: path inside the model, "" for the model itself; the first path of a module that has several.
        type: class name.
        output_shape: of its last call, None if it was not called or returns no tensor.
        num_params: parameters.
        flops: multiply-accumulates of the forward pass, also in a profile with the backward pass: there an
            operator cannot be attributed to one module.
    """

    name: str
    type: str
    output_shape: tuple[int, ...] | None
    num_params: int
    flops: int


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator of torch.

    Attributes:
        name: as in `torch.ops`.
        calls: number of calls.
        output_elements: number of elements written.
        flops: multiply-accumulates; None if it is not counted.
    """

    name: str
    calls: int
    output_elements: int
    flops: int | None


def layer_table(model: str, layers: Sequence[LayerRow], depth: int) -> Table:
    """Return the table of the modules down to `depth` levels; `model` names the outermost."""
    rows: list[tuple[str, ...]] = [
        (
            row.name or model,
            row.type,
            "x".join(map(str, row.output_shape)) if row.output_shape else "",
            short_number(row.num_params),
            short_number(row.flops),
        )
        for row in layers
        if (row.name.count(".") + 1 if row.name else 0) <= depth
    ]
    return ("layer", "type", "output", "parameters", "forward FLOPs"), rows


def operator_table(operators: Sequence[OperatorRow]) -> Table:
    """Return the table of all operators."""
    rows: list[tuple[str, ...]] = [
        (
            row.name,
            str(row.calls),
            short_number(row.output_elements),
            "not counted" if row.flops is None else short_number(row.flops),
        )
        for row in operators
    ]
    return ("operator", "calls", "elements written", "FLOPs"), rows
