"""Models for other engines than PyTorch."""
