"""EfficientNetV2 (Tan and Le, arXiv 2104.00298)."""
