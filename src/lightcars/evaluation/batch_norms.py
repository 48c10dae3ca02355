"""Recompute batch norm statistics after training, and zero the scale of dead channels."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader

from lightcars.data.dataset import DecodedImages, ImageDataset
from lightcars.data.pixels import normalize
from lightcars.runs.trained import TrainedModel


def settle_batch_norms(
    trained: TrainedModel, train: DecodedImages, batch_size: int = 128, *, statistics: bool = True
) -> int:
    """Recompute the statistics ("precise BN") on whole images, as the model sees them at inference.

    The running statistics of training come from augmented images of another size, and lag behind averaged
    weights (Wu and Johnson, "Rethinking 'Batch' in BatchNorm", arXiv 2105.07576, section 3). A channel whose
    variance over all images is below the norm's epsilon is dead, but an input that activates it would be
    multiplied by hundreds; its scale is set to 0, so that it always outputs its bias.

    Args:
        trained: its model is changed in place, and is in evaluation mode afterwards.
        train: the training images, at the resolution of inference.
        batch_size: images per forward pass, of mixed classes; their variances are averaged.
        statistics: False: keep the statistics of training and only zero dead channels.

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
    before = [copy.deepcopy(dict(norm.named_buffers())) for norm in norms]
    batches = (normalize(images.to(trained.device), trained.preprocessing) for images, _ in loader)
    update_bn(batches, trained.model)
    trained.model.eval()
    num_dead = 0
    with torch.no_grad():
        for norm, own in zip(norms, before, strict=True):
            assert norm.running_var is not None
            dead = norm.running_var < norm.eps
            norm.weight[dead] = 0.0
            num_dead += int(dead.sum())
            if not statistics:
                norm.load_state_dict(own, strict=False)
    return num_dead
