"""RepGhostNet (Chen et al., arXiv 2211.06088)."""
