"""Entry points for `torch.hub.load("owner/lightcars", "ghostnet", weights="imagenet")`."""

import sys
from pathlib import Path

dependencies = ["torch", "safetensors", "huggingface_hub", "filelock", "tqdm"]

_SOURCE = str(Path(__file__).parent / "src")
if _SOURCE not in sys.path:
    sys.path.insert(0, _SOURCE)

from lightcars import create_model, efficientnet, ghostnet  # noqa: E402

__all__ = ["create_model", "efficientnet", "ghostnet"]
