"""Read tensors from files without executing code in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightcars.errors import CheckpointError, RunError
from lightcars.files import replacing
from lightcars.weights.checks import check_tensors
from lightcars.weights.pytorch_files import read_pytorch_file, reason

SAFE_SUFFIX = ".safetensors"
PICKLED_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".tar")
_AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "params_ema", "ema")
_INSIDE = (*_AVERAGES, "state_dict", "model_state_dict", "model", "module", "net", "params")
_PREFIXES = ("module.", "model.", "net.")
_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Parts of names that `torch.compile`, FSDP and gradient checkpointing insert, at any depth."""
_MAX_NESTING = 4
_AVERAGED = "n_averaged"
"""The buffer of torch's `AveragedModel` (torchvision's EMA) beside its `module.`."""


def read_tensors(path: Path, device: torch.device) -> dict[str, Tensor]:
    """Return the state dict in a `.safetensors` or PyTorch file, memory-mapped where the format allows it.

    State dicts inside a training checkpoint ("state_dict", "model", "net", their averages first) are found,
    and the prefixes of DataParallel, `torch.compile` and Lightning are cut off where all tensors have them.

    Raises:
        CheckpointError: missing, empty, truncated, of another format, or a pickle of more than tensors,
            which is never executed; tensors that cannot be weights (see `check_tensors`).
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}; copy it there again.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty (0 bytes); copy or download it again.")
    if path.suffix == SAFE_SUFFIX:
        tensors = _read_safetensors(path, device)
    elif path.suffix not in PICKLED_SUFFIXES:
        raise CheckpointError(
            f"{path} is not a weights file; use {SAFE_SUFFIX} or one of {', '.join(PICKLED_SUFFIXES)}."
        )
    else:
        tensors = _state_dict(read_pytorch_file(path, device), path)
    if device.type != "meta":
        check_tensors(tensors, path)
    return _without_prefix(tensors)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a `.safetensors` file atomically.

    Raises:
        RunError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        try:
            plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
            save_file(plain, temporary, metadata={"format": "pt"})
        except SafetensorError as error:
            raise RunError(f"cannot write {path}: {error}.") from error


def _read_safetensors(path: Path, device: torch.device) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(path, device=str(device))
    except Exception as error:  # and torch's, where a header that passes lies
        raise CheckpointError(f"{path} cannot be read ({reason(error)}); copy or save it again.") from error


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    found = _state_dict_inside(content, _MAX_NESTING)
    if found is None:
        raise CheckpointError(
            f"{path} contains no state dict; looked for tensors by name, also in {', '.join(_INSIDE)}."
        )
    return found


def _state_dict_inside(content: Any, depth: int) -> dict[str, Tensor] | None:
    """Return the first tensors by name; a pickled dictionary may hold itself, hence `depth`."""
    if not isinstance(content, Mapping) or not content or not depth:
        return None
    if all(isinstance(value, Tensor) for value in content.values()):
        return {str(name): tensor for name, tensor in content.items()}
    inside = (_state_dict_inside(content[key], depth - 1) for key in _INSIDE if key in content)
    return next((found for found in inside if found), None)


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    tensors = _without_wrappers(tensors)
    for prefix in _PREFIXES:
        names = [name for name in tensors if name != _AVERAGED]
        if names and all(name.startswith(prefix) for name in names):
            return _without_prefix({name.removeprefix(prefix): tensors[name] for name in names})
    return tensors


def _without_wrappers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors as they are named without wrappers, unless two would get one name."""
    plain = {}
    for name, tensor in tensors.items():
        for wrapper in _WRAPPERS:
            name = name.replace(wrapper, "")  # noqa: PLW2901
        plain[name] = tensor
    return plain if len(plain) == len(tensors) else tensors
