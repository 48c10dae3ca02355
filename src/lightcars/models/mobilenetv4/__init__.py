"""MobileNetV4, its convolutional models (Qin et al., arXiv 2404.10518)."""
