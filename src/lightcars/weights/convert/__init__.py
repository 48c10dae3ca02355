"""Translate names of tensors from and to other libraries, by each family's `names.py`."""
