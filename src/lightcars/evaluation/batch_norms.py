"""Batch norms after a training: their statistics taken anew, and channels that died silenced."""

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
    """Takes the statistics from whole photographs, as the model will see them.

    Those of the training are of crops, colors and mixes at another size, and run behind averaged weights
    (Wu and Johnson, "Rethinking Batch in BatchNorm", arXiv 2105.07576, section 3). A channel whose variance
    over all photographs is below the norm's epsilon carries nothing, but what wakes it is multiplied by
    hundreds; from now on it always gives its bias.

    Args:
        trained: whose model is changed; in evaluation mode afterwards.
        train: photographs that it was trained on, at the size at which it is to work.
        batch_size: photographs at a time, of mixed classes; their variances are averaged.
        statistics: False keeps those of the training, and silences only.

    Returns:
        How many channels were silenced.
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
    silenced = 0
    with torch.no_grad():
        for norm, own in zip(norms, before, strict=True):
            assert norm.running_var is not None
            dead = norm.running_var < norm.eps
            norm.weight[dead] = 0.0
            silenced += int(dead.sum())
            if not statistics:
                norm.load_state_dict(own, strict=False)
    return silenced
