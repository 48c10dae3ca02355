"""The interface of every family's config. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypedDict, TypeVar

ENDS = ("num_classes", "img_channels", "out_channels")
"""Settings of a model's first and last layers; weights are adapted where these differ."""

TENSOR_FREE = (
    "resolution",
    "dropout",
    "drop_path",
    "padding",
    "batch_norm_eps",
    "batch_norm_momentum",
    "stem_padding",
)
"""Settings that weights do not depend on. All others must be those of the weights."""

NUMERICS = ("padding", "batch_norm_eps", "stem_padding")
"""Settings that change a model's outputs and that no tensor shows."""


class ModelConfig(Protocol):
    """Interface of a config, a frozen dataclass, of any family."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def resolution(self) -> int:
        """Pixels of the square input that the model is meant for."""

    @property
    def num_classes(self) -> int:
        """Outputs; 0 for no classifier."""

    @property
    def img_channels(self) -> int:
        """Channels of the input."""

    @property
    def dropout(self) -> float:
        """Probability of dropping a value before the classifier."""

    @property
    def head_channels(self) -> int:
        """Channels before the classifier."""

    @property
    def feature_channels(self) -> int:
        """Channels of the last map."""

    @property
    def stem_stride(self) -> int:
        """Pixels of the input per pixel of the stem's output."""

    @property
    def block_channels(self) -> Sequence[int]:
        """Output channels of every block."""

    @property
    def block_strides(self) -> Sequence[int]:
        """Stride of every block."""


ConfigT = TypeVar("ConfigT", bound=ModelConfig)


@dataclass(frozen=True, slots=True)
class Variant(Generic[ConfigT]):
    """One published size of a family.

    Attributes:
        config: what it is built from.
        num_params: parameters.
        flops: multiply-accumulates of convolutions and linear layers for one image at `config.resolution`,
            1000 classes. Both counts are here so that a listing needs no torch; tests recompute them.
    """

    config: ConfigT
    num_params: int
    flops: int


class CommonChanges(TypedDict, total=False):
    """Settings that every family has, as keyword arguments."""

    width: float
    resolution: int
    num_classes: int
    img_channels: int
    out_channels: int | None
    dropout: float
    drop_path: float
