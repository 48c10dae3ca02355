"""Everything that determines a fine-tune besides the data: model, training, augmentation. No torch.

A recipe is plain data: a YAML file (`files.py`), and what `run.json` keeps. What torch, torchvision and
Lightning do is passed through under their own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal, get_args

from lightcars.data.records import REGIONS, Region
from lightcars.errors import ConfigError
from lightcars.models.validation import (
    MIN_RESOLUTION,
    require_int,
    require_one_of,
    require_positive,
    require_probability,
)
from lightcars.recipes.growth import EpochResolutions
from lightcars.recipes.sections import (
    DEFAULT_MODEL,
    NO_AUGMENTATION,
    OPTIMIZERS,
    SCHEDULES,
    STEPWISE,
    STRICT,
    THESIS_STEPS,
    AugmentRecipe,
    DistillationRecipe,
    ModelRecipe,
    OptimizerRecipe,
    ProgressiveRecipe,
    ScheduleRecipe,
    Step,
    require_not_negative,
)
from lightcars.renamed import takes_old_names

__all__ = [
    "ACCELERATORS",
    "AUTO",
    "DECIDED",
    "DEFAULT_MODEL",
    "FASTEST",
    "MEMORY_FORMATS",
    "NO_AUGMENTATION",
    "OPEN",
    "OPTIMIZERS",
    "PRECISIONS",
    "SCHEDULES",
    "STEPWISE",
    "THESIS_STEPS",
    "AugmentRecipe",
    "DistillationRecipe",
    "MemoryFormat",
    "ModelRecipe",
    "OptimizerRecipe",
    "Precision",
    "ProgressiveRecipe",
    "Recipe",
    "ScheduleRecipe",
    "Step",
    "flat",
]


Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
ACCELERATORS: tuple[Accelerator, ...] = get_args(Accelerator)
AUTO = "auto"
"""Selected from the hardware; run.json records the selected value."""
FASTEST = "fastest"
"""Selected by a measurement before the run, which may differ from run to run."""
OPEN = (AUTO, FASTEST)
Precision = Literal["auto", "fastest", "32-true", "bf16-mixed", "16-mixed"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
MemoryFormat = Literal["auto", "fastest", "channels_last", "contiguous"]
MEMORY_FORMATS: tuple[MemoryFormat, ...] = get_args(MemoryFormat)
OnDevice = Literal["auto", True, False]
DECIDED = ("precision", "memory_format", "images_on_device")
"""Settings that may be left open; they are decided before anything is built."""


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings into one mapping, with keys such as `outer.inner`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = list(value) if isinstance(value, tuple) else value
    return found


@takes_old_names(photos_on_device="images_on_device")
@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A recipe for fine-tuning.

    Attributes:
        name: of the recipe.
        source: where it comes from.
        model: what is trained.
        epochs: at most; early stopping may end before.
        resolution: pixels of the square; None is the model's own.
        decode_resolution: pixels of the square at which training images are kept to be cropped; None is
            `resolution`.
        progressive: train on smaller images at first; None trains on `resolution` throughout. Validation is
            always at `resolution`.
        region: of training images: "whole" uses them as they are, "box" crops them to the annotated box,
            "masked" paints the rest white.
        val_region: the same for the images of the selecting split and of the test split.
        select_on: the split that selects the best epoch. "test" reproduces the theses; its accuracy is
            optimistically biased, and every output says so.
        mean, std: per channel, of pixel values in [0, 1]; None is those of the pretrained weights, else of
            Stanford Cars.
        batch_size: images per batch and device.
        accumulate: batches per optimizer step.
        test: evaluate the best model on the test split once, at the end.
        seed: of the weights, the order, the augmentation and the validation split.
        optimizer, schedule, augment: see `OptimizerRecipe`, `ScheduleRecipe` and `AugmentRecipe`.
        distillation: a teacher to learn from; None for none.
        label_smoothing: of the training loss; the theses' 0.1.
        ema_decay: decay of an exponential moving average of the weights, updated each step, which is what is
            validated and saved; None for none.
        clip_norm: gradient clipping by norm; None for none.
        patience: epochs without a lower validation loss before early stopping; the GhostNet thesis's 15. None
            never stops early.
        min_delta: how much lower the loss must be to count.
        precision: "32-true", "bf16-mixed" or "16-mixed", as Lightning names them. "auto" is "bf16-mixed" if
            the CPU or GPU computes in bfloat16, else "32-true"; "fastest" is the faster one of both, measured
            before the run.
        memory_format: "channels_last" or "contiguous", of the images. "auto" is "channels_last"; "fastest" is
            measured.
        images_on_device: keep all images in the memory of the training device and augment them there in
            batches. "auto" does so on a CUDA device if they take little of its memory and every step of the
            augmentation can be done in batches.
        compile: train through `torch.compile`; validation is not compiled.
        gradient_checkpointing: recompute activations inside the blocks in the backward pass: less memory,
            about a third more time.
        accelerator: "auto", "cpu", "gpu", "cuda" or "mps".
        devices: how many of them on each machine.
        num_nodes: machines.
        workers: data loader processes; 0 augments in the training process. None are started if images are on
            the device.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    name: str | None = None
    source: str | None = None
    model: ModelRecipe = ModelRecipe()
    epochs: int = 30
    resolution: int | None = None
    decode_resolution: int | None = None
    progressive: ProgressiveRecipe | None = None
    region: Region = "whole"
    val_region: Region = "whole"
    select_on: Literal["val", "test"] = "val"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    batch_size: int = 64
    accumulate: int = 1
    test: bool = False
    seed: int = 0
    optimizer: OptimizerRecipe = OptimizerRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    distillation: DistillationRecipe | None = None
    label_smoothing: float = 0.1
    ema_decay: float | None = None
    clip_norm: float | None = None
    patience: int | None = 15
    min_delta: float = 0.0
    precision: Precision = "auto"
    memory_format: MemoryFormat = "auto"
    images_on_device: OnDevice = "auto"
    compile: bool = False
    gradient_checkpointing: bool = False
    accelerator: Accelerator = "auto"
    devices: int = 1
    num_nodes: int = 1
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "devices", "num_nodes"):
            require_int(name, getattr(self, name), at_least=1)
        require_int("seed", self.seed, at_least=0)
        require_int("workers", self.workers, at_least=0)
        require_probability("label_smoothing", self.label_smoothing)
        for name in ("region", "val_region"):
            require_one_of(name, getattr(self, name), REGIONS)
        require_one_of("select_on", self.select_on, ("val", "test"))
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            raise ConfigError("mean and std must be given together, with one value of each per channel.")
        if self.ema_decay is not None:
            require_probability("ema_decay", self.ema_decay)
        if self.clip_norm is not None:
            require_positive("clip_norm", self.clip_norm)
        if self.patience is not None:
            require_int("patience", self.patience, at_least=1)
        require_not_negative("min_delta", self.min_delta)
        require_one_of("precision", self.precision, PRECISIONS)
        require_one_of("memory_format", self.memory_format, MEMORY_FORMATS)
        if self.images_on_device != AUTO and not isinstance(self.images_on_device, bool):
            raise ConfigError(f"images_on_device must be auto, true or false, not {self.images_on_device!r}.")
        require_one_of("accelerator", self.accelerator, ACCELERATORS)
        self._check_sizes()

    def _check_sizes(self) -> None:
        for name in ("resolution", "decode_resolution"):
            if getattr(self, name) is not None:
                require_int(name, getattr(self, name), at_least=MIN_RESOLUTION)
        cropped = any("RandomResizedCrop" in step for step in self.augment.images)
        if self.decode_resolution is not None and not cropped:
            raise ConfigError("decode_resolution needs a RandomResizedCrop that cuts to the resolution.")
        if self.resolution is not None:
            self.resolutions(self.resolution)

    def resolutions(self, full: int) -> EpochResolutions:
        """Return the resolution of the training images in each epoch.

        Args:
            full: the model's own resolution, for a recipe that names none.

        Raises:
            ConfigError: it does not start below the full resolution.
        """
        growth, full = self.progressive, self.resolution or full
        if growth is None:
            return EpochResolutions(self.epochs, full, full)
        if growth.start_resolution >= full:
            raise ConfigError(
                f"progressive.start_resolution must be less than the resolution ({full}),"
                f" not {growth.start_resolution}."
            )
        last = growth.full_from * (self.epochs - 1)
        return EpochResolutions(self.epochs, growth.start_resolution, full, last, growth.multiple_of)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for YAML and `run.json`."""
        return asdict(self)

    def settled_by(self, chosen: Recipe) -> Recipe:
        """Return the recipe with the settings of `chosen` where this one leaves them open."""
        taken = {name: getattr(chosen, name) for name in DECIDED if getattr(self, name) in OPEN}
        return replace(self, **taken)

    def differences(self, other: Recipe) -> list[str]:
        """List the settings that differ in `other`: "optimizer.lr 0.001 -> 0.01"."""
        ours, theirs = flat(self.to_dict()), flat(other.to_dict())
        keys = [*ours, *(key for key in theirs if key not in ours)]
        return [
            f"{key} {ours.get(key)} -> {theirs.get(key)}" for key in keys if ours.get(key) != theirs.get(key)
        ]
