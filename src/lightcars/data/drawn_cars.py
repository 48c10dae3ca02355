"""Small synthetic images of cars, in eight classes of different shapes: data for the demo and for tests."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from lightcars.data.layouts import CLASSES_FILE
from lightcars.files import replacing, write_text

SIDE = 96
"""Width and height in pixels."""

Points = tuple[tuple[float, float], ...]

SILHOUETTES: Mapping[str, tuple[Points, Points]] = {
    # outline of the body and of the windows; x from 0 (rear) to 1 (front), y from 0 (ground) up
    "Sedan": (
        ((0.0, 0.1), (0.0, 0.3), (0.17, 0.33), (0.3, 0.5), (0.6, 0.5), (0.74, 0.33), (1.0, 0.27), (1.0, 0.1)),
        ((0.23, 0.33), (0.32, 0.46), (0.58, 0.46), (0.69, 0.33)),
    ),
    "Hatchback": (
        ((0.08, 0.1), (0.06, 0.35), (0.16, 0.54), (0.56, 0.54), (0.72, 0.34), (0.95, 0.28), (0.95, 0.1)),
        ((0.14, 0.35), (0.2, 0.5), (0.54, 0.5), (0.67, 0.35)),
    ),
    "Coupe": (
        (
            (0.0, 0.08),
            (0.0, 0.27),
            (0.1, 0.3),
            (0.36, 0.42),
            (0.52, 0.42),
            (0.66, 0.27),
            (1.0, 0.2),
            (1.0, 0.08),
        ),
        ((0.25, 0.29), (0.38, 0.38), (0.51, 0.38), (0.6, 0.29)),
    ),
    "Convertible": (
        (
            (0.0, 0.08),
            (0.0, 0.28),
            (0.3, 0.29),
            (0.32, 0.24),
            (0.56, 0.24),
            (0.64, 0.28),
            (1.0, 0.22),
            (1.0, 0.08),
        ),
        ((0.6, 0.27), (0.53, 0.43), (0.55, 0.43), (0.64, 0.27)),
    ),
    "SUV": (
        ((0.02, 0.16), (0.02, 0.66), (0.6, 0.66), (0.7, 0.46), (0.97, 0.42), (0.97, 0.16)),
        ((0.07, 0.44), (0.07, 0.61), (0.57, 0.61), (0.65, 0.44)),
    ),
    "Pickup": (
        (
            (0.0, 0.16),
            (0.0, 0.38),
            (0.42, 0.38),
            (0.42, 0.64),
            (0.64, 0.64),
            (0.74, 0.42),
            (1.0, 0.4),
            (1.0, 0.16),
        ),
        ((0.46, 0.42), (0.46, 0.6), (0.62, 0.6), (0.7, 0.42)),
    ),
    "Van": (
        ((0.02, 0.1), (0.02, 0.78), (0.74, 0.78), (0.9, 0.42), (0.98, 0.38), (0.98, 0.1)),
        ((0.6, 0.46), (0.6, 0.7), (0.73, 0.7), (0.84, 0.46)),
    ),
    "Bus": (
        ((0.0, 0.1), (0.0, 0.82), (1.0, 0.82), (1.0, 0.1)),
        ((0.06, 0.46), (0.06, 0.72), (0.94, 0.72), (0.94, 0.46)),
    ),
}
WHEELS: Mapping[str, tuple[float, float, float]] = {
    # rear and front axle, radius
    "Sedan": (0.2, 0.8, 0.09),
    "Hatchback": (0.22, 0.78, 0.1),
    "Coupe": (0.2, 0.8, 0.1),
    "Convertible": (0.2, 0.8, 0.09),
    "SUV": (0.2, 0.8, 0.14),
    "Pickup": (0.2, 0.8, 0.14),
    "Van": (0.2, 0.8, 0.1),
    "Bus": (0.18, 0.78, 0.1),
}


def draw_car(kind: str, seed: int) -> Image.Image:
    """Draw a car of a class: color, size, position, direction, slope and background depend on the seed."""
    chance = random.Random(f"{kind}/{seed}")
    image = _background(chance)
    length = chance.uniform(0.74, 0.9) * SIDE * 2
    left = chance.uniform(0.1, 0.9) * (SIDE * 2 - length)
    ground = chance.uniform(0.62, 0.86) * SIDE * 2
    layer = Image.new("RGBA", image.size)
    pen = ImageDraw.Draw(layer)

    def place(points: Points) -> list[tuple[float, float]]:
        return [(left + x * length, ground - y * length * 0.62) for x, y in points]

    body, windows = SILHOUETTES[kind]
    paint = tuple(chance.randrange(256) for _ in range(3))
    pen.polygon(place(body), fill=paint, outline=(20, 20, 20), width=3)
    shade = chance.randrange(20, 90)
    pen.polygon(place(windows), fill=(shade, shade + 20, shade + 30), outline=(20, 20, 20), width=2)
    rear, front, radius = WHEELS[kind]
    for axle in (rear, front):
        for size, color in ((radius, (15, 15, 15)), (radius * 0.5, (150, 150, 150))):
            x, y, r = left + axle * length, ground - 0.09 * length * 0.62, size * length
            pen.ellipse((x - r, y - r, x + r, y + r), fill=color)
    layer = layer.rotate(chance.uniform(-4, 4), Image.Resampling.BICUBIC)
    image.paste(layer, mask=layer)
    if chance.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = image.filter(ImageFilter.GaussianBlur(chance.uniform(0, 1.2)))
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


def _background(chance: random.Random) -> Image.Image:
    sky = tuple(chance.randrange(110, 256) for _ in range(3))
    road = tuple(chance.randrange(40, 160) for _ in range(3))
    image = Image.new("RGB", (SIDE * 2, SIDE * 2), sky)
    pen = ImageDraw.Draw(image)
    horizon = int(chance.uniform(0.35, 0.7) * SIDE * 2)
    for _ in range(chance.randrange(4)):
        x, width = chance.randrange(SIDE * 2), chance.randrange(10, 50)
        color = tuple(chance.randrange(60, 220) for _ in range(3))
        pen.rectangle((x, horizon - chance.randrange(10, 90), x + width, horizon), fill=color)
    pen.rectangle((0, horizon, SIDE * 2, SIDE * 2), fill=road)
    return image


def draw_cars(folder: Path, *, train: int, val: int, seed: int = 0) -> Path:
    """Write class folders `train/` and `val/` with that many images of each class, and `classes.txt`."""
    kinds = tuple(SILHOUETTES)
    for split, number, offset in (("train", train, 0), ("val", val, 1_000_000)):
        for kind in kinds:
            for position in range(number):
                with replacing(folder / split / kind / f"{position:04d}.png") as temporary:
                    draw_car(kind, seed * 10_000_000 + offset + position).save(temporary, format="PNG")
    write_text(folder / CLASSES_FILE, "\n".join(kinds) + "\n")
    return folder
