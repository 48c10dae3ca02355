"""How well do different scores detect out-of-distribution images, which show no cars?

Method: features of the shipped weights, of all photographs of `train` and `val`, and of images that show no
cars: those in `--pictures FOLDER...`, and those of ImageNet's classes in `--photographs`. Each score is
fitted to `train` alone. "Area" is the area under the ROC curve: how often a photograph of `val` scores higher
than an out-of-distribution image. "Found" is the detection rate at the threshold that 98 % of `val` exceed.
`python -m benchmarks.cars.out_of_distribution --data cars196 --photographs imagenet1000`

Reading: with thirty images in a folder, one image is three points. A score that was selected on one folder
has to hold on the other. Leave out images with cars in them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.harness.ratios import rounded, table
from benchmarks.harness.record import CARS196, out_of, write
from benchmarks.harness.vehicles import kind_of
from lightcars.data.dataset import DecodedImages, ImageDataset, decode
from lightcars.data.layouts import Sample, find_data
from lightcars.data.pixels import normalize
from lightcars.models.familiarity import FAMILIAR_SHARE, NUM_DIRECTIONS, distance, fit_familiarity, pooled
from lightcars.models.images import is_image
from lightcars.runs.trained import TrainedModel, load_trained

Outputs = dict[str, Tensor]
"""Logits, pooled last feature map and pooled maps at each stride, each (N, ...)."""


@torch.inference_mode()
def outputs(trained: TrainedModel, photos: DecodedImages) -> Outputs:
    found: dict[str, list[Tensor]] = {"logits": [], "last map": [], "maps": []}
    model = trained.model
    for images, _ in DataLoader(ImageDataset(photos), 64):
        maps = model.features(normalize(images.to(trained.device), trained.preprocessing))
        last = model.head(maps[-1])
        found["logits"].append(model.forward_head(last).cpu())
        found["last map"].append(pooled([last]).cpu())
        found["maps"].append(pooled(maps).cpu())
    return {name: torch.cat(batches) for name, batches in found.items()}


def nearest_class(features: str, known: Outputs, labels: Tensor) -> Callable[[Outputs], Tensor]:
    """Return the score that ships, for the given features."""
    fitted = fit_familiarity(known[features], labels, known[features])
    kept = fitted.mean, fitted.directions, fitted.centers
    return lambda given: -distance(given[features], *kept)


def residual(features: str, known: Outputs) -> Callable[[Outputs], Tensor]:
    """Return the distance from the principal subspace (Wang et al., "ViM", arXiv 2203.10807, section 4.1)."""
    mean = known[features].double().mean(0)
    values = known[features].double() - mean
    basis = torch.linalg.eigh(values.T @ values).eigenvectors[:, -NUM_DIRECTIONS:]

    def score(given: Outputs) -> Tensor:
        own = given[features].double() - mean
        return -torch.linalg.vector_norm(own - own @ basis @ basis.T, dim=1)

    return score


def scores(known: Outputs, labels: Tensor) -> dict[str, Callable[[Outputs], Tensor]]:
    return {
        "largest probability": lambda given: given["logits"].softmax(1).amax(1),
        "log-sum-exp of the logits (energy)": lambda given: given["logits"].logsumexp(1),
        "last map: distance from the main directions (ViM's residual)": residual("last map", known),
        "last map: distance from the nearest class": nearest_class("last map", known, labels),
        "maps at each stride: distance from the main directions": residual("maps", known),
        "maps at each stride: distance from the nearest class": nearest_class("maps", known, labels),
    }


def detection(known: Tensor, strange: Tensor) -> dict[str, float]:
    limit = known.double().quantile(1 - FAMILIAR_SHARE)
    return {
        "area": rounded((known[:, None] > strange).double().mean().item()),
        "found_percent": rounded(100 * (strange < limit).double().mean().item()),
    }


def pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if is_image(path))


def decoded(files: list[Path], trained: TrainedModel) -> DecodedImages:
    return decode([Sample(path=path, label=0) for path in files], trained.preprocessing)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="Stanford Cars, in any layout")
    options.add_argument(
        "--pictures", type=Path, nargs="*", default=[], help="folders of images without cars"
    )
    options.add_argument("--photographs", type=Path, help="an image per class of ImageNet")
    options.add_argument("--weights", default=CARS196)
    options.add_argument("--out", type=Path)
    arguments = options.parse_args()
    out = out_of(options, arguments, "strange_pictures")
    trained, cars = load_trained(arguments.weights), find_data(arguments.data)
    train, val = (decode(cars.split(split), trained.preprocessing) for split in ("train", "val"))
    known, ours = outputs(trained, train), outputs(trained, val)
    files = {folder.name: pictures_in(folder) for folder in arguments.pictures}
    if arguments.photographs is not None:
        paths = sorted(arguments.photographs.glob("*.webp"))
        files["ImageNet"] = [path for path in paths if kind_of(path) == "no cars"]
    if not files:
        options.error("give --pictures or --photographs.")
    strange = {folder: outputs(trained, decoded(found, trained)) for folder, found in files.items()}
    results = {
        name: {folder: detection(score(ours), score(others)) for folder, others in strange.items()}
        for name, score in scores(known, torch.from_numpy(train.labels)).items()
    }
    sizes = {folder: len(others["logits"]) for folder, others in strange.items()}
    header = [
        f"{folder} ({size}): {column}" for folder, size in sizes.items() for column in ("area", "found %")
    ]
    rows = [
        [name, *(f"{value:.3g}" for found in each.values() for value in found.values())]
        for name, each in results.items()
    ]
    print(table(["score", *header], rows))
    names = {folder: [path.name for path in found] for folder, found in files.items()}
    write(out, "strange_pictures", weights=arguments.weights, pictures=names, results=results)


if __name__ == "__main__":
    main()
