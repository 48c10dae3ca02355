"""Augmentation of training images: one by one, and batched on the training device."""
