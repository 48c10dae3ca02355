"""Batches for Lightning's loop."""

from __future__ import annotations

from typing import Any, final

import lightning as L
from torch.utils.data import DataLoader

from lightcars.cars.dataset import CarsDataset, DecodedPhotos, SeededSampler
from lightcars.cars.recipe import Recipe


@final
class CarsLoaders(L.LightningDataModule):
    """Batches of augmented training photographs and of plain validation photographs."""

    def __init__(
        self, recipe: Recipe, train: DecodedPhotos, val: DecodedPhotos, photo_transform: Any = None
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.train_set = CarsDataset(train, photo_transform)
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
        return DataLoader(self.val_set, self.recipe.batch_size)
