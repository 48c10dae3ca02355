"""Recompute batch norm statistics after training, and zero the scale of dead channels."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader

from lightcars.data.dataset import DecodedImages, ImageDataset
from lightcars.data.pixels import normalize
from lightcars.runs.trained import TrainedModel

DEAD_VARIANCE = 1e-5
"""The usual epsilon of batch norms; with a larger one there are channels below it that are used."""


def settle_batch_norms(trained: TrainedModel, train: DecodedImages, batch_size: int = 128) -> int:
    """Recompute the statistics ("precise BN") on whole images, as the model sees them at inference.

    The running statistics of training come from augmented images of another size, and lag behind averaged
    weights (Wu and Johnson, "Rethinking 'Batch' in BatchNorm", arXiv 2105.07576, section 3). A channel whose
    variance over all images is below `DEAD_VARIANCE` is dead, but an input that activates it could be
    multiplied by hundreds; its scale is set to 0, so that it always outputs its bias.

    Args:
        trained: its model is changed in place, and is in evaluation mode afterwards.
        train: the training images, at the resolution of inference.
        batch_size: images per forward pass, of mixed classes; their variances are averaged.

    Returns:
        The number of dead channels.
    """
    loader = DataLoader(
        ImageDataset(train),
        batch_size,
        shuffle=True,
        drop_last=len(train.labels) > batch_size,
        generator=torch.Generator().manual_seed(0),
    )
    norms = [
        module for module in trained.model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    batches = (normalize(images.to(trained.device), trained.preprocessing) for images, _ in loader)
    update_bn(batches, trained.model)
    trained.model.eval()
    num_dead = 0
    with torch.no_grad():
        for norm in norms:
            assert norm.running_var is not None
            dead = norm.running_var < DEAD_VARIANCE
            norm.weight[dead] = 0.0
            num_dead += int(dead.sum())
    return num_dead
