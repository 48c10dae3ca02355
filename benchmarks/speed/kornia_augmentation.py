"""Is Kornia's batched augmentation as fast as ours on a CPU, and does it sample what torchvision samples?

    pip install --no-deps --target FOLDER kornia kornia_rs
    PYTHONPATH=FOLDER python benchmarks/speed/kornia_augmentation.py [--turns 40] [--out FILE]

Both sides get the same 64 images of 128 x 128 pixels as uint8 and return floats in [0, 1]; they take turns in
one process with one thread. A ratio above 1 means that Kornia takes longer. The answer is decision 31.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from scipy.stats import ks_2samp
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

import lightcars
from lightcars.augmentation.batch import BatchAugmentation
from lightcars.augmentation.color_jitter import jittered
from lightcars.augmentation.image import augmentation
from lightcars.recipes.files import load_recipe
from lightcars.recipes.recipe import AugmentRecipe

NUM_IMAGES, SIDE = 64, 128
RESULTS = Path(__file__).parents[1] / "results" / "kornia_augmentation.json"
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
Augment = Callable[[Tensor], Tensor]


class _Kornia:
    """kornia.augmentation, imported at first use: `--help` works without it (pip install kornia)."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module("kornia.augmentation"), name)


K = _Kornia()


def cases() -> Mapping[str, tuple[Augment, Augment]]:
    """Ours and Kornia's form of each augmentation."""
    c50 = load_recipe("c-50").augment
    crops = AugmentRecipe(
        images=(
            {"RandomResizedCrop": {"scale": [0.5, 1.0]}},
            {"RandomHorizontalFlip": {"p": 0.5}},
            {"ColorJitter": JITTER},
        )
    )
    trivial = AugmentRecipe(images=({"TrivialAugmentWide": {}},))
    flip = K.RandomHorizontalFlip(p=0.5)
    return {
        "C-50": (
            ours(c50),
            theirs(
                flip,
                K.RandomAffine(25, (0.1, 0.1), (0.9, 1.1), shear=8, resample="nearest", p=1.0),
                K.ColorJitter(0.2, 0.2, 0.2, 0.1, p=1.0),
            ),
        ),
        "RandomResizedCrop, flip, ColorJitter": (
            ours(crops),
            theirs(
                K.RandomResizedCrop((SIDE, SIDE), scale=(0.5, 1.0), p=1.0),
                flip,
                K.ColorJitter(*JITTER.values(), p=1.0),
            ),
        ),
        "TrivialAugment": (ours(trivial), theirs(import_module("kornia.augmentation.auto").TrivialAugment())),
    }


def ours(recipe: AugmentRecipe) -> Augment:
    """A recipe's steps, batched."""
    steps = augmentation(recipe, SIDE, 8)
    batched = BatchAugmentation(steps.image)

    def augment(pixels: Tensor) -> Tensor:
        changed = batched(pixels, torch.randint(2**62, (len(pixels),)))
        return changed.float().div_(255) if steps.jitter is None else jittered(changed, steps.jitter)

    return augment


def theirs(*steps: torch.nn.Module) -> Augment:
    """Kornia's modules, one after the other."""
    sequence = K.AugmentationSequential(*steps, data_keys=["input"])
    return lambda pixels: sequence(pixels.float().div_(255))


def timed(augment: Augment, pixels: Tensor) -> float:
    start = time.perf_counter()
    augment(pixels)
    return 1000 * (time.perf_counter() - start)


def speed(pixels: Tensor, turns: int) -> dict[str, Any]:
    """Milliseconds of a batch, and Kornia's time over ours in each turn."""
    found = {}
    for name, sides in cases().items():
        for augment in sides:
            for _ in range(3):
                augment(pixels)
        pairs = [tuple(timed(augment, pixels) for augment in sides) for _ in range(turns)]
        ratios = quantiles([kornia / own for own, kornia in pairs], n=10, method="inclusive")
        found[name] = {
            "lightcars_ms": round(median(own for own, _ in pairs), 2),
            "kornia_ms": round(median(kornia for _, kornia in pairs), 2),
            "kornia_over_lightcars": round(ratios[4], 3),
            "tenth_percentile": round(ratios[0], 3),
            "ninetieth_percentile": round(ratios[8], 3),
        }
    return found


