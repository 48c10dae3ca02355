"""Batches for Lightning's loop."""

from __future__ import annotations

from typing import Any, final

import lightning as L
from torch.utils.data import DataLoader

from lightcars.cars.dataset import CarsDataset, DecodedPhotos, SeededSampler
from lightcars.cars.recipe import Recipe
from lightcars.cars.transforms import PhotoAugmentation


@final
class CarsLoaders(L.LightningDataModule):
    """Batches of augmented training photographs and of plain validation photographs."""

    def __init__(
        self,
        recipe: Recipe,
        train: DecodedPhotos,
        val: DecodedPhotos,
        augmentation: PhotoAugmentation | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.resolutions = recipe.resolutions(augmentation.resolution) if augmentation else ()
        self.train_set = CarsDataset(train, augmentation)
        self.val_set = CarsDataset(val)

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        sampler = SeededSampler(
            len(self.train_set),
            self.recipe.seed,
            self.resolutions,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        return DataLoader(
            self.train_set,
            self.recipe.batch_size,
            sampler=sampler,
            drop_last=len(sampler) >= self.recipe.batch_size,
            num_workers=self.recipe.workers,
            persistent_workers=self.recipe.workers > 0,
            pin_memory=self.trainer.accelerator.__class__.__name__ == "CUDAAccelerator",
        )

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.val_set, self.recipe.batch_size)
