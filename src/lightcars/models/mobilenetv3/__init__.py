"""MobileNetV3 (Howard et al., arXiv 1905.02244)."""
