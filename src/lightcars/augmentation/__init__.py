"""Augmentation of training images: one by one, and in batches on the training device."""
