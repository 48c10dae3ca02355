"""Every model that ships, in one table. No torch.

`num_params` and `flops` (multiply-accumulates of convolutions and linear layers, one image at the
model's resolution, 1000 classes) are there so that a listing needs no torch; tests compute them anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TypeAlias

from lightcars.errors import UnknownModelError, did_you_mean
from lightcars.models.efficientnet.config import VARIANTS as EFFICIENTNETS
from lightcars.models.efficientnet.config import EfficientNetConfig
from lightcars.models.ghostnet.config import VARIANTS as GHOSTNETS
from lightcars.models.ghostnet.config import GhostNetConfig

AnyConfig: TypeAlias = EfficientNetConfig | GhostNetConfig


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One registered model.

    Attributes:
        config: what it is built from.
        num_params: parameters.
        flops: multiply-accumulates for one image.
        paper: where the architecture comes from.
    """

    config: AnyConfig
    num_params: int
    flops: int
    paper: str


EFFICIENTNET_PAPER = "arXiv 1905.11946"
GHOSTNET_PAPER = "arXiv 1911.11907"

MODELS: Mapping[str, ModelEntry] = MappingProxyType(
    {
        "efficientnet_b0": ModelEntry(EFFICIENTNETS["b0"], 5_288_548, 385_814_752, EFFICIENTNET_PAPER),
        "efficientnet_b1": ModelEntry(EFFICIENTNETS["b1"], 7_794_184, 686_802_832, EFFICIENTNET_PAPER),
        "efficientnet_b2": ModelEntry(EFFICIENTNETS["b2"], 9_109_994, 993_561_872, EFFICIENTNET_PAPER),
        "efficientnet_b3": ModelEntry(EFFICIENTNETS["b3"], 12_233_232, 1_827_141_392, EFFICIENTNET_PAPER),
        "efficientnet_b4": ModelEntry(EFFICIENTNETS["b4"], 19_341_616, 4_393_771_024, EFFICIENTNET_PAPER),
        "efficientnet_b5": ModelEntry(EFFICIENTNETS["b5"], 30_389_784, 10_266_384_752, EFFICIENTNET_PAPER),
        "efficientnet_b6": ModelEntry(EFFICIENTNETS["b6"], 43_040_704, 19_067_593_536, EFFICIENTNET_PAPER),
        "efficientnet_b7": ModelEntry(EFFICIENTNETS["b7"], 66_347_960, 37_745_884_192, EFFICIENTNET_PAPER),
        "ghostnet_050": ModelEntry(GHOSTNETS["050"], 2_587_292, 42_328_152, GHOSTNET_PAPER),
        "ghostnet_100": ModelEntry(GHOSTNETS["100"], 5_182_508, 141_150_512, GHOSTNET_PAPER),
        "ghostnet_130": ModelEntry(GHOSTNETS["130"], 7_358_820, 227_003_256, GHOSTNET_PAPER),
        "ghostnet_thesis": ModelEntry(GHOSTNETS["thesis"], 5_183_016, 141_149_744, GHOSTNET_PAPER),
    }
)


def list_models(pattern: str = "*") -> list[str]:
    """Names of the registered models that match a shell pattern.

    >>> list_models("ghostnet_1*")
    ['ghostnet_100', 'ghostnet_130']
    """
    return [name for name in MODELS if fnmatchcase(name, pattern)]


def find_model(name: str) -> ModelEntry:
    """The entry of a registered name, or an error that names the nearest ones."""
    if name not in MODELS:
        raise UnknownModelError(
            f"no model named {name!r}.{did_you_mean(name, MODELS)} See lightcars.list_models()."
        )
    return MODELS[name]
