"""MobileNetV2 (Sandler et al., arXiv 1801.04381)."""
