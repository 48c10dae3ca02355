"""Everything that determines a fine-tune besides the model and the data. No torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from lightcars.errors import ConfigError, did_you_mean
from lightcars.models.validation import (
    MIN_RESOLUTION,
    require_int,
    require_one_of,
    require_positive,
    require_probability,
)

RGB_MEAN, RGB_STD = (0.4707, 0.4602, 0.4550), (0.2594, 0.2585, 0.2635)
GRAY_MEAN, GRAY_STD = (0.4627,), (0.2545,)
"""Of the uncut training photographs: GhostNet thesis, section 3.3."""

DEFAULT_MODEL = "ghostnet_100"

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to fine-tune. Photographs are augmented as in the GhostNet thesis's best experiment (C-50):
    flip, affine, colour jitter.

    Attributes:
        epochs: at most; early stopping may end before.
        resolution: pixels of the square; None is the model's own.
        batch_size: photographs per optimizer step and device.
        seed: of the weights, the order, the augmentation and the validation split.
        learning_rate: of AdamW, at its peak.
        weight_decay: of AdamW.
        label_smoothing: of the cross-entropy; the theses' 0.1.
        schedule: "cosine" falls to 0 over all steps, "constant" stays.
        warmup_epochs: the rate rises linearly over so many first epochs.
        patience: early stopping after so many epochs without a lower validation loss; the GhostNet thesis's
            15. None never stops early.
        augment: False leaves flip, affine and colour jitter out.
        precision: "32-true", "bf16-mixed" or "16-mixed", as Lightning names them.
        accelerator: "auto", "cpu", "gpu", "cuda" or "mps".
        devices: how many of them.
        workers: processes that augment; 0 does it in the training process.
    """

    epochs: int = 30
    resolution: int | None = None
    batch_size: int = 64
    seed: int = 0
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: float = 1.0
    patience: int | None = 15
    augment: bool = True
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    workers: int = 0

    def __post_init__(self) -> None:
        require_int("epochs", self.epochs, at_least=1)
        if self.resolution is not None:
            require_int("resolution", self.resolution, at_least=MIN_RESOLUTION)
        require_int("batch_size", self.batch_size, at_least=1)
        require_int("seed", self.seed, at_least=0)
        require_positive("learning_rate", self.learning_rate, at_most=1e12)
        if self.weight_decay != 0:
            require_positive("weight_decay", self.weight_decay)
        require_probability("label_smoothing", self.label_smoothing)
        require_one_of("schedule", self.schedule, ("cosine", "constant"))
        if self.warmup_epochs != 0:
            require_positive("warmup_epochs", self.warmup_epochs)
        if self.patience is not None:
            require_int("patience", self.patience, at_least=1)
        require_one_of("precision", self.precision, PRECISIONS)
        require_one_of("accelerator", self.accelerator, ACCELERATORS)
        require_int("devices", self.devices, at_least=1)
        require_int("workers", self.workers, at_least=0)

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for `run.json`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Recipe:
        """Back from plain data; an unknown key is an error."""
        known = [field.name for field in fields(cls)]
        for key in data:
            if key not in known:
                raise ConfigError(f"a recipe has no setting {key!r}.{did_you_mean(key, known)}")
        return cls(**data)
