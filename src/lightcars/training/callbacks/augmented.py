"""Show the images of the first batch as the model sees them."""

from __future__ import annotations

from typing import Any, cast, final

import lightning as L
import torch
from PIL import Image
from torch import Tensor

from lightcars.files import replacing
from lightcars.models.preprocessing import Preprocessing
from lightcars.runs.folder import RunFolder
from lightcars.training.callbacks.trackers import Loggers, tell
from lightcars.training.module import ClassifierModule

COLUMNS, SIDE, GAP = 4, 168, 4
"""Images in a row; maximum pixels of an image, and pixels between two."""
QUALITY = 85


@final
class AugmentedImages(L.Callback):
    """Writes augmented.jpg after the first step of a run, and shows the same picture in TensorBoard."""

    def __init__(self, run: RunFolder, loggers: Loggers) -> None:
        self.run = run
        self.loggers = loggers

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        module = cast(ClassifierModule, pl_module)
        images, module.first_images = module.first_images, None
        if images is None or not trainer.is_global_zero:
            return
        picture = grid_of_images(images, module.preprocessing)
        with replacing(self.run.augmented) as temporary:
            picture.save(temporary, format="JPEG", quality=QUALITY)
        board = {name: logger for name, logger in self.loggers.items() if name == "tensorboard"}
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        pixels = pixels.view(picture.height, picture.width, 3)
        tell(
            board, lambda logger: logger.experiment.add_image("train/augmented", pixels, 0, dataformats="HWC")
        )


def grid_of_images(images: Tensor, preprocessing: Preprocessing) -> Image.Image:
    """Return normalized images (N, C, H, W) as one RGB picture, four in a row."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    pixels = ((images * std + mean).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    if pixels.shape[-1] == 1:
        pixels = pixels.expand(-1, -1, -1, 3)
    shown = [Image.fromarray(image.contiguous().numpy()) for image in pixels]
    for image in shown:
        image.thumbnail((SIDE, SIDE))
    width, height = shown[0].size
    rows = -(-len(shown) // COLUMNS)
    size = (min(COLUMNS, len(shown)) * (width + GAP) - GAP, rows * (height + GAP) - GAP)
    picture = Image.new("RGB", size, "white")
    for position, image in enumerate(shown):
        row, column = divmod(position, COLUMNS)
        picture.paste(image, (column * (width + GAP), row * (height + GAP)))
    return picture
