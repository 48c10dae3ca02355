"""Inference: fused models, optimized engines, int8 quantization, and export to other formats.

- `fuse` folds batch norms into convolutions; `fused_layers` and `onednn` are the layers of a fused model.
- `optimize` selects the fastest engine on this machine and returns an `optimized` model. `classifier` reads
  what a model states about its input, `source` holds the model in the forms that engines take, `folding`
  folds batch norms of other libraries' models, `candidates` are the engines (in `runners/`) and precisions to
  try, `verification` compares outputs with `reference` logits, `measuring` measures latency, `cache` stores
  the choice. `quantize`, `calibration` and `calibration_images` are for int8.
- `export` writes artifacts for other engines: `formats` is the table of formats, `export_plan` is one
  artifact to write, `artifacts/` reads and writes them, `graphs` converts the model, `difference` compares
  the logits, `conversion` reports converters' errors, `description` is the metadata, `standalone/` predicts
  without PyTorch.
- `packages` imports the optional packages, `cpu` tells what this machine's CPU supports, `execution` sets
  threads and autocast, `temporary` creates folders that do not stay.
"""
