"""EfficientNet as a module.

Paper: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv
1905.11946, table 1 and section 3.3. Reference implementation: the authors' TensorFlow code.
Deliberate differences: symmetric padding and PyTorch's BatchNorm constants unless the config asks for
TensorFlow's; initial weights as `lightcars.layers.initialize` explains.
"""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from lightcars.layers import BlockSequence, ConvNormAct, ConvStyle, MBConv
from lightcars.layers.gradients import spatial_mean
from lightcars.models.efficientnet.config import EfficientNetConfig
from lightcars.models.image_model import ImageModel


@final
class EfficientNet(ImageModel):
    """(N, img_channels, H, W) -> (N, num_classes) logits, for any H and W of at least 32.

    See `ImageModel` for what it can do beyond `forward`.
    """

    config: EfficientNetConfig

    def __init__(self, config: EfficientNetConfig) -> None:
        super().__init__()
        self.config = config
        style = ConvStyle(
            activation=nn.SiLU,
            padding=config.padding,
            eps=config.batch_norm_eps,
            momentum=config.batch_norm_momentum,
        )
        blocks = config.blocks()
        self.stem = ConvNormAct(
            config.img_channels, config.stem_channels, kernel_size=3, stride=2, style=style
        )
        self.blocks = BlockSequence(
            *(
                MBConv(
                    block.in_channels,
                    block.out_channels,
                    expand_ratio=block.expand_ratio,
                    kernel_size=block.kernel_size,
                    stride=block.stride,
                    drop_path=block.drop_path,
                    style=style,
                )
                for block in blocks
            )
        )
        self.head = ConvNormAct(blocks[-1].out_channels, config.head_channels, style=style)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = self._make_classifier()

    def forward_head(self, x: Tensor, *, pre_logits: bool = False) -> Tensor:
        """(N, head_channels, h, w) -> (N, num_classes), or the pooled vector before the classifier."""
        pooled = spatial_mean(x, keepdim=False)
        y: Tensor = pooled if pre_logits else self.classifier(self.dropout(pooled))
        return y
