"""SqueezeNext (Gholami et al., arXiv 1803.10615)."""
