"""Scripts that measure lightcars; run one from the checkout's root: `python -m benchmarks.speed.fuse`.

`speed/`, `cars/` and `imagenet/` hold one script for each question, `harness/` what they share, `tables/` the
tables and plots that the documentation shows of `results/`. No script imports another.
"""
