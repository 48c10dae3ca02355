"""Inputs of a model to be counted: given as a size, as shapes, or as tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from lightcars.errors import InputError
from lightcars.models.image_model import ImageModel
from lightcars.models.unwrapping import unwrap

InputSize: TypeAlias = int | tuple[int, ...] | list[int] | None
Inputs: TypeAlias = Tensor | tuple[Any, ...] | list[Any] | dict[str, Any] | None

_GIVEN = (Tensor, bool, int, float, str, type(None))
"""Passed to the model as they are; of tensors only shape and precision count."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A floating-point tensor that is given by its shape."""

    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """Arguments of a model, with a `Shape` or a tensor for each tensor.

    Attributes:
        args, kwargs: positional and keyword arguments; lists, tuples and dicts may be nested in them.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each tensor, in order."""
        leaves = tree_leaves((self.args, self.kwargs))
        return tuple(
            leaf.sizes if isinstance(leaf, Shape) else tuple(leaf.shape)
            for leaf in leaves
            if isinstance(leaf, Shape | Tensor)
        )

    def blank(self, model: nn.Module, *, device: str = "meta") -> ModelInputs:
        """Return the same inputs as tensors for a skeleton, in its precision: without values on meta."""
        dtype = _precision(model)

        def tensor(leaf: Any) -> Any:
            if isinstance(leaf, Shape):
                make = torch.empty if device == "meta" else torch.zeros  # zeros on meta imports 1000 modules
                return make(leaf.sizes, dtype=dtype, device=device)
            return _moved(leaf, torch.device(device)) if isinstance(leaf, Tensor) else leaf

        return self._with(tensor)

    def random(self, model: nn.Module, device: torch.device) -> ModelInputs:
        """Return the same inputs as tensors on a device: random ones for shapes, given ones unchanged."""
        dtype, generator = _precision(model), torch.Generator().manual_seed(0)

        def tensor(leaf: Any) -> Any:
            if isinstance(leaf, Shape):
                return torch.rand(leaf.sizes, generator=generator).to(device, dtype)
            return _moved(leaf, device) if isinstance(leaf, Tensor) else leaf

        return self._with(tensor)

    def _with(self, tensor: Callable[[Any], Any]) -> ModelInputs:
        return ModelInputs(tree_map(tensor, self.args), tree_map(tensor, self.kwargs))


def read_inputs(model: nn.Module, input_size: InputSize, inputs: Inputs) -> ModelInputs:
    """Read what the user gave as `input_size` or `inputs`.

    Args:
        model: the model, whose config or first convolution gives the number of channels of an image.
        input_size: size of the image of a model that takes one; see `image_shape`.
        inputs: a tensor or a shape for a model with one input; a tuple of them for positional arguments, a
            dict for keyword arguments. A list of them is one argument, a list of tensors.

    Raises:
        InputError: invalid sizes, or both given.
    """
    if inputs is None:
        return ModelInputs((Shape(image_shape(model, input_size)),), {})
    if input_size is not None:
        raise InputError("give either input_size or inputs, not both.")
    if not isinstance(inputs, Tensor | tuple | list | dict):
        raise _invalid(inputs)
    if isinstance(inputs, dict):
        return ModelInputs((), {name: _read(value) for name, value in inputs.items()})
    if isinstance(inputs, tuple) and not _is_shape(inputs):
        return ModelInputs(tuple(_read(value) for value in inputs), {})
    return ModelInputs((_read(inputs),), {})


def _read(value: Any) -> Any:
    if isinstance(value, _GIVEN):
        return value
    if _is_shape(value):
        if min(value) < 1:
            raise InputError(f"a shape in inputs must be made of positive integers, not {value!r}.")
        return Shape(tuple(value))
    if isinstance(value, list | tuple) and value:
        items = [_read(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {name: _read(item) for name, item in value.items()}
    raise _invalid(value)


def _invalid(value: object) -> InputError:
    return InputError(
        "inputs must be a tensor or a shape, a tuple of them (positional arguments) or a dict of them"
        f" (keyword arguments), not {value!r}."
    )


def _is_shape(value: Any) -> bool:
    """A non-empty tuple or list of integers."""
    return (
        isinstance(value, tuple | list)
        and len(value) > 0
        and all(isinstance(side, int) and not isinstance(side, bool) for side in value)
    )


def image_shape(model: nn.Module, input_size: InputSize) -> tuple[int, ...]:
    """Return the (N, C, H, W) that `input_size` means for `model`.

    Args:
        model: the model, whose config or first convolution gives the number of channels.
        input_size: None (the model's own resolution), an int (square), (H, W) or (N, C, H, W).

    Raises:
        InputError: a size that is missing or invalid.
    """
    model = unwrap(model)
    if input_size is None:
        if not isinstance(model, ImageModel):
            raise InputError(
                f"{type(model).__name__} has no input size of its own; give input_size as an int, (H, W) or"
                " (N, C, H, W), or inputs as tensors or shapes."
            )
        input_size = model.config.resolution
    if any(isinstance(leaf, Tensor) for leaf in tree_leaves(input_size)):
        raise InputError("input_size takes integers; pass tensors and shapes of any rank as inputs.")
    sides: tuple[Any, ...] = (input_size, input_size)
    if isinstance(input_size, list | tuple):
        sides = tuple(input_size)
    if any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in sides):
        raise InputError(f"input_size must be made of positive integers, not {input_size!r}.")
    if len(sides) == 2:
        return (1, _image_channels(model), *sides)
    if len(sides) == 4:
        return sides
    raise InputError(
        f"input_size must be an int, (H, W) or (N, C, H, W), not {input_size!r}; pass shapes of any rank as"
        " inputs."
    )


def _image_channels(model: nn.Module) -> int:
    if isinstance(model, ImageModel):
        return model.config.img_channels
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    raise InputError(
        f"{type(model).__name__} has no 2d convolution that gives its channels; give input_size as"
        " (N, C, H, W), or inputs."
    )


def _precision(model: nn.Module) -> torch.dtype:
    tensors = [*model.parameters(), *model.buffers()]
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on the device; one without values, from meta, becomes zeros."""
    if device.type == "meta":
        return torch.empty_like(tensor, device=device, requires_grad=False)
    if tensor.is_meta:
        return torch.zeros(tensor.shape, dtype=tensor.dtype, device=device)
    return tensor.detach().to(device)
