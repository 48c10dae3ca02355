"""The files that pages presume: small, synthetic, and each named in one table."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import ZipFile

import torch
from PIL import Image

from lightcars.data.drawn_cars import draw_cars
from lightcars.weights.imagenet import imagenet_ids

Maker = Callable[[Path, Path], None]
"""Writes an input to a path; the second path is a finished run."""


def _photo(path: Path, _: Path) -> None:
    """A picture of nothing in particular."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((160, 120), 60).convert("RGB").save(path)


def _photos(path: Path, run: Path) -> None:
    for place in ("a.jpg", "b.jpg", "2026/c.jpg"):
        _photo(path / place, run)


def _class_folders(path: Path, _: Path) -> None:
    """A folder for each of two classes, with four images each."""
    for label, color in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
        (path / label).mkdir(parents=True)
        for number in range(4):
            noise = Image.effect_noise((96, 72), 60).convert("RGB")
            Image.blend(noise, Image.new("RGB", noise.size, color), 0.5).save(path / label / f"{number}.jpg")


def _cars(path: Path, _: Path) -> None:
    """`train/<class>/*.jpg`, `val/<class>/*.jpg` and `classes.txt`: eight kinds of synthetic cars."""
    draw_cars(path, train=2, val=1)


def _boxed_cars(path: Path, run: Path) -> None:
    """The same with the boxes of `data prepare`, in an archive."""
    folder = path.with_suffix("")
    _cars(folder, run)
    images = sorted(image.relative_to(folder) for image in folder.glob("*/*/*.png"))
    rows = [f"{image.as_posix()},{image.parent.name},5,5,90,80" for image in images]
    (folder / "annotations.csv").write_text("\n".join(["path,class,x1,y1,x2,y2", *rows]) + "\n")
    with ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    shutil.rmtree(folder)


def _labeled(path: Path, run: Path) -> None:
    """Images of ImageNet, in folders named by WordNet IDs."""
    for identifier in imagenet_ids()[:2]:
        _photo(path / identifier / "image.jpg", run)


def _run(path: Path, run: Path) -> None:
    shutil.copytree(run, path)


def _lukemelas(path: Path, _: Path) -> None:
    from efficientnet_pytorch import EfficientNet

    torch.save(EfficientNet.from_name("efficientnet-b0").state_dict(), path)


def _old_pth(path: Path, _: Path) -> None:
    from torchvision.models import mobilenet_v2

    torch.save(mobilenet_v2().state_dict(), path)


MAKERS: Mapping[str, Maker] = {
    "photo.jpg": _photo,
    "car.jpg": _photo,
    "street.jpg": _photo,
    "photos": _photos,
    "my_images": _class_folders,
    "DATA": _cars,
    "cars": _cars,
    "cars196": _cars,
    "data": _cars,
    "cars.zip": _boxed_cars,
    "downloads": _cars,
    "imagenet1000": _labeled,
    "runs/first": _run,
    "runs/second": _run,
    "runs/third": _run,
    "efficientnet_b0_rwightman-7f5810bc.pth": _lukemelas,
    "old.pth": _old_pth,
}
"""What a page calls an input -> what makes it."""

PRESUMED: Mapping[str, tuple[str, ...]] = {
    "README.md": ("photo.jpg", "my_images", "cars"),
    "docs/bench.md": ("runs/first",),
    "docs/cars196.md": ("car.jpg", "cars196"),
    "docs/compared.md": ("cars196",),
    "docs/data.md": ("cars.zip", "downloads"),
    "docs/deploy.md": ("runs/first", "cars196"),
    "docs/export.md": ("runs/first", "data", "photo.jpg"),
    "docs/finetune.md": ("my_images", "DATA", "photo.jpg"),
    "docs/index.md": ("photo.jpg",),
    "docs/models.md": ("cars",),
    "docs/predict.md": ("car.jpg", "street.jpg", "photos", "runs/first"),
    "docs/quickstart.md": ("cars", "photo.jpg"),
    "docs/recipes.md": ("cars",),
    "docs/report.md": ("runs/first", "runs/second", "runs/third", "DATA", "car.jpg"),
    "docs/web.md": ("runs/first",),
    "docs/weights.md": ("imagenet1000", "runs/first", "efficientnet_b0_rwightman-7f5810bc.pth", "old.pth"),
}
"""Page -> the inputs that it presumes; what its earlier blocks make is not here."""
