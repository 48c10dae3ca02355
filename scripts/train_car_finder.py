"""Train the head of the shipped car finder, and write it.

`OMP_NUM_THREADS=1 python -m scripts.train_car_finder --data cars196 --backgrounds imagenet1000` makes
composites of the cut cars of `train` and of every second photograph without cars, runs the shipped
EfficientNet-Lite0 of ImageNet on each once, and trains the head on its maps, with the learning rate of one
cycle. `val` and the other photographs are not used. The seed decides everything.

Most composites show one car, which fills 5 to 85 % of the picture. Others show two or three, a cut as it is,
a cut that continues a little beyond its edges, or no car: a photograph, alone or with a part of another
pasted in as cars are, so that a pasted border is no sign of a car.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss
from tqdm import trange

from benchmarks.harness.composites import Box, Composite, compose, continued, part_of, several_cars
from benchmarks.harness.vehicles import halves, kind_of
from lightcars.data.layouts import Sample, find_data
from lightcars.data.pixels import normalize, to_pixels
from lightcars.models.car_finder import CarFinder, FinderHead, decode
from lightcars.models.images import read_image
from lightcars.models.transforms import fit_square
from lightcars.weights.car_finder import HEAD_FILE, RESOLUTION, new_car_finder, save_head

KINDS = ("one", "several", "cut", "continued", "nothing", "thing")
KIND_SHARES = (0.5, 0.1, 0.12, 0.06, 0.12, 0.1)
CAR_SHARES = (0.05, 0.85)
BATCH_SIZE = 64
BOX_WEIGHT = 2.0


def training_picture(
    samples: Sequence[Sample], backgrounds: Sequence[Path], seed: tuple[int, int]
) -> Composite:
    """Return the training picture with this seed."""
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(KINDS, p=KIND_SHARES))
    sample = samples[int(rng.integers(len(samples)))]
    background = read_image(backgrounds[int(rng.integers(len(backgrounds)))], 3)
    boxes: tuple[Box, ...] = ()
    if kind == "nothing":
        image = part_of(background, background.size, rng)
    elif kind == "thing":
        other = read_image(backgrounds[int(rng.integers(len(backgrounds)))], 3)
        thing = part_of(other, (int(rng.integers(80, 300)), int(rng.integers(60, 220))), rng)
        image, _ = compose(thing, background, rng, car_share(rng))
    elif kind == "several":
        image, boxes, _ = several_cars(samples, background, rng)
    else:
        image, boxes = one_car(kind, read_image(sample.path, 3), background, rng)
    return Composite(changed(image, rng), boxes, sample.label if boxes else -1)


def one_car(
    kind: str, cut: Image.Image, background: Image.Image, rng: np.random.Generator
) -> tuple[Image.Image, tuple[Box, ...]]:
    if rng.random() < 0.5:
        cut = ImageOps.mirror(cut)
    if kind == "cut":  # maybe cut a little too tightly
        most = rng.uniform(0, 0.08)
        sides = [round(rng.uniform(0, most) * side) for side in (*cut.size, *cut.size)]
        image = cut.crop((sides[0], sides[1], cut.width - sides[2], cut.height - sides[3]))
        return image, ((0, 0, *image.size),)
    if kind == "continued":
        margin = max(1, round(rng.uniform(0.03, 0.4) * min(cut.size)))
        return continued(cut, margin), ((margin, margin, margin + cut.width, margin + cut.height),)
    image, box = compose(cut, background, rng, car_share(rng), scale=rng.uniform(0.6, 1))
    if rng.random() < 0.15:
        return beyond_the_edge(image, box, rng)
    return image, (box,)


def beyond_the_edge(
    image: Image.Image, box: Box, rng: np.random.Generator
) -> tuple[Image.Image, tuple[Box, ...]]:
    """Crop the picture so that a part of the car is outside."""
    cut = rng.uniform(0, 0.25) * (box[2] - box[0])
    if rng.random() < 0.5:
        left = box[0] + cut
        return image.crop((round(left), 0, *image.size)), ((0, box[1], box[2] - left, box[3]),)
    right = box[2] - cut
    return image.crop((0, 0, round(right), image.height)), ((box[0], box[1], right, box[3]),)


def car_share(rng: np.random.Generator) -> float:
    """Return a share of the picture; small ones are as frequent as large ones on a logarithmic scale."""
    return math.exp(rng.uniform(*map(math.log, CAR_SHARES)))


def changed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Change light, colors and sharpness."""
    if rng.random() < 0.5:
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.5, 1.5))
        image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.6, 1.4))
    if rng.random() < 0.3:
        image = ImageEnhance.Color(image).enhance(rng.uniform(0, 1.5))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.008) * image.width))
    return image


def targets_of(composite: Composite) -> Tensor:
    """Return (3, 4): the boxes as fractions of the picture, zeros where there are fewer than three."""
    size = np.array([*composite.image.size, *composite.image.size], np.float32)
    found = torch.zeros(3, 4)
    for row, box in zip(found, composite.boxes, strict=False):
        row[:] = torch.from_numpy(np.clip(np.array(box, np.float32) / size, 0, 1))
    return found


