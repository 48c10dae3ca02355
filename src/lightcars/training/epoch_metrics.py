"""Loss and accuracy over an epoch, of all images on all devices."""

from __future__ import annotations

from typing import cast, final

from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy


@final
class EpochMetrics(nn.Module):
    """Mean loss and top-k accuracies, by torchmetrics.

    It counts images and adds the counts up over the devices, so each image weighs the same, however uneven
    the batches and the devices' shares are. A device without any image takes part too.
    """

    def __init__(self, num_classes: int, *tops: int) -> None:
        """`tops`: an image is correct if its class is among so many most likely ones."""
        super().__init__()
        self.loss = MeanMetric(nan_strategy="disable")  # a loss that is not finite must be seen
        self.accuracies = nn.ModuleList(
            MulticlassAccuracy(num_classes, min(top, num_classes), average="micro", validate_args=False)
            for top in tops
        )

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add one batch: its mean loss, (N, classes) logits, (N,) labels."""
        self.loss.update(loss.detach(), len(labels))
        for accuracy in self._accuracies:
            accuracy.update(logits.detach(), labels)

    def take(self) -> list[Tensor]:
        """Return the mean loss and the accuracies in percent over every device's images, and start again."""
        metrics: list[Metric] = [self.loss, *self._accuracies]
        loss, *accuracies = (metric.compute() for metric in metrics)
        for metric in metrics:
            metric.reset()
        return [loss, *(100 * accuracy for accuracy in accuracies)]

    @property
    def _accuracies(self) -> list[MulticlassAccuracy]:
        return cast(list[MulticlassAccuracy], list(self.accuracies))
