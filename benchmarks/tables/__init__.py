"""Markdown tables and plots of `results/*.json`; `python -m scripts.tables` writes them into the docs."""
