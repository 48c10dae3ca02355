"""Convert weights between libraries."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightcars.errors import CheckpointError, ConfigError, RunError
from lightcars.files import replacing
from lightcars.models.config import NUMERICS, ModelConfig
from lightcars.models.families import family_of
from lightcars.models.image_model import ImageModel
from lightcars.models.registry import MODELS, find_model
from lightcars.models.tensor_names import Form
from lightcars.models.validation import has_setting
from lightcars.outputs import check_output_file, check_output_folder
from lightcars.weights.adapt import fit
from lightcars.weights.catalog import find_tag
from lightcars.weights.checkpoint import save, take_card
from lightcars.weights.convert.export import state_dict_for
from lightcars.weights.convert.translate import OURS, forms, recognize
from lightcars.weights.identify import identify
from lightcars.weights.locate import Located, locate
from lightcars.weights.pretrained import load_pretrained
from lightcars.weights.tensors import PICKLED_SUFFIXES, SAFE_SUFFIX, read_tensors, write_tensors


@dataclass(frozen=True, slots=True)
class Conversion:
    """Result of a conversion: number of tensors, the model if it was needed, and whose names they have."""

    tensors: int
    model: str | None
    to: str


def convert_weights(
    source: str,
    target: Path,
    *,
    to: str | None,
    model: str | None = None,
    changes: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Conversion:
    """Read weights from anywhere and write them atomically with the names of `to`.

    Args:
        source: a folder, a file, a tag of the catalog or a repository on the Hub.
        target: a folder for `to="lightcars"`, else a `.safetensors` or PyTorch file.
        to: "lightcars", "timm", "torchvision", "lukemelas", "huawei", "thesis", "pingolh" (HarDNet),
            "luuuyi" or "pytorchcv" (SqueezeNext); None keeps the names, and needs to know nothing of the
            model.
        model: the registered model; None identifies it.
        changes: settings of the model that its tensors do not show (padding, batch norm eps).
        force: replace existing files; never `source`.

    Raises:
        CheckpointError, UnknownWeightsError, DownloadError: weights that cannot be read or do not fit.
        ConfigError: a target that does not suit `to`.
        InputError: the target is the source, or would replace it.
        RunError: the target exists and `force` is False.
    """
    if to != OURS and target.suffix not in (SAFE_SUFFIX, *PICKLED_SUFFIXES):
        raise ConfigError(f"{target} must end in {SAFE_SUFFIX} or .pth; a folder is for --to {OURS}.")
    if to == OURS and target.suffix in (SAFE_SUFFIX, *PICKLED_SUFFIXES):
        raise ConfigError(f"with --to {OURS} give a folder, not the file {target}.")
    if to == OURS:
        check_output_folder(target, inputs=[source], force=force)
    else:
        check_output_file(target, inputs=[source], force=force)
    located = _locate(source, model)
    if to is None:
        tensors = read_tensors(located.path, torch.device("cpu"))
        _write(tensors, target)
        return Conversion(len(tensors), None, recognize(tensors) or "the file")
    name, network = _model(source, located, model, changes or {})
    if to == OURS:
        save(network, target)
        return Conversion(len(network.state_dict()), name, to)
    tensors = state_dict_for(network, to)
    options = forms(network.config, to)
    form = next((one for one in options if one.is_of(network.config)), None)
    if form is None:
        change = _difference(network.config, options[0])
        warnings.warn(f"{to}'s own model will not give the same outputs: {change}", stacklevel=3)
    _write(tensors, target)
    kind = f" ({form.prefix}{family_of(network.config).name})" if form and len(options) > 1 else ""
    return Conversion(len(tensors), name, f"{to}{kind}")


def _difference(config: ModelConfig, form: Form) -> str:
    """Say which numerics of a model are others in `form`."""
    keys = [key for key in NUMERICS if key in form.settings]
    ours = " and ".join(f"{key.removeprefix('batch_norm_')} {getattr(config, key)}" for key in keys)
    theirs = " and ".join(str(form.settings[key]) for key in keys)
    return f"{ours} become {theirs} there"


def _locate(source: str, model: str | None) -> Located:
    if Path(source).exists():
        return locate(Path(source), model or next(iter(MODELS)))
    entry = find_tag(source)
    name = model or (entry.model if entry else None)
    if name is None and "/" not in source:
        raise CheckpointError(
            f"there is no file or folder {source}; give a complete tag of `lightcars weights`, or add"
            " --model."
        )
    return locate(source, name or next(iter(MODELS)))


def _model(
    source: str, located: Located, model: str | None, changes: Mapping[str, Any]
) -> tuple[str | None, ImageModel]:
    if located.card is not None:
        if model is not None or changes:
            raise ConfigError(
                f"{located.origin} already specifies its model; omit --model and --tensorflow/--native."
            )
        config = located.card.config
        raw = read_tensors(located.path, torch.device("cpu"))
        fitted = fit(config, raw, theirs=config, origin=located.origin, device=torch.device("cpu"))
        fitted.model.preprocessing = located.card.preprocessing
        take_card(fitted.model, located.card, located.path.parent)
        return None, fitted.model.eval()
    name = model or identify(read_tensors(located.path, torch.device("cpu")), located.origin)
    missing = [key for key in changes or () if not has_setting(find_model(name).config, key)]
    if missing:
        raise ConfigError(
            f"{name} has one form only (no {', '.join(missing)}); leave out --tensorflow and --native."
        )
    tag = find_tag(source)
    return name, load_pretrained(
        name, tag.tag if tag and not Path(source).exists() else located.path, changes
    )


def _write(tensors: Mapping[str, Tensor], target: Path) -> None:
    own = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    if target.suffix == SAFE_SUFFIX:
        write_tensors(target, own)
        return
    with replacing(target) as temporary:
        try:
            torch.save(own, temporary)
        except RuntimeError as error:
            raise RunError(f"cannot write {target}: {error}.") from error
