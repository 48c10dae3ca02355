"""Models to and from the Hugging Face Hub: `model.safetensors`, `config.json` and a model card."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lightcars.counters.params import count_params
from lightcars.errors import CheckpointError, ConfigError, DownloadError
from lightcars.files import write_text
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.registry import MODELS
from lightcars.models.unwrapping import unwrap_model
from lightcars.renamed import takes_old_names
from lightcars.tables import markdown_table
from lightcars.weights.checkpoint import load, save
from lightcars.weights.hub import CONFIG_FILE, hub_errors, hub_weights, reason, split_hub_id
from lightcars.weights.locate import in_folder, is_local_path
from lightcars.weights.pretrained import load_pretrained

CARD_FILE = "README.md"
SHOWN_CLASSES = 10
NON_COMMERCIAL = "non-commercial"
"""A license of the catalog's that the Hub has no name for."""


@takes_old_names(licence="license")
@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Training details for a model card; what is None is left out.

    Attributes:
        data: the data set and split.
        recipe: settings of the training.
        metrics: by name with their unit ("val_top1_percent"), such as `FinetuneResult.metrics`.
        license: of the weights, as the Hub names it ("apache-2.0", "cc-by-nc-4.0"); None takes that of the
            catalog's weights that the model has (`model.origin`).
        notes: anything that a user should know, in Markdown.
    """

    data: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    license: str | None = None
    notes: str | None = None


def save_pretrained(
    model: ImageModel,
    folder: str | Path,
    *,
    training: Training | None = None,
    classes: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Write what `save` writes, and a model card, in the layout of the Hugging Face Hub.

    Args:
        model: one of this library's.
        folder: created if needed; a checkpoint in it is replaced.
        training: what the card says of the training.
        classes, preprocessing: as for `save`.

    Raises:
        CheckpointError, RunError: as `save`.
    """
    model = unwrap_model(model, "save_pretrained takes a model of lightcars", CheckpointError)
    target = save(model, folder, classes=classes, preprocessing=preprocessing)
    card = json.loads((target / CONFIG_FILE).read_text(encoding="utf-8"))
    write_text(target / CARD_FILE, model_card(model, card, training or Training()))
    return target


def from_pretrained(
    name: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> ImageModel:
    """Load a model from a repository on the Hub or from a folder, built as its `config.json` says.

    Args:
        name: "owner/name", "owner/name@revision" or a folder; lightcars' or timm's.
        revision: branch, tag or commit; a commit never changes.
        token: for a private repository; None takes the one of `hf auth login` or HF_TOKEN.
        device, dtype: as for `create_model`; None keeps the precision of lightcars' files.

    Raises:
        DownloadError: it cannot be fetched.
        CheckpointError: it is corrupt, or of an unknown architecture.
    """
    folder = Path(name).expanduser()
    if folder.is_dir() and revision is not None:
        raise ConfigError(f"{name} is a folder here, which has no revisions; leave revision out.")
    if not folder.is_dir():
        hub_id = split_hub_id(str(name))
        if hub_id is None or is_local_path(str(name)):
            raise DownloadError(f"{name} is neither a folder nor a repository on the Hub (owner/name).")
        path, _ = hub_weights(hub_id[0], revision=revision or hub_id[1], token=token)
        folder = path.parent
    architecture = in_folder(folder).architecture
    if architecture is None:
        return load(folder, device=device, dtype=dtype)
    if architecture not in MODELS:
        raise CheckpointError(
            f"{name} is of timm's architecture {architecture!r}, which this library does not have."
        )
    return load_pretrained(architecture, folder, {}, device=device, dtype=dtype)


def push_to_hub(
    model: ImageModel,
    repository: str,
    *,
    training: Training | None = None,
    private: bool = False,
    token: str | None = None,
    message: str = "Upload model",
) -> str:
    """Upload a model with its card; the repository is created if needed.

    Args:
        model: one of this library's; its `classes` and `preprocessing` go with it.
        repository: "owner/name".
        training: what the card says of the training.
        private: whether a new repository is.
        token: None takes the one of `hf auth login` or HF_TOKEN.
        message: of the commit.

    Returns:
        Its address.

    Raises:
        DownloadError: the Hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, folder, training=training)
        try:
            api.create_repo(repository, private=private, exist_ok=True)
            commit = api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
        except hub_errors() as error:
            raise DownloadError(f"{repository} cannot be written to on the Hub: {reason(error)}") from error
    return str(commit.repo_url)


def model_card(model: ImageModel, config: Mapping[str, Any], training: Training) -> str:
    """Return the card in Markdown, with the header that the Hub reads.

    `config` is the content of `config.json`.
    """
    from huggingface_hub import ModelCardData

    terms = training.license or (None if model.origin is None else model.origin.license)
    unnamed = terms == NON_COMMERCIAL
    header = ModelCardData(
        license="other" if unnamed else terms,
        license_name=terms if unnamed else None,
        library_name="lightcars",
        pipeline_tag="image-classification",
        tags=["image-classification", "lightcars", str(config["family"])],
    )
    parts = [
        f"---\n{header.to_yaml()}\n---",
        f"# {type(model).__name__}",
        markdown_table(("metric", "value"), _costs(model, config)),
        '```python\nimport lightcars\n\nmodel = lightcars.from_pretrained("owner/name")\n'
        "transform = lightcars.transforms_for(model)\n```",
        _section("Preprocessing", _pairs(config["preprocessing"]) or "Not stated."),
        _section("Classes", _classes(config["classes"])),
        _section("Calibration", _calibration(model)),
        _section("License", "The weights are for non-commercial research only." if unnamed else None),
        _section("Data", training.data),
        _section("Training recipe", _pairs(training.recipe)),
        _section("Metrics", _metrics(training)),
        _section("Notes", training.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _costs(model: ImageModel, config: Mapping[str, Any]) -> list[tuple[str, ...]]:
    from lightcars.counters.flops import count_flops  # with torch's compiler, which takes a second

    side = (config["preprocessing"] or {}).get("resolution") or model.config.resolution
    shape = (1, model.config.img_channels, side, side)
    return [
        ("parameters", f"{count_params(model):,}"),
        (f"FLOPs at {side} px (multiply-accumulates)", f"{count_flops(model, shape):,}"),
        ("image channels", str(model.config.img_channels)),
        ("classes", str(model.config.num_classes)),
    ]


def _calibration(model: ImageModel) -> str | None:
    if model.temperature == 1.0:
        return None
    return f"Divide logits by the temperature {model.temperature:.4g} before the softmax for probabilities."


def _section(title: str, text: str | None) -> str | None:
    return f"## {title}\n\n{text}" if text else None


def _pairs(values: Mapping[str, Any] | None) -> str | None:
    if not values:
        return None
    return markdown_table(("setting", "value"), [(str(key), str(value)) for key, value in values.items()])


def _metrics(training: Training) -> str | None:
    """Return the metrics, with a warning if the test split selected the epoch."""
    shown = _pairs(training.metrics)
    chosen = training.metrics.get("selected_on"), training.recipe.get("select_on")
    if shown is None or "test" not in chosen:
        return shown
    return f"{shown}\n\nThe test split selected the epoch, so these metrics are optimistically biased."


def _classes(names: Sequence[str] | None) -> str | None:
    if not names:
        return None
    rest = len(names) - SHOWN_CLASSES
    shown = ", ".join(names[:SHOWN_CLASSES])
    return f"{shown}{f', and {rest} more in config.json' if rest > 0 else ''}."
