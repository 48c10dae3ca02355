"""Label images with Ray Data, on one machine or a cluster: python examples/ray_data.py FOLDER TABLE

It needs `pip install lightcars 'ray[data]'`. Each actor loads the model once and selects the fastest engine;
the choice is cached. Every row of the result has the path of an image, its most likely class and the
probability.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np


class Labeler:
    """Callable that returns the most likely class of each image in a batch, or why it cannot be read."""

    def __init__(self, weights: str = "cars196", threads: int = 1, engine: str = "auto") -> None:
        import torch

        import lightcars

        torch.set_num_threads(threads)
        self.model = lightcars.efficientnet("lite2", weights=weights).eval()
        self.transform = lightcars.transforms_for(self.model)
        self.fast = lightcars.optimize(self.model, 32, engine=engine, precision="fp32")

    def __call__(self, batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
        import torch
        from PIL import Image

        images: list[torch.Tensor] = []
        errors: list[str | None] = []
        for content in batch["bytes"]:
            try:
                with Image.open(io.BytesIO(content)) as image:
                    images.append(self.transform(image))
                errors.append(None)
            except Exception as error:  # Pillow raises nearly anything for a corrupt file
                errors.append(str(error))
        assert self.model.classes is not None
        known: list[tuple[str | None, float | None]] = []
        if images:
            logits = self.fast(torch.stack(images)) / self.model.temperature
            probabilities, labels = logits.softmax(1).max(1)
            names = [self.model.classes[label] for label in labels.tolist()]
            known = list(zip(names, probabilities.tolist(), strict=True))
        results = iter(known)
        rows = [next(results) if error is None else (None, None) for error in errors]
        return {
            "image": batch["path"],
            "guess": np.array([name for name, _ in rows], dtype=object),
            "probability": np.array([np.nan if value is None else value for _, value in rows]),
            "error": np.array(errors, dtype=object),
        }


def label(folder: str, table: str, *, actors: int = 2, engine: str = "auto") -> None:
    """Write the predictions for all images in a folder as Parquet files in the folder `table`."""
    import ray

    images = ray.data.read_binary_files(folder, include_paths=True)
    labeled = images.map_batches(
        Labeler, fn_constructor_kwargs={"engine": engine}, batch_size=32, concurrency=actors, num_cpus=1
    )
    labeled.write_parquet(table)


if __name__ == "__main__":
    label(sys.argv[1], sys.argv[2])
