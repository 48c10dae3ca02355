"""Pages, diagrams and pictures of the families, from the registry; `python -m scripts.tables` writes them."""
