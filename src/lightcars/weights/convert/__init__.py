"""Between our names of tensors and those of other libraries; the names are in `models/<family>/names.py`."""
