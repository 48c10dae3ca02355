"""Base class of all families: parts of the same names, one forward pass, one head."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from html import escape

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightcars.errors import InputError
from lightcars.layers import BlockSequence, GlobalAveragePool, initialize
from lightcars.layers.eager import shape_of
from lightcars.layers.initialization import linear
from lightcars.models.backbone import Backbone
from lightcars.models.config import ModelConfig
from lightcars.models.familiarity import Familiarity
from lightcars.models.features import FeatureMap, feature_maps
from lightcars.models.origin import WeightsOrigin
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.timm_interface import TimmInterface, require_average_pool
from lightcars.models.validation import MIN_RESOLUTION, change_config
from lightcars.tables import html_table


class ImageModel(TimmInterface, nn.Module):
    """Stem, blocks, head convolution; then pooling, neck, dropout and classifier.

    (N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32. A family builds its
    parts and passes them to this class; see `models/<family>/model.py`.

    Args:
        config: what the model is built from.
        stem, blocks: from the image to the last block's map.
        head: from there to the last map, (N, feature_channels, h, w); None for nothing.
        pool: from the last map to a vector; None for global average pooling.
        neck: from the pooled vector to that before the classifier, (N, head_channels); None for nothing.
        classifier: None for a new linear layer, or the identity if the config has no classes. A convolution
            takes the last map; its outputs pass a ReLU and are averaged.

    Attributes:
        config, stem, blocks, head, pool, neck, dropout, classifier: as above.
        origin: where its weights came from; None if they are randomly initialized.
        preprocessing: what its weights expect of their input, if known; see `lightcars.transforms_for`.
        classes: names of its outputs in order, if known.
        temperature: what its logits are divided by before the softmax, for calibrated probabilities (Guo
            et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599); 1 where nothing was fitted.
        familiarity: detector of out-of-distribution images, if one was fitted.
        fused: whether it is for inference only; see `lightcars.fuse`.
    """

    config: ModelConfig
    origin: WeightsOrigin | None = None
    preprocessing: Preprocessing | None = None
    classes: tuple[str, ...] | None = None
    temperature: float = 1.0
    familiarity: Familiarity | None = None
    fused: bool = False

    def __init__(
        self,
        config: ModelConfig,
        *,
        stem: nn.Module,
        blocks: BlockSequence,
        head: nn.Module | None = None,
        pool: nn.Module | None = None,
        neck: nn.Module | None = None,
        classifier: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self._img_channels = config.img_channels  # compilers of torch 2.6 cannot read inherited slots
        self.stem, self.blocks = stem, blocks
        self.head = nn.Identity() if head is None else head
        self.pool = GlobalAveragePool() if pool is None else pool
        self.neck = nn.Identity() if neck is None else neck
        self.dropout: nn.Module = nn.Dropout(config.dropout)
        self.classifier = self._make_classifier() if classifier is None else classifier

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a table, and the modules on request."""
        config, count = self.config, sum(parameter.numel() for parameter in self.parameters())
        rows = [
            ("parameters", f"{count:,}"),
            ("classes", f"{config.num_classes:,}"),
            ("input", f"{config.img_channels} x {config.resolution} x {config.resolution}"),
            ("weights", "random" if self.origin is None else str(self.origin)),
        ]
        modules = f"<details><summary>Modules</summary><pre>{escape(str(self))}</pre></details>"
        return html_table(("", ""), rows, title=type(self).__name__) + modules

    @property
    def feature_info(self) -> tuple[FeatureMap, ...]:
        """Channels and stride of each map that `features` returns."""
        config = self.config
        return feature_maps(config.block_channels, config.block_strides, stem_stride=config.stem_stride)

    @property
    def min_dynamic_resolution(self) -> int:
        """Smallest height and width of a graph that is exported for any of them."""
        least: int = getattr(self.config, "min_dynamic_resolution", MIN_RESOLUTION + 1)
        return least

    @property
    def last_part(self) -> str:
        """Name of the part whose output the classifier takes: the neck if it has weights, else the head."""
        return "neck" if list(self.neck.parameters()) else "head"

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last map of images.

        (N, img_channels, H, W) -> (N, feature_channels, h, w), in most families ceil(H / 32) by
        ceil(W / 32).
        """
        self._check(x)
        y: Tensor = self.head(self.blocks(self.stem(x)))
        return y

    def forward_head(self, x: Tensor, *, pre_logits: bool = False) -> Tensor:
        """Return (N, num_classes) logits for the last map, or the (N, head_channels) vector before them."""
        self._check_batch(x)
        if isinstance(self.classifier, nn.Conv2d) and not pre_logits:
            return self.pool(F.relu(self.classifier(self.dropout(x)))).flatten(1)  # type: ignore[no-any-return]
        vector: Tensor = self.neck(self.pool(x)).flatten(1)
        y: Tensor = vector if pre_logits else self.classifier(self.dropout(vector))
        return y

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the last map at each stride, as `feature_info` describes them.

        To train on them, use `backbone()`: wrappers such as DistributedDataParallel see its forward only.
        """
        self._check(x)
        return self.blocks.collect(self.stem(x), [info.block for info in self.feature_info])

    def backbone(self, *, out_indices: Iterable[int] | None = None, output_stride: int = 32) -> Backbone:
        """Return a copy of the stem and the blocks as a module whose forward returns maps.

        Args:
            out_indices: of the maps in `feature_info`, in ascending order; None for all.
            output_stride: 8, 16 or 32; below 32 by dilation.
        """
        stem, blocks = copy.deepcopy((self.stem, self.blocks))
        return Backbone(
            stem, blocks, self.feature_info, out_indices=out_indices, output_stride=output_stride
        ).train(self.training)

    def take_description(self, other: ImageModel) -> None:
        """Copy what belongs to the weights of another model, for a model with the same weights."""
        self.origin, self.classes, self.preprocessing = other.origin, other.classes, other.preprocessing
        self.temperature, self.familiarity = other.temperature, other.familiarity

    def reset_parameters(self) -> None:
        """Sample new initial weights."""
        self.initialize_layers(self)

    def initialize_layers(self, module: nn.Module) -> None:
        """Sample new initial weights for `module`, a part of this model."""
        initialize(module)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier with a new, initialized one; 0 leaves it out.

        Args:
            num_classes: outputs of the new one.
            global_pool: as in timm; only None or "avg".
        """
        require_average_pool(global_pool)
        self.config = change_config(self.config, {"num_classes": num_classes})
        self.classes, self.temperature, self.familiarity = None, 1.0, None
        like = next(self.blocks.parameters())
        with torch.device(like.device):
            self.classifier = self._make_classifier()
        self.classifier.to(dtype=like.dtype).train(self.training)

    def gradient_checkpointing(self, enabled: bool = True) -> None:
        """Trade time for memory: recompute activations inside the blocks in the backward pass."""
        self.blocks.recompute = enabled

    def _make_classifier(self) -> nn.Module:
        if self.config.num_classes == 0:
            return nn.Identity()
        return linear(self.config.head_channels, self.config.num_classes)

    def _check(self, x: Tensor) -> None:
        shape = shape_of(x)
        if shape is None:
            return
        wanted = self._img_channels
        if len(shape) != 4 or shape[1] != wanted:
            raise InputError(
                f"this model takes images of shape (N, {wanted}, H, W), not {shape}; convert"
                " them, or build the model with the right img_channels."
            )
        if self.training and shape[0] == 1 and self._ends_in_one_value(max(shape[2:])):
            raise InputError(
                f"a batch norm cannot train on one image of {max(shape[2:])} pixels, whose last map is one"
                " value; use a larger batch or image, or call model.eval()."
            )

    def _ends_in_one_value(self, side: int) -> bool:
        """Return whether a batch norm sees one value per channel of an image no larger than `side`."""
        return side < self.min_dynamic_resolution and _normalizes_batches(self)

    def _check_batch(self, x: Tensor) -> None:
        """Raise InputError for one vector in training, where the neck normalizes vectors over the batch."""
        if (shape_of(x) or (0,))[0] == 1 and _normalizes_batches(self.neck):
            raise InputError(
                "this model cannot train on a batch of one image (the batch norm of its neck needs two);"
                " use a larger batch, drop the last one, or call model.eval()."
            )


def _normalizes_batches(module: nn.Module) -> bool:
    """Return whether a batch norm in it computes statistics of its input, as a frozen one does not."""
    norms = (layer for layer in module.modules() if isinstance(layer, _BatchNorm))
    return any(norm.training or norm.running_mean is None for norm in norms)
