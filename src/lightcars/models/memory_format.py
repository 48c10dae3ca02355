"""Memory formats of images and weights."""

from __future__ import annotations

import torch

TORCH_MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
"""By PyTorch's names: (N, C, H, W) and (N, H, W, C)."""
