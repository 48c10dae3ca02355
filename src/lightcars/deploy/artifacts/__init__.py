"""One file per format, each with `write`, `run` and `read_entries`."""
