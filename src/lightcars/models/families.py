"""Every model family, one row each. No torch.

A further family is a row here and its folder, `models/<family>/`; CONTRIBUTING.md says how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lightcars.errors import ConfigError
from lightcars.models.config import ModelConfig, Variant
from lightcars.models.efficientnet.config import VARIANTS as EFFICIENTNETS
from lightcars.models.efficientnet.config import EfficientNetConfig
from lightcars.models.efficientnet.names import NAMES as EFFICIENTNET_NAMES
from lightcars.models.efficientnetv2.config import VARIANTS as EFFICIENTNETS_V2
from lightcars.models.efficientnetv2.config import EfficientNetV2Config
from lightcars.models.efficientnetv2.names import NAMES as EFFICIENTNETV2_NAMES
from lightcars.models.ghostnet.config import VARIANTS as GHOSTNETS
from lightcars.models.ghostnet.config import GhostNetConfig
from lightcars.models.ghostnet.names import NAMES as GHOSTNET_NAMES
from lightcars.models.ghostnetv2.config import VARIANTS as GHOSTNETS_V2
from lightcars.models.ghostnetv2.config import GhostNetV2Config
from lightcars.models.ghostnetv2.names import NAMES as GHOSTNETV2_NAMES
from lightcars.models.ghostnetv3.config import VARIANTS as GHOSTNETS_V3
from lightcars.models.ghostnetv3.config import GhostNetV3Config
from lightcars.models.ghostnetv3.names import NAMES as GHOSTNETV3_NAMES
from lightcars.models.hardnet.config import VARIANTS as HARDNETS
from lightcars.models.hardnet.config import HarDNetConfig
from lightcars.models.hardnet.names import NAMES as HARDNET_NAMES
from lightcars.models.mnasnet.config import VARIANTS as MNASNETS
from lightcars.models.mnasnet.config import MNASNetConfig
from lightcars.models.mnasnet.names import NAMES as MNASNET_NAMES
from lightcars.models.mobilenetv1.config import VARIANTS as MOBILENETS_V1
from lightcars.models.mobilenetv1.config import MobileNetV1Config
from lightcars.models.mobilenetv1.names import NAMES as MOBILENETV1_NAMES
from lightcars.models.mobilenetv2.config import VARIANTS as MOBILENETS_V2
from lightcars.models.mobilenetv2.config import MobileNetV2Config
from lightcars.models.mobilenetv2.names import NAMES as MOBILENETV2_NAMES
from lightcars.models.mobilenetv3.config import VARIANTS as MOBILENETS_V3
from lightcars.models.mobilenetv3.config import MobileNetV3Config
from lightcars.models.mobilenetv3.names import NAMES as MOBILENETV3_NAMES
from lightcars.models.mobilenetv4.config import VARIANTS as MOBILENETS_V4
from lightcars.models.mobilenetv4.config import MobileNetV4Config
from lightcars.models.mobilenetv4.names import NAMES as MOBILENETV4_NAMES
from lightcars.models.repghostnet.config import VARIANTS as REPGHOSTNETS
from lightcars.models.repghostnet.config import RepGhostNetConfig
from lightcars.models.repghostnet.names import NAMES as REPGHOSTNET_NAMES
from lightcars.models.shufflenetv1.config import VARIANTS as SHUFFLENETS_V1
from lightcars.models.shufflenetv1.config import ShuffleNetV1Config
from lightcars.models.shufflenetv2.config import VARIANTS as SHUFFLENETS_V2
from lightcars.models.shufflenetv2.config import ShuffleNetV2Config
from lightcars.models.shufflenetv2.names import NAMES as SHUFFLENET_V2_NAMES
from lightcars.models.squeezenet.config import VARIANTS as SQUEEZENETS
from lightcars.models.squeezenet.config import SqueezeNetConfig
from lightcars.models.squeezenet.names import NAMES as SQUEEZENET_NAMES
from lightcars.models.squeezenext.config import VARIANTS as SQUEEZENEXTS
from lightcars.models.squeezenext.config import SqueezeNextConfig
from lightcars.models.squeezenext.names import NAMES as SQUEEZENEXT_NAMES
from lightcars.models.tensor_names import TensorNames

if TYPE_CHECKING:
    from lightcars.models.image_model import ImageModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family of models.

    Attributes:
        name: of its folder, in checkpoints, and before the variant in the names of its models.
        model: the class in `models/<name>/model.py`, which takes a config; imported at first use.
        config: the class of its configs.
        variants: what is registered, by name.
        default: the variant that is meant where none is named.
        paper: where the architecture comes from.
        names: other libraries' names of its tensors; None where no other library has its weights.
    """

    name: str
    model: str
    config: type[ModelConfig]
    variants: Mapping[str, Variant[Any]]
    default: str
    paper: str
    names: TensorNames[Any] | None = None

    def registered(self, variant: str) -> str:
        """Return the name of a variant's model in the registry."""
        return f"{self.name}_{variant}"

    def model_class(self) -> type[ImageModel]:
        """Import the module of the model and return its class."""
        module = import_module(f"lightcars.models.{self.name}.model")
        found: type[ImageModel] = getattr(module, self.model)
        return found


