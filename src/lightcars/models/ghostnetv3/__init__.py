"""GhostNetV3 (Liu et al., arXiv 2404.11202)."""
