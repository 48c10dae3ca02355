"""The picture of the first batch: what the model saw."""

import numpy as np
import pytest
import torch
from PIL import Image

from lightcars.models.preprocessing import Preprocessing
from lightcars.training.callbacks.augmented import GAP, grid_of_images
from lightcars.training.module import ClassifierModule
from tests.training.test_finetune import in_epoch, interrupt


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_those_before_they_were_normalized(channels):
    mean, std = (0.4, 0.5, 0.6)[:channels], (0.2, 0.25, 0.3)[:channels]
    pixels = torch.randint(0, 256, (6, channels, 8, 8), generator=torch.Generator().manual_seed(0))
    center, width = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
    images = (pixels / 255 - center) / width
    picture = np.asarray(grid_of_images(images, Preprocessing(resolution=8, mean=mean, std=std)))
    assert picture.shape == (2 * 8 + GAP, 4 * 8 + 3 * GAP, 3)
    second_row = picture[8 + GAP :, 8 + GAP : 2 * 8 + GAP]
    assert (second_row == pixels[5].permute(1, 2, 0).numpy()).all()
    assert (picture[:8, 8 : 8 + GAP] == 255).all()


def test_large_images_are_made_smaller_and_few_are_one_row():
    images = torch.zeros(2, 3, 400, 400)
    assert grid_of_images(images, Preprocessing(resolution=400, mean=(0.5,) * 3, std=(1.0,) * 3)).size == (
        2 * 168 + GAP,
        168,
    )


def test_the_file_shows_the_first_batch_and_stays(drawn, tiny, tmp_path, monkeypatch):
    seen = []
    original = ClassifierModule._augmented

    def keep(self, *batch):
        seen.append((original(self, *batch), self.preprocessing))
        return seen[-1][0]

    monkeypatch.setattr(ClassifierModule, "_augmented", keep)
    with monkeypatch.context() as patch:
        in_epoch(patch, 2, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "run")
    path = tmp_path / "run" / "augmented.jpg"
    before = path.read_bytes()
    (images, _), preprocessing = seen[0]
    with Image.open(path) as picture:
        difference = np.abs(
            np.asarray(picture, dtype=int) - np.asarray(grid_of_images(images, preprocessing))
        )
    assert difference.mean() < 8, "a JPEG of the first batch"
    tiny(drawn, tmp_path / "run", resume=True, recipe=None)
    assert path.read_bytes() == before
