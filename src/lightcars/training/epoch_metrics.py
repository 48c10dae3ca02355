"""Loss and accuracy over an epoch, of all images on all devices."""

from __future__ import annotations

from typing import cast, final

from torch import Tensor, nn
from torchmetrics import Metric, SumMetric
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
        # torchmetrics' MeanMetric ignores weights where it may not drop losses that are not finite
        self.loss, self.number = (SumMetric(nan_strategy="disable") for _ in range(2))
        self.accuracies = nn.ModuleList(
            MulticlassAccuracy(num_classes, min(top, num_classes), average="micro", validate_args=False)
            for top in tops
        )

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add one batch: its mean loss, (N, classes) logits, (N,) labels."""
        self.loss.update(loss.detach() * len(labels))
        self.number.update(len(labels))
        for accuracy in self._accuracies:
            accuracy.update(logits.detach(), labels)

    def take(self) -> list[Tensor]:
        """Return the mean loss and the accuracies in percent over every device's images, and start again."""
        metrics: list[Metric] = [self.loss, self.number, *self._accuracies]
        loss, number, *accuracies = (metric.compute() for metric in metrics)
        for metric in metrics:
            metric.reset()
        return [loss / number, *(100 * accuracy for accuracy in accuracies)]

    @property
    def _accuracies(self) -> list[MulticlassAccuracy]:
        return cast(list[MulticlassAccuracy], list(self.accuracies))
