"""Batches for Lightning's loop."""

from __future__ import annotations

from typing import Any, cast, final

import lightning as L
import torch
from torch.utils.data import DataLoader, Subset

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
        self._epoch = 0

    def state_dict(self) -> dict[str, Any]:
        """The next epoch: workers of a resumed run begin with it before the trainer knows it."""
        assert self.trainer is not None
        return {"epoch": self.trainer.current_epoch + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._epoch = state_dict["epoch"]

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        sampler = SeededSampler(
            len(self.train_set),
            self.recipe.seed,
            self.resolutions,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        sampler.set_epoch(self._epoch)
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
        """Each device's own part; an empty batch where it has none, since all devices meet at the end."""
        assert self.trainer is not None
        part = range(self.trainer.global_rank, len(self.val_set), self.trainer.world_size)
        if not part:
            shape = self.val_set[0][0].shape
            nothing = (torch.empty(0, *shape, dtype=torch.uint8), torch.empty(0, dtype=torch.int64))
            return DataLoader(cast(Any, [nothing]), batch_size=None)
        return DataLoader(Subset(self.val_set, part), self.recipe.batch_size)
