"""How well are cars named in whole photographs, and which way of finding them is best?"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.harness.composites import Box, composite_of
from benchmarks.harness.vehicles import CARS, class_of, halves, kind_of
from lightcars.data.layouts import Sample, find_data
from lightcars.data.pixels import normalize, to_pixels
from lightcars.models.boxes import overlaps, separate
from lightcars.models.car_finder import CarFinder
from lightcars.models.images import read_image, without_advice
from lightcars.models.transforms import fit_square
from lightcars.runs.trained import TrainedModel, load_trained

FULL = (0.0, 0.0, 1.0, 1.0)


@dataclass
class Picture:
    image: Image.Image
    box: Box  # fractions
    label: int


def picture(image: Image.Image, box: Box, label: int) -> Picture:
    width, height = image.size
    return Picture(image, (box[0] / width, box[1] / height, box[2] / width, box[3] / height), label)


def crop(image: Image.Image, box: Sequence[float]) -> Image.Image:
    width, height = image.size
    left, top = max(0, round(box[0] * width)), max(0, round(box[1] * height))
    right, bottom = min(width, round(box[2] * width)), min(height, round(box[3] * height))
    return image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))


def batch_of(trained: TrainedModel, images: Sequence[Image.Image]) -> Tensor:
    fit = fit_square(trained.preprocessing)
    return normalize(torch.stack([to_pixels(fit(image)) for image in images]), trained.preprocessing)


@torch.inference_mode()
def logits_of(trained: TrainedModel, images: Sequence[Image.Image]) -> Tensor:
    return torch.cat(
        [trained.model(batch_of(trained, images[i : i + 64])) for i in range(0, len(images), 64)]
    )


def grid_boxes(image: Image.Image) -> list[Box]:
    """138 crops of five sizes and two shapes: about evenly placed."""
    found = []
    width, height = image.size
    for size, steps in ((1.0, 1), (0.8, 3), (0.65, 4), (0.5, 5), (0.38, 5)):
        for ratio in (1.0, 1.5):
            side = size * min(width, height)
            w, h = min(width, side * ratio**0.5 * 1.2), min(height, side / ratio**0.5)
            for x in np.linspace(0, width - w, steps):
                for y in np.linspace(0, height - h, steps):
                    found.append((x / width, y / height, (x + w) / width, (y + h) / height))
    return found


class Ways:
    def __init__(self, trained: TrainedModel, imagenet: TrainedModel, finder: CarFinder | None):
        self.trained, self.imagenet, self.finder = trained, imagenet, finder
        names = [p for p in imagenet.classes]
        self.car_classes = torch.tensor([i for i in CAR_INDICES])

    # each returns boxes tried (fractions); the most certain is kept
    def none(self, image):
        return [FULL]

    def center(self, image):
        return [(0.15, 0.15, 0.85, 0.85)]

    def many(self, image):
        return grid_boxes(image)

    @torch.inference_mode()
    def heat(self, image, side):
        pre = self.imagenet.preprocessing
        pixels = to_pixels(image.resize((side, side), Image.Resampling.BILINEAR))[None]
        model = self.imagenet.model
        last = model.forward_features(normalize(pixels, pre))
        n, c, h, w = last.shape
        cells = last.permute(0, 2, 3, 1).reshape(-1, c, 1, 1)
        return model.forward_head(cells).softmax(1)[:, self.car_classes].sum(1).reshape(h, w)

    def cam(self, image, side=224, level=0.4):
        return [box_of(self.heat(image, side), level)]

    def cam_twice(self, image):
        (first,) = self.cam(image)
        return [within(self.cam(crop(image, grown(first, 0.15)))[0], grown(first, 0.15))]

    @torch.inference_mode()
    def own_windows(self, image, factor=2.0):
        """The car classifier, fully convolutional: windows of the last map."""
        pre, model = self.trained.preprocessing, self.trained.model
        side = int(pre.resolution * factor) // 32 * 32
        pixels = to_pixels(image.resize((side, side), Image.Resampling.BILINEAR))[None]
        last = model.forward_features(normalize(pixels, pre))
        h = last.shape[2]
        best, box = -1.0, FULL
        for k in (round(h * 0.45), round(h * 0.6), round(h * 0.8), h):
            for kh in (k, max(1, round(k * 0.7))):
                pooled = F.avg_pool2d(last, (kh, k), 1)
                n, c, a, b = pooled.shape
                probs = model.forward_head(pooled.permute(0, 2, 3, 1).reshape(-1, c, 1, 1)).softmax(1).amax(1)
                top, index = probs.max(0)
                if top > best:
                    y, x = divmod(int(index), b)
                    best, box = float(top), (x / h, y / h, (x + k) / h, (y + kh) / h)
        return [box]

    @torch.inference_mode()
    def found(self, image):
        pre = self.finder.preprocessing
        pixels = to_pixels(fit_square(pre)(image))[None]
        return self.finder(normalize(pixels, pre))[0].numpy()

    def finder_boxes(self, image, most=1, merge=True):
        cells = self.found(image)
        if not merge:
            return [tuple(cells[cells[:, 0].argmax(), 1:])]
        kept = separate(cells, least_score=0.05)[:most]
        return [tuple(row[1:]) for row in kept] or [FULL]

    def finder_top(self, image):
        return self.finder_boxes(image, merge=False)

    def finder_merged(self, image):
        return self.finder_boxes(image)

    def finder_twice(self, image):
        (first,) = self.finder_boxes(image)
        outer = grown(first, 0.15)
        return [within(self.finder_boxes(crop(image, outer))[0], outer)]


def grown(box, by):
    w, h = box[2] - box[0], box[3] - box[1]
    return (
        max(0, box[0] - by * w),
        max(0, box[1] - by * h),
        min(1, box[2] + by * w),
        min(1, box[3] + by * h),
    )


def within(box, outer):
    w, h = outer[2] - outer[0], outer[3] - outer[1]
    return (outer[0] + box[0] * w, outer[1] + box[1] * h, outer[0] + box[2] * w, outer[1] + box[3] * h)


def box_of(heat: Tensor, level: float) -> Box:
    """Extent of the cells above a level of the highest, around the highest, at four times the resolution."""
    fine = F.interpolate(heat[None, None], scale_factor=8, mode="bilinear", align_corners=False)[0, 0]
    hot = fine >= level * fine.max()
    ys, xs = hot.any(1).nonzero()[:, 0], hot.any(0).nonzero()[:, 0]
    h, w = fine.shape
    return (xs[0].item() / w, ys[0].item() / h, (xs[-1].item() + 1) / w, (ys[-1].item() + 1) / h)


CAR_INDICES = (407, 436, 468, 479, 511, 581, 609, 627, 654, 656, 661, 717, 734, 751, 817, 864)


def val_composites(
    data: Path, backgrounds: Path, imagenet: TrainedModel, count: int, seed: int = 1
) -> list[Picture]:
    samples = find_data(data).split("val")
    _, judged = halves(backgrounds.glob("*.webp"))
    paths = [path for path in judged if kind_of(path) == "no cars"]
    order = np.random.default_rng(seed).permutation(len(samples))[:count]
    made = []
    for index in order:
        c = composite_of(samples[int(index)], paths, (seed, int(index)))
        made.append(picture(c.image, c.boxes[0], c.label))
    return made


def whole_pictures(data: Path, classes: Sequence[str]) -> list[Picture]:
    index = {name.replace("/", "-"): i for i, name in enumerate(classes)}
    found = []
    with (data / "whole" / "boxes.csv").open() as file:
        for row in csv.DictReader(file):
            name = row["class"].replace("/", "-")
            image = read_image(data / "whole" / name / f"{row['number']}.webp", 3)
            box = tuple(float(row[k]) for k in ("x1", "y1", "x2", "y2"))
            found.append(picture(image, box, index[name]))
    return found


def evaluate_way(trained, way, pictures: Sequence[Picture]) -> dict[str, float]:
    right, ious = [], []
    start = time.perf_counter()
    for p in pictures:
        boxes = way(p.image)
        probs = logits_of(trained, [crop(p.image, box) for box in boxes]).softmax(1)
        best = int(probs.amax(1).argmax())
        right.append(int(probs[best].argmax()) == p.label)
        ious.append(float(overlaps(np.array([boxes[best]]), np.array(p.box))[0]))
    ms = (time.perf_counter() - start) / len(pictures) * 1000
    return {
        "top1": 100 * np.mean(right),
        "iou": np.mean(ious),
        "iou70": 100 * np.mean(np.array(ious) > 0.7),
        "iou85": 100 * np.mean(np.array(ious) > 0.85),
        "ms": ms,
    }
