"""ShuffleNet (Zhang et al., arXiv 1707.01083)."""
