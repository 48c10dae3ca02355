"""Read tensors from files without executing code in them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightcars.errors import CheckpointError, RunError
from lightcars.files import replacing
from lightcars.weights.pickles import PROTO, ZIP, load_pickled

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
            which is never executed.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}; copy it there again.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty (0 bytes); copy or download it again.")
    if path.suffix == SAFE_SUFFIX:
        return _without_prefix(_read_safetensors(path, device))
    if path.suffix not in PICKLED_SUFFIXES:
        raise CheckpointError(
            f"{path} is not a weights file; use {SAFE_SUFFIX} or one of {', '.join(PICKLED_SUFFIXES)}."
        )
    return _without_prefix(_state_dict(_read_pickled(path, device), path))


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
        raise CheckpointError(f"{path} cannot be read ({_reason(error)}); copy or save it again.") from error


def _read_pickled(path: Path, device: torch.device) -> Any:
    begin = _beginning(path)
    if not _is_pickled(begin):
        raise CheckpointError(f"{path} is not what torch.save writes; copy or download it again.")
    try:
        return load_pickled(path, device, begin)
    except pickle.UnpicklingError as error:
        if "Unsupported operand" in str(error):
            raise CheckpointError(
                f"{path} is not a PyTorch file, or corrupt; copy or save it again."
            ) from error
        raise CheckpointError(
            f"{path} holds more than tensors, and is refused because reading it could run foreign code; ask"
            " its author for a safetensors file."
        ) from error
    except Exception as error:  # torch raises nearly anything for a broken file
        raise CheckpointError(
            f"{path} cannot be read ({_reason(error)}); copy or download it again."
        ) from error


def looks_pickled(path: Path) -> bool:
    """Return whether a file begins like those of `torch.save`."""
    return _is_pickled(_beginning(path))


def _is_pickled(begin: bytes) -> bool:
    return begin.startswith(ZIP) or (
        len(begin) > 1 and begin[0] == PROTO and 2 <= begin[1] <= pickle.HIGHEST_PROTOCOL
    )


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(ZIP))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error


def _reason(error: Exception) -> str:
    """Return the first sentence; torch's further ones give advice that does not apply here."""
    text = str(error).strip().partition("\n")[0].partition(". ")[0].strip()
    return f"{type(error).__name__} {text}".strip() if not text or isinstance(error, KeyError) else text


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    found = _state_dict_inside(content, _MAX_NESTING)
    if found is None:
        raise CheckpointError(
            f"{path} holds no state dict; looked for tensors by name, also in {', '.join(_INSIDE)}."
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
