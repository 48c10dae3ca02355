"""One module per export format, each with `write`, `run` and `read_entries`."""
