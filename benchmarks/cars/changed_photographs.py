"""What do the weights that ship make of photographs that are blurred, small, dark or otherwise worse?

Method: every photograph of `val`, changed before it is fitted to the model's square. "top-1" is the share
that is named right; "strange" the share that `predict` would say hardly looks like any of the classes, of all
photographs and of those that are named right. The limit of what is strange was fitted to `val` as it is, so
2 % there are by construction.
`python benchmarks/changed_photographs.py --data cars196` takes some minutes.

Reading: 968 photographs; a standard error of top-1 is 1.2 points at 84 %.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor
from tqdm import tqdm

from lightcars.data.layouts import Sample, find_data
from lightcars.data.pixels import normalize, to_pixels
from lightcars.models.images import read_image, without_advice
from lightcars.models.transforms import fit_square
from lightcars.runs.trained import TrainedModel, load_trained
from ratios import rounded, table
from record import RESULTS, write

BATCH_SIZE = 64
Change = Callable[[Image.Image], Image.Image]
Batch = tuple[Tensor, Tensor]
"""(N, C, H, W) pixels and (N,) labels."""


def blurred(part: float) -> Change:
    """A Gaussian whose standard deviation is a part of the photograph's width."""
    return lambda photo: photo.filter(ImageFilter.GaussianBlur(photo.width * part))


def shrunk(width: int) -> Change:
    """To so many pixels across, if it has more."""

    def change(photo: Image.Image) -> Image.Image:
        if photo.width <= width:
            return photo
        return photo.resize((width, max(1, round(photo.height * width / photo.width))))

    return change


def bordered(part: float) -> Change:
    """The edges go on by a part of the width and height, so that the car fills less of the picture."""

    def change(photo: Image.Image) -> Image.Image:
        size = tuple(round(side * (1 + 2 * part)) for side in photo.size)
        wide = photo.resize(size).filter(ImageFilter.GaussianBlur(photo.width * 0.1))
        wide.paste(photo, (round(photo.width * part), round(photo.height * part)))
        return wide

    return change


def compressed(quality: int) -> Change:
    """As JPEG of that quality and back."""

    def change(photo: Image.Image) -> Image.Image:
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=quality)
        return Image.open(file).convert(photo.mode)

    return change


CHANGES: dict[str, Change] = {
    "as it is": lambda photo: photo,
    "blurred by 1/200 of the width": blurred(1 / 200),
    "blurred by 1/100 of the width": blurred(1 / 100),
    "128 px wide": shrunk(128),
    "96 px wide": shrunk(96),
    "64 px wide": shrunk(64),
    "without colours": lambda photo: ImageOps.grayscale(photo).convert(photo.mode),
    "half as bright": lambda photo: ImageEnhance.Brightness(photo).enhance(0.5),
    "JPEG of quality 15": compressed(15),
    "a blurred border of 10 % around": bordered(0.1),
    "a blurred border of 25 % around": bordered(0.25),
}


def batches(trained: TrainedModel, samples: Sequence[Sample], change: Change) -> Iterator[Batch]:
    fit, channels = fit_square(trained.preprocessing), len(trained.preprocessing.mean)
    for first in range(0, len(samples), BATCH_SIZE):
        some = samples[first : first + BATCH_SIZE]
        pixels = [to_pixels(fit(change(read_image(sample.path, channels)))) for sample in some]
        yield torch.stack(pixels), torch.tensor([sample.label for sample in some])


@torch.inference_mode()
def measured(trained: TrainedModel, samples: Sequence[Sample], change: Change) -> dict[str, float]:
    """Percentages of the changed photographs."""
    model = trained.model
    assert model.familiarity is not None
    right, strange = [], []
    for pixels, labels in batches(trained, samples, change):
        maps = model.features(normalize(pixels.to(trained.device), trained.preprocessing))
        right.append(model.forward_head(model.head(maps[-1])).argmax(1).cpu() == labels)
        strange.append(~model.familiarity.is_familiar(maps).cpu())
    good, odd = torch.cat(right), torch.cat(strange)
    return {
        "top1_percent": percent(good),
        "strange_percent": percent(odd),
        "strange_of_right_percent": percent(odd[good]),
    }


def percent(flags: Tensor) -> float:
    return rounded(100 * flags.double().mean().item()) if len(flags) else 0.0


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="Stanford Cars, in any layout")
    options.add_argument("--weights", default="cars196")
    options.add_argument("--out", type=Path, default=RESULTS / "changed_photographs.json")
    given = options.parse_args()
    trained, cars = load_trained(given.weights), find_data(given.data)
    results: dict[str, Any] = {}
    with without_advice():
        for name, change in tqdm(CHANGES.items()):
            results[name] = measured(trained, cars.split("val"), change)
    rows = [[name, *(f"{figure:.3g}" for figure in found.values())] for name, found in results.items()]
    print(table(["photographs", "top-1 %", "strange %", "of the right ones %"], rows))
    write(given.out, "changed_photographs", weights=given.weights, results=results)


if __name__ == "__main__":
    main()
