"""EfficientNet (Tan and Le, arXiv 1905.11946)."""
