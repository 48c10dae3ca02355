"""Published weights and files of the web, without a network: random weights under the published names.

They stand for what is downloaded in the examples of the documentation, which state no results of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightcars.weights.catalog import ENTRIES, WeightsEntry


def serve(patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Replace the downloads of lightcars and torchvision in this process."""
    from torchvision.models import _api as torchvision_api

    from lightcars.weights import locate, small_file

    patch(locate, "hub_file", lambda repository, *_, **__: _file(_entry("hub_id", repository)))
    patch(locate, "download", lambda url, **_: _file(_entry("url", url)))
    patch(small_file, "fetch_small", lambda url, **_: Path(url.rpartition("/")[2]).read_bytes())
    patch(torchvision_api.WeightsEnum, "get_state_dict", _torchvision_tensors)


def _entry(key: str, value: str) -> WeightsEntry:
    return next(entry for entry in ENTRIES if getattr(entry, key) == value)


def _file(entry: WeightsEntry) -> Path:
    """Return a file with random weights in place of a published one."""
    from safetensors.torch import save_file

    from lightcars import create_model

    model = create_model(entry.model, num_classes=entry.num_classes, **entry.settings)
    path = Path(tempfile.mkdtemp()) / "model.safetensors"
    save_file(model.state_dict(), path)
    return path


def _torchvision_tensors(weights: Any, **_: object) -> dict[str, Any]:
    from torchvision.models import get_model

    tensors: dict[str, Any] = get_model(type(weights).__name__.removesuffix("_Weights").lower()).state_dict()
    return tensors
