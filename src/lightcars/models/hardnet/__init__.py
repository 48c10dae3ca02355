"""HarDNet (Chao et al., arXiv 1909.00948)."""
