"""Batches for Lightning's loop."""

from __future__ import annotations

from typing import Any, cast, final

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from lightcars.augmentation.batch import BatchAugmentation
from lightcars.augmentation.image import ImageAugmentation
from lightcars.data.dataset import DecodedImages, ImageDataset, SeededSampler
from lightcars.recipes.recipe import Recipe
from lightcars.training.resident import DeviceImages, DrawnOnly, Draws, together


@final
class ImageDataModule(L.LightningDataModule):
    """Batches of augmented training images and of validation images.

    If the recipe keeps images on the device, only their indices are loaded; they become a batch when
    Lightning moves it to the device.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: DecodedImages,
        val: DecodedImages,
        augmentation: ImageAugmentation | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.resolutions = recipe.resolutions(augmentation.resolution) if augmentation else ()
        self.train_set = ImageDataset(train, augmentation)
        self.val_set = ImageDataset(val)
        self._epoch = 0
        self._batched = BatchAugmentation(augmentation) if augmentation else None
        self._on_device: tuple[DeviceImages, DeviceImages] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Save the next epoch: workers of a resumed run start with it before the trainer knows it."""
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
        whole: dict[str, Any] = {"sampler": sampler, "drop_last": len(sampler) >= self.recipe.batch_size}
        pinned = self.trainer.accelerator.__class__.__name__ == "CUDAAccelerator"
        if self.recipe.images_on_device is True:
            drawn = DrawnOnly(len(self.train_set))
            return DataLoader(drawn, self.recipe.batch_size, collate_fn=together, pin_memory=pinned, **whole)
        return DataLoader(
            self.train_set,
            self.recipe.batch_size,
            num_workers=self.recipe.workers,
            persistent_workers=self.recipe.workers > 0,
            pin_memory=pinned,
            **whole,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Load each device's own share; an empty batch if it has none, since all devices synchronize."""
        assert self.trainer is not None
        part = range(self.trainer.global_rank, len(self.val_set), self.trainer.world_size)
        if self.recipe.images_on_device is True:
            return DataLoader(
                cast(Any, torch.tensor(part).long().split(self.recipe.batch_size)), batch_size=None
            )
        if not part:
            shape = self.val_set[0][0].shape
            nothing = (torch.empty(0, *shape, dtype=torch.uint8), torch.empty(0, dtype=torch.int64))
            return DataLoader(cast(Any, [nothing]), batch_size=None)
        return DataLoader(Subset(self.val_set, part), self.recipe.batch_size)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Turn draws and positions into images on the device, augmented; other batches are moved."""
        if isinstance(batch, Draws):
            pixels, labels = self._images_on(device)[0].take(batch.positions)
            if self._batched is not None:
                pixels = self._batched(pixels, batch.seeds, batch.resolution)
            return pixels, labels
        if isinstance(batch, Tensor):
            return self._images_on(device)[1].take(batch)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def _images_on(self, device: torch.device) -> tuple[DeviceImages, DeviceImages]:
        """Return training and validation images; they are moved to the device at the first call."""
        if self._on_device is None:
            train, val = (DeviceImages(part.images, device) for part in (self.train_set, self.val_set))
            self._on_device = (train, val)
        return self._on_device
