"""Entry points for `torch.hub.load("owner/lightcars", "ghostnet", weights="imagenet")`."""

import sys
from pathlib import Path

dependencies = ["torch", "safetensors", "huggingface_hub", "filelock", "tqdm"]

_SOURCE = str(Path(__file__).parent / "src")
if _SOURCE not in sys.path:
    sys.path.insert(0, _SOURCE)

from lightcars import zoo  # noqa: E402
from lightcars.models.families import FAMILIES  # noqa: E402

create_model = zoo.create_model
for _family in FAMILIES:
    if hasattr(zoo, _family):  # a function of its own, beside `create_model`
        globals()[_family] = getattr(zoo, _family)
