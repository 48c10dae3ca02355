"""Inference: fused models, optimized engines, int8 quantization, and export to other formats.

- `fuse` folds batch norms into convolutions; `fused_layers` and `onednn` are the layers of a fused model.
- `optimize` selects the fastest engine on this machine from those in `runners/`, and returns an
  `optimized` model. `source` holds the model in the forms that engines take, `classifier` reads what a model
  says about its input, `folding` folds batch norms of other libraries' models, `verification` compares
  outputs with `reference` logits, `measuring` measures latency, `quantize` and `calibration` are for int8,
  `cache` stores the choice.
- `export` writes artifacts for other engines: `formats` is the table of formats, `artifacts/` reads and
  writes them, `graphs` converts the model, `description` is the metadata, `standalone/` predicts without
  PyTorch.
- `packages` imports the optional packages, `cpu` tells what this machine's CPU supports.
"""
