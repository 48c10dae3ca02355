"""Does `lightcars.optimize` keep the accuracy of EfficientNet-Lite's ImageNet weights in bf16 and int8?

Data: `--data FOLDER`, images whose subfolders or names tell ImageNet's classes, as `lightcars weights verify`
takes them. int8 is calibrated on other images, `--calibration FOLDER`, without labels.

Method: the weights are loaded in fp32 and classify all images; then the optimized model in each precision
classifies the same pixels. Counts are of images whose most likely class is right.
`python -m benchmarks.imagenet.precisions --data imagenet1000 --calibration cars196/train` takes some minutes
for each model.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness.ratios import table
from benchmarks.harness.record import RESULTS, write
from lightcars import create_model, optimize
from lightcars.data.dataset import decode
from lightcars.data.pixels import normalize
from lightcars.deploy.calibration import Calibration
from lightcars.evaluation.weights_check import labeled_images
from lightcars.models.image_model import ImageModel

MODELS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
PRECISIONS = ("fp32", "bf16", "int8")
BATCH = 50
Batch = tuple[Tensor, Tensor]
"""(N, 3, H, W) normalized images and (N,) labels."""


def batches_of(model: ImageModel, folder: Path) -> list[Batch]:
    """Return the labeled images of a folder as the model takes them, in equal batches."""
    assert model.classes is not None
    assert model.preprocessing is not None
    samples = labeled_images(folder, model.classes)
    found = decode(samples, model.preprocessing, name=folder.name)
    pixels, labels = torch.from_numpy(found.pixels).permute(0, 3, 1, 2), torch.from_numpy(found.labels)
    parts = [slice(first, first + BATCH) for first in range(0, len(labels) - BATCH + 1, BATCH)]
    return [(normalize(pixels[part], model.preprocessing), labels[part]) for part in parts]


@torch.inference_mode()
def count_right(model: nn.Module, batches: list[Batch]) -> int:
    """Return the number of images whose most likely class is right."""
    return sum(int((model(images).argmax(1) == labels).sum()) for images, labels in batches)


def measured(name: str, data: Path, calibration: Calibration) -> dict[str, Any]:
    """Return how many images a model classifies right, eagerly and optimized in each precision."""
    model = create_model(name, weights="imagenet")
    assert isinstance(model, ImageModel)
    batches = batches_of(model, data)
    found: dict[str, Any] = {"images": BATCH * len(batches), "eager": count_right(model.eval(), batches)}
    for precision in PRECISIONS:
        given = calibration if precision == "int8" else None
        fast = optimize(model, BATCH, precision=precision, calibration=given)
        found[precision] = count_right(fast, batches)
        found[f"{precision}_engine"] = fast.engine
        print(name, precision, fast.engine, found[precision])
    return found


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="labeled images of ImageNet's classes")
    options.add_argument("--calibration", type=Path, required=True, help="images for int8")
    options.add_argument("--models", nargs="+", default=list(MODELS))
    options.add_argument("--out", type=Path, default=RESULTS / "imagenet_precisions.json")
    arguments = options.parse_args()
    calibration = Calibration(folder=arguments.calibration)
    results = {name: measured(name, arguments.data, calibration) for name in arguments.models}
    head = ["model", "images", "eager", *PRECISIONS]
    print(table(head, [[name, *(str(found[key]) for key in head[1:])] for name, found in results.items()]))
    folder = arguments.calibration.name
    write(arguments.out, "imagenet_precisions", calibration=folder, results=results)


if __name__ == "__main__":
    main()
