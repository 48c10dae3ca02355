"""MobileNetV1 (Howard et al., arXiv 1704.04861)."""