_ROWS = (
    Family(
        name="efficientnet",
        model="EfficientNet",
        config=EfficientNetConfig,
        variants=EFFICIENTNETS,
        default="b0",
        paper="arXiv 1905.11946",
        names=EFFICIENTNET_NAMES,
    ),
    Family(
        name="ghostnet",
        model="GhostNet",
        config=GhostNetConfig,
        variants=GHOSTNETS,
        default="100",
        paper="arXiv 1911.11907",
        names=GHOSTNET_NAMES,
    ),
    Family(
        name="efficientnetv2",
        model="EfficientNetV2",
        config=EfficientNetV2Config,
        variants=EFFICIENTNETS_V2,
        default="s",
        paper="arXiv 2104.00298",
        names=EFFICIENTNETV2_NAMES,
    ),
    Family(
        name="ghostnetv2",
        model="GhostNetV2",
        config=GhostNetV2Config,
        variants=GHOSTNETS_V2,
        default="100",
        paper="arXiv 2211.12905",
        names=GHOSTNETV2_NAMES,
    ),
    Family(
        name="ghostnetv3",
        model="GhostNetV3",
        config=GhostNetV3Config,
        variants=GHOSTNETS_V3,
        default="100",
        paper="arXiv 2404.11202",
        names=GHOSTNETV3_NAMES,
    ),
    Family(
        name="repghostnet",
        model="RepGhostNet",
        config=RepGhostNetConfig,
        variants=REPGHOSTNETS,
        default="100",
        paper="arXiv 2211.06088",
        names=REPGHOSTNET_NAMES,
    ),
    Family(
        name="shufflenetv2",
        model="ShuffleNetV2",
        config=ShuffleNetV2Config,
        variants=SHUFFLENETS_V2,
        default="100",
        paper="arXiv 1807.11164",
        names=SHUFFLENET_V2_NAMES,
    ),
    Family(
        name="squeezenet",
        model="SqueezeNet",
        config=SqueezeNetConfig,
        variants=SQUEEZENETS,
        default="1_1",
        paper="arXiv 1602.07360",
        names=SQUEEZENET_NAMES,
    ),
    Family(
        name="hardnet",
        model="HarDNet",
        config=HarDNetConfig,
        variants=HARDNETS,
        default="68",
        paper="arXiv 1909.00948",
        names=HARDNET_NAMES,
    ),
    Family(
        name="squeezenext",
        model="SqueezeNext",
        config=SqueezeNextConfig,
        variants=SQUEEZENEXTS,
        default="100",
        paper="arXiv 1803.10615",
        names=SQUEEZENEXT_NAMES,
    ),
    Family(
        name="shufflenetv1",
        model="ShuffleNetV1",
        config=ShuffleNetV1Config,
        variants=SHUFFLENETS_V1,
        default="g3",
        paper="arXiv 1707.01083",
    ),
    Family(
        name="mobilenetv1",
        model="MobileNetV1",
        config=MobileNetV1Config,
        variants=MOBILENETS_V1,
        default="100",
        paper="arXiv 1704.04861",
        names=MOBILENETV1_NAMES,
    ),
    Family(
        name="mobilenetv2",
        model="MobileNetV2",
        config=MobileNetV2Config,
        variants=MOBILENETS_V2,
        default="100",
        paper="arXiv 1801.04381",
        names=MOBILENETV2_NAMES,
    ),
    Family(
        name="mobilenetv3",
        model="MobileNetV3",
        config=MobileNetV3Config,
        variants=MOBILENETS_V3,
        default="large_100",
        paper="arXiv 1905.02244",
        names=MOBILENETV3_NAMES,
    ),
    Family(
        name="mobilenetv4",
        model="MobileNetV4",
        config=MobileNetV4Config,
        variants=MOBILENETS_V4,
        default="conv_small",
        paper="arXiv 2404.10518",
        names=MOBILENETV4_NAMES,
    ),
    Family(
        name="mnasnet",
        model="MNASNet",
        config=MNASNetConfig,
        variants=MNASNETS,
        default="100",
        paper="arXiv 1807.11626",
        names=MNASNET_NAMES,
    ),
)

FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _ROWS})


def family_of(config: ModelConfig) -> Family:
    """Return the family of a config.

    Raises:
        ConfigError: not a config of any family.
    """
    for family in _ROWS:
        if type(config) is family.config:
            return family
    raise ConfigError(f"{type(config).__name__} is not the config of a model family.")


def source_names() -> tuple[str, ...]:
    """Return the libraries whose names of tensors are known, of any family.

    >>> "timm" in source_names()
    True
    """
    named = (name for family in _ROWS if family.names is not None for name in family.names.sources)
    return tuple(dict.fromkeys(named))
