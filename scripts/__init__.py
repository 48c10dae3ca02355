"""Scripts that write files of the repository; run one from the root: `python -m scripts.tables`."""
