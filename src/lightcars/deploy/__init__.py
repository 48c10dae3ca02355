"""Models out of training: quick here, or for other engines.

- `fuse` folds batch norms away; `fused_layers` and `onednn` are what a fused model is made of.
- `optimize` finds the fastest engine of this machine, of those in `runners/`; `optimized` is what it returns.
  `source` is the model in the forms that engines take, `measuring` and `judging` say how fast and how right
  these are, `quantize` and `calibration` are for int8, `cache` remembers.
- `export` writes files for other engines: `formats` is their table, `artifacts/` their code, `graphs`
  makes what they are made of, `description` is what files say, `standalone/` predicts without torch.
- `engines` imports the packages of both, `processor` says what this machine can do.
"""