def sampled_crops(number: int = 4096) -> dict[str, float]:
    """Kolmogorov-Smirnov statistic of Kornia's and torchvision's crop areas, and of torchvision's twice."""
    size, scale, ratio = (SIDE, SIDE), (0.5, 1.0), (3 / 4, 4 / 3)
    image = torch.zeros(1, *size)
    crop = v2.RandomResizedCrop(SIDE, scale, ratio)

    def torchvisions() -> list[tuple[int, int]]:
        params = [crop.make_params([image]) for _ in range(number)]
        return [(each["width"], each["height"]) for each in params]

    sample = K.RandomResizedCrop(size, scale=scale, ratio=ratio, p=1.0).forward_parameters((number, 3, *size))
    corners = sample["src"]
    extent = corners[:, 2] - corners[:, 0] + 1
    kornias = [(int(width), int(height)) for width, height in extent.tolist()]
    first, second = torchvisions(), torchvisions()

    def statistic(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> float:
        areas = ([width * height for width, height in boxes] for boxes in (one, other))
        return round(float(ks_2samp(*areas).statistic), 4)

    return {"kornia": statistic(kornias, first), "torchvision again": statistic(second, first)}


def trivial_augment() -> dict[str, Any]:
    """What Kornia's and torchvision's TrivialAugment choose from, and for what."""
    table = v2.TrivialAugmentWide._AUGMENTATION_SPACE
    module = import_module("kornia.augmentation.auto").TrivialAugment()
    torch.manual_seed(0)
    images = torch.rand(NUM_IMAGES, 3, 32, 32)
    module(images)
    return {
        "torchvision_operations": len(table),
        "kornia_operations": len(list(module.children())),
        "kornia_operations_in_a_batch": len(module._params),
    }


def pixels_of_color(pixels: Tensor) -> dict[str, float]:
    """Largest difference from torchvision, of 255, at the same factor."""
    images = pixels.float().div(255)
    pairs = {
        "brightness": (functional.adjust_brightness, 1.3),
        "contrast": (functional.adjust_contrast, 1.3),
        "saturation": (functional.adjust_saturation, 1.3),
        "hue": (functional.adjust_hue, 0.1),
    }
    found = {}
    for name, (change, value) in pairs.items():
        jitter = K.ColorJitter(p=1.0, **{name: (value, value)})
        found[name] = round(255 * float((jitter(images) - change(images, value)).abs().max()), 2)
    return found


def pixels_of_geometry(pixels: Tensor) -> dict[str, float]:
    """Share of pixels that differ from torchvision by more than 2 of 255, at the same parameters."""
    images = pixels.float().div(255)
    turned = K.RandomRotation((20.0, 20.0), resample="nearest", p=1.0)(images)
    expected = functional.rotate(images, 20.0, InterpolationMode.NEAREST)
    crop = K.RandomResizedCrop((SIDE, SIDE), scale=(0.5, 1.0), p=1.0)
    cut = crop(images)
    corners = crop._params["src"].int()
    same = []
    for image, box, got in zip(images, corners, cut, strict=True):
        (left, top), (right, bottom) = box[0].tolist(), box[2].tolist()
        resized = functional.resized_crop(
            image, top, left, bottom - top + 1, right - left + 1, [SIDE, SIDE], antialias=True
        )
        same.append(different(got, resized))
    return {"rotation": different(turned, expected), "crop": round(sum(same) / len(same), 4)}


def different(got: Tensor, expected: Tensor) -> float:
    return round(((got - expected).abs().amax(-3) > 2 / 255).double().mean().item(), 4)


def synthetic(number: int) -> Tensor:
    """Smooth images with edges, as photographs have them: (N, 3, SIDE, SIDE) of uint8."""
    torch.manual_seed(0)
    coarse = torch.rand(number, 3, 9, 9)
    smooth = torch.nn.functional.interpolate(coarse, SIDE, mode="bicubic", align_corners=False)
    smooth[:, :, 40:80, 30:90] = 1 - smooth[:, :, 40:80, 30:90]
    return smooth.clamp(0, 1).mul(255).to(torch.uint8)


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pixels = synthetic(NUM_IMAGES)
    record = {
        "benchmark": "kornia_augmentation",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": {"cpu": cpu(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "torchvision", "kornia")},
            "lightcars": lightcars.__version__,
        },
        "images": [NUM_IMAGES, 3, SIDE, SIDE],
        "threads": 1,
        "turns": arguments.turns,
        "results": {
            "speed": speed(pixels, arguments.turns),
            "crop_area_statistic": sampled_crops(),
            "trivial_augment": trivial_augment(),
            "color_difference_of_255": pixels_of_color(pixels),
            "share_of_different_pixels": pixels_of_geometry(pixels),
        },
    }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record["results"], indent=2))


if __name__ == "__main__":
    main()
