"""How well do different scores tell pictures of other things from photographs of cars?

Method: features of the weights that ship, of all photographs of `train`, of `val`, and of the pictures in
`--pictures FOLDER...`, which show no cars. Each score is fitted to `train` alone. "Area" is
that under the curve of true against false alarms: how often a photograph of `val` scores higher than a
strange picture. "Found" is the share of strange pictures below what 98 % of `val` reach.
`python benchmarks/strange_pictures.py --data cars196 --pictures pictures/first pictures/second`

Reading: what is told by eye in a moment should be found; pictures with cars in them do not belong there. With
thirty pictures in a folder, one is three points. What was chosen on one folder has to hold on the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lightcars.data.dataset import DecodedImages, ImageDataset, decode
from lightcars.data.layouts import Sample, find_data
from lightcars.data.pixels import normalize
from lightcars.models.familiarity import FAMILIAR_SHARE, NUM_DIRECTIONS, distance, fit_familiarity, pooled
from lightcars.models.images import is_image
from lightcars.runs.trained import TrainedModel, load_trained
from ratios import rounded, table
from record import RESULTS, write

Answers = dict[str, Tensor]
"""Logits, the last map's means and those of the maps at each stride, each (N, ...)."""


@torch.inference_mode()
def answers(trained: TrainedModel, photos: DecodedImages) -> Answers:
    found: dict[str, list[Tensor]] = {"logits": [], "last map": [], "maps": []}
    model = trained.model
    for images, _ in DataLoader(ImageDataset(photos), 64):
        maps = model.features(normalize(images.to(trained.device), trained.preprocessing))
        last = model.head(maps[-1])
        found["logits"].append(model.forward_head(last).cpu())
        found["last map"].append(pooled([last]).cpu())
        found["maps"].append(pooled(maps).cpu())
    return {name: torch.cat(batches) for name, batches in found.items()}


def nearest_class(features: str, known: Answers, labels: Tensor) -> Callable[[Answers], Tensor]:
    """What ships, of other features too."""
    fitted = fit_familiarity(known[features], labels, known[features])
    kept = fitted.mean, fitted.directions, fitted.centers
    return lambda given: -distance(given[features], *kept)


def residual(features: str, known: Answers) -> Callable[[Answers], Tensor]:
    """Distance from the main directions (Wang et al., "ViM", arXiv 2203.10807, section 4.1)."""
    mean = known[features].double().mean(0)
    values = known[features].double() - mean
    basis = torch.linalg.eigh(values.T @ values).eigenvectors[:, -NUM_DIRECTIONS:]

    def score(given: Answers) -> Tensor:
        own = given[features].double() - mean
        return -torch.linalg.vector_norm(own - own @ basis @ basis.T, dim=1)

    return score


def scores(known: Answers, labels: Tensor) -> dict[str, Callable[[Answers], Tensor]]:
    return {
        "largest probability": lambda given: given["logits"].softmax(1).amax(1),
        "log-sum-exp of the logits (energy)": lambda given: given["logits"].logsumexp(1),
        "last map: distance from the main directions (ViM's residual)": residual("last map", known),
        "last map: distance from the nearest class": nearest_class("last map", known, labels),
        "maps at each stride: distance from the main directions": residual("maps", known),
        "maps at each stride: distance from the nearest class": nearest_class("maps", known, labels),
    }


def judged(known: Tensor, strange: Tensor) -> dict[str, float]:
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
    options.add_argument("--pictures", type=Path, nargs="+", required=True, help="folders of other pictures")
    options.add_argument("--weights", default="cars196")
    options.add_argument("--out", type=Path, default=RESULTS / "strange_pictures.json")
    given = options.parse_args()
    trained, cars = load_trained(given.weights), find_data(given.data)
    train, val = (decode(cars.split(split), trained.preprocessing) for split in ("train", "val"))
    known, ours = answers(trained, train), answers(trained, val)
    files = {folder.name: pictures_in(folder) for folder in given.pictures}
    strange = {folder: answers(trained, decoded(found, trained)) for folder, found in files.items()}
    results = {
        name: {folder: judged(score(ours), score(others)) for folder, others in strange.items()}
        for name, score in scores(known, torch.from_numpy(train.labels)).items()
    }
    sizes = {folder: len(others["logits"]) for folder, others in strange.items()}
    header = [
        f"{folder} ({size}): {figure}" for folder, size in sizes.items() for figure in ("area", "found %")
    ]
    rows = [
        [name, *(f"{figure:.3g}" for found in each.values() for figure in found.values())]
        for name, each in results.items()
    ]
    print(table(["score", *header], rows))
    names = {folder: [path.name for path in found] for folder, found in files.items()}
    write(given.out, "strange_pictures", weights=given.weights, pictures=names, results=results)


if __name__ == "__main__":
    main()