@torch.inference_mode()
def maps_of(finder: CarFinder, pictures: Sequence[Image.Image]) -> list[Tensor]:
    """Return the backbone's maps of some pictures, in half precision."""
    fit = fit_square(finder.preprocessing)
    pixels = torch.stack([to_pixels(fit(picture)) for picture in pictures])
    images = normalize(pixels, finder.preprocessing).contiguous(memory_format=torch.channels_last)
    return [each.half().contiguous() for each in finder.backbone(images)]


def loss_of(raw: Tensor, boxes: Tensor) -> Tensor:
    """Return the loss of (N, 5, h, w) outputs for (N, K, 4) boxes.

    The cells of a box answer for it, those in its middle most: their boxes by the generalized overlap, their
    scores by the quality focal loss, whose target is the overlap times the square root of the centerness.
    """
    height, width = raw.shape[2:]
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij"
    )
    cells = torch.stack((x, y), dim=-1).flatten(0, 1)  # (h * w, 2)
    sizes = (boxes[..., 2:] - boxes[..., :2]).clamp_min(1e-6)
    centers = (boxes[..., 2:] + boxes[..., :2]) / 2
    away = ((cells[None, :, None] - centers[:, None]).abs() / (sizes[:, None] / 2)).clamp_max(1)
    centerness = (1 - away).prod(-1).sqrt() * (sizes.prod(-1) > 1e-5)[:, None]  # (N, h * w, K)
    weight, owner = centerness.max(2)
    wanted = boxes.gather(1, owner[..., None].expand(-1, -1, 4))
    found = decode(raw)
    inside = weight > 0
    overlap = torch.zeros_like(weight)
    lost = generalized_box_iou_loss(found[..., 1:][inside], wanted[inside])
    with torch.no_grad():
        overlap[inside] = overlaps_of(found[..., 1:][inside], wanted[inside])
        target = overlap * weight.sqrt()
    logits = raw[:, 0].flatten(1)
    score = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    score = score * (target - logits.sigmoid()).abs().square()
    total = weight.sum().clamp_min(1)
    result: Tensor = (4 * score.sum() + BOX_WEIGHT * (lost * weight[inside]).sum()) / total
    return result


def overlaps_of(found: Tensor, wanted: Tensor) -> Tensor:
    """(N, 4), (N, 4) -> (N,): intersection over union."""
    sides = torch.minimum(found[:, 2:], wanted[:, 2:]) - torch.maximum(found[:, :2], wanted[:, :2])
    shared = sides.clamp_min(0).prod(1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(1) for boxes in (found, wanted)]
    return shared / (areas[0] + areas[1] - shared).clamp_min(1e-9)


def train(head: FinderHead, maps: Sequence[Tensor], boxes: Tensor, epochs: int, seed: int) -> None:
    """Train the head with AdamW."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.05)
    steps = epochs * (len(boxes) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    head.train()
    for _ in (progress := trange(epochs)):
        losses = []
        for batch in torch.randperm(len(boxes), generator=generator).split(BATCH_SIZE):
            if len(batch) < BATCH_SIZE:
                continue
            loss = loss_of(head.raw(*(each[batch].float() for each in maps)), boxes[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        progress.set_postfix(loss=f"{np.mean(losses):.3f}")
    head.eval()


def cached_maps(
    finder: CarFinder,
    composites: Sequence[tuple[int, int]],
    samples: Sequence[Sample],
    backgrounds: Sequence[Path],
) -> tuple[list[Tensor], Tensor]:
    """Return the maps of all training pictures, and their boxes (N, 3, 4)."""
    maps: list[list[Tensor]] = []
    boxes = []
    for first in trange(0, len(composites), BATCH_SIZE):
        made = [
            training_picture(samples, backgrounds, seed) for seed in composites[first : first + BATCH_SIZE]
        ]
        maps.append(maps_of(finder, [each.image for each in made]))
        boxes += [targets_of(each) for each in made]
    return [torch.cat(each) for each in zip(*maps, strict=True)], torch.stack(boxes)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="Stanford Cars, cut to the boxes")
    options.add_argument("--backgrounds", type=Path, required=True, help="an image per class of ImageNet")
    options.add_argument("--composites", type=int, default=6000)
    options.add_argument("--resolution", type=int, default=RESOLUTION)
    options.add_argument("--epochs", type=int, default=8)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--cache", type=Path, help="keep the maps of the composites in this file")
    options.add_argument("--out", type=Path, default=HEAD_FILE)
    arguments = options.parse_args()
    torch.manual_seed(arguments.seed)
    samples = find_data(arguments.data).split("train")
    photographs, _ = halves(arguments.backgrounds.glob("*.webp"))
    backgrounds = [path for path in photographs if kind_of(path) != "cars"]
    finder = new_car_finder(torch.device("cpu"), arguments.resolution)
    seeds = [(arguments.seed, index) for index in range(arguments.composites)]
    if arguments.cache and arguments.cache.exists():
        stored = torch.load(arguments.cache)
    else:
        maps, boxes = cached_maps(finder, seeds, samples, backgrounds)
        stored = {"maps": maps, "boxes": boxes}
        if arguments.cache:
            torch.save(stored, arguments.cache)
    train(finder.head, stored["maps"], stored["boxes"], arguments.epochs, arguments.seed)
    save_head(finder, arguments.out)


if __name__ == "__main__":
    main()
