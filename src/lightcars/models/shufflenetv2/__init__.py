"""ShuffleNetV2 (Ma et al., arXiv 1807.11164)."""
