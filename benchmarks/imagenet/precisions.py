"""Does `lightcars.optimize` keep the accuracy of EfficientNet-Lite's ImageNet weights in bf16 and int8?

Data: `--data FOLDER`, images whose subfolders or names tell ImageNet's classes, as `lightcars weights verify`
takes them. int8 is calibrated on some of them, sampled with seed 0, so the others are counted separately too.

Method: the weights are loaded in fp32 and classify all images; then the optimized model in each precision
classifies the same pixels. Counts are of images whose most likely class is right.
`python -m benchmarks.imagenet.precisions --data imagenet1000` takes some minutes for each model.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness.ratios import table
from benchmarks.harness.record import RESULTS, write
from lightcars import create_model, optimize
from lightcars.data.dataset import decode
from lightcars.data.pixels import normalize
from lightcars.data.records import Sample
from lightcars.deploy.calibration import Calibration
from lightcars.evaluation.weights_check import labeled_images
from lightcars.models.image_model import ImageModel

MODELS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
PRECISIONS = ("fp32", "bf16", "int8")
BATCH = 50
CALIBRATION_IMAGES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Labeled images as a model takes them.

    Attributes:
        pixels: (N, 3, H, W), normalized.
        labels: (N,).
        calibrates: (N,) of bool: whether int8 is calibrated on the image.
        calibration: a folder of these images, in class folders.
    """

    pixels: Tensor
    labels: Tensor
    calibrates: Tensor
    calibration: Path


def read_images(model: ImageModel, data: Path, calibration: Path, number: int) -> Images:
    """Decode a folder of labeled images, and link `number` of them below `calibration`."""
    assert model.classes is not None
    assert model.preprocessing is not None
    samples = labeled_images(data, model.classes)
    chosen = sorted(random.Random(0).sample(range(len(samples)), number))
    link_into_classes([samples[place] for place in chosen], model.classes, calibration)
    found = decode(samples, model.preprocessing, name=data.name)
    pixels = torch.from_numpy(found.pixels).permute(0, 3, 1, 2)
    calibrates = torch.zeros(len(samples), dtype=torch.bool)
    calibrates[chosen] = True
    return Images(
        pixels=normalize(pixels, model.preprocessing),
        labels=torch.from_numpy(found.labels),
        calibrates=calibrates,
        calibration=calibration,
    )


def link_into_classes(samples: Sequence[Sample], classes: Sequence[str], folder: Path) -> None:
    """Link images below folders with the names of their classes, which `Calibration` takes as labels."""
    for sample in samples:
        path = folder / classes[sample.label].replace("/", "-") / sample.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(sample.path.resolve())


@torch.inference_mode()
def count_right(model: Callable[[Tensor], Tensor], images: Images) -> dict[str, int]:
    """Return for how many images the most likely class is right: of all, and of those not calibrated on."""
    full = len(images.pixels) // BATCH * BATCH
    parts = [model(part).argmax(1) for part in images.pixels[:full].split(BATCH)]
    if full < len(images.pixels):
        parts.append(model(images.pixels[-BATCH:]).argmax(1)[full - len(images.pixels) :])
    right = torch.cat(parts) == images.labels
    return {"all": int(right.sum()), "others": int(right[~images.calibrates].sum())}


def measured(name: str, data: Path, number: int) -> dict[str, Any]:
    """Return how many images a model classifies right, eagerly and optimized in each precision."""
    model = create_model(name, weights="imagenet")
    assert isinstance(model, ImageModel)
    with tempfile.TemporaryDirectory() as folder:
        images = read_images(model, data, Path(folder), number)
        found: dict[str, Any] = {
            "images": len(images.labels),
            "others": int((~images.calibrates).sum()),
            "right": {"eager": count_right(model.eval(), images)},
            "engines": {},
        }
        for precision in PRECISIONS:
            given = Calibration(folder=images.calibration) if precision == "int8" else None
            fast = optimize(model, BATCH, precision=precision, calibration=given)
            found["right"][precision] = count_right(fast, images)
            found["engines"][precision] = fast.engine
            print(name, precision, fast.engine, found["right"][precision], flush=True)
    return found


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="labeled images of ImageNet's classes")
    options.add_argument("--calibration-images", type=int, default=CALIBRATION_IMAGES, help="for int8")
    options.add_argument("--models", nargs="+", default=list(MODELS))
    options.add_argument("--out", type=Path, default=RESULTS / "imagenet_precisions.json")
    arguments = options.parse_args()
    number = arguments.calibration_images
    results = {name: measured(name, arguments.data, number) for name in arguments.models}
    head = ["model", "eager", *PRECISIONS]
    rows = [[name, *(str(found["right"][key]["all"]) for key in head[1:])] for name, found in results.items()]
    print(table(head, rows))
    write(arguments.out, "imagenet_precisions", calibration_images=number, results=results)


if __name__ == "__main__":
    main()
