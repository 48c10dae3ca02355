"""Names of tensors in other libraries' checkpoints: one file per family, read in both directions."""
