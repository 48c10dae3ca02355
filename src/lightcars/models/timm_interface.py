"""What timm's users reach for, under timm's names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from lightcars.errors import ConfigError

if TYPE_CHECKING:
    from lightcars.models.config import ModelConfig
    from lightcars.models.preprocessing import Preprocessing


class TimmInterface:
    """Attributes and methods of timm's models in this library's terms; mixed into `ImageModel`."""

    config: ModelConfig
    preprocessing: Preprocessing | None
    classifier: nn.Module

    @property
    def num_classes(self) -> int:
        """Outputs; 0 for no classifier: `config.num_classes`."""
        return self.config.num_classes

    @property
    def num_features(self) -> int:
        """Channels of what `forward_features` returns: `config.feature_channels`."""
        return self.config.feature_channels

    @property
    def head_hidden_size(self) -> int:
        """Width of the vector before the classifier: `config.head_channels`."""
        return self.config.head_channels

    @property
    def pretrained_cfg(self) -> dict[str, Any]:
        """Preprocessing and ends of the model, as `timm.data.resolve_data_config` reads them."""
        config, about = self.config, self.preprocessing
        resolution = config.resolution if about is None else about.resolution
        found: dict[str, Any] = {
            "num_classes": config.num_classes,
            "input_size": (config.img_channels, resolution, resolution),
            "first_conv": "stem.conv",
            "classifier": "classifier",
        }
        if about is not None:
            found |= {"mean": about.mean, "std": about.std, "interpolation": about.interpolation}
            found |= {"crop_pct": about.crop_fraction}
            found |= {"crop_mode": "squash" if about.resize == "squash" else "center"}
        return found

    @property
    def default_cfg(self) -> dict[str, Any]:
        """The same under timm's older name."""
        return self.pretrained_cfg

    def get_classifier(self) -> nn.Module:
        """Return `classifier`."""
        return self.classifier

    def forward_intermediates(
        self, x: Tensor, indices: int | Iterable[int] | None = None, *, intermediates_only: bool = False
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Return the last map and those of `features`, or the latter alone.

        Args:
            x: images, (N, img_channels, H, W).
            indices: of the maps in `feature_info`; a number for so many of the last ones, None for all.
            intermediates_only: whether the last map, that of `forward_features`, is left out.
        """
        model = cast(Any, self)
        maps: list[Tensor] = model.features(x)
        count = len(maps)
        chosen = range(count) if indices is None else indices
        chosen = range(count - chosen, count) if isinstance(chosen, int) else chosen
        try:
            taken = [maps[index] for index in chosen]
        except IndexError:
            raise ConfigError(f"indices must be some of the {count} maps, not {indices!r}.") from None
        return taken if intermediates_only else (model.head(maps[-1]), taken)


def require_average_pool(global_pool: str | None) -> None:
    """Raise ConfigError for a pooling of timm's that these models do not have."""
    if global_pool not in (None, "avg"):
        raise ConfigError(
            f"these models have global average pooling only, not {global_pool!r}; for feature maps,"
            " use model.backbone() or forward_features."
        )
