"""MNASNet (Tan et al., arXiv 1807.11626)."""
