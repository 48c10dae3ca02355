"""SqueezeNet (Iandola et al., arXiv 1602.07360)."""
