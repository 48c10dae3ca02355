"""Sizes and accuracies of our own weights. Written by `scripts/train_cars196.py`. No torch."""

from __future__ import annotations

from lightcars.weights.entry import Measured

CARS196 = Measured(resolution=272, size_mb=10.278, top1_percent=92.36, top5_percent=98.76)
CARS196_GHOSTNET = Measured(resolution=208, size_mb=6.181, top1_percent=88.12, top5_percent=97.42)
