"""GhostNetV2 (Tang et al., arXiv 2211.12905)."""
