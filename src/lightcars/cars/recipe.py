"""Everything that determines a fine-tune besides the data: model, training, augmentation. No torch.

A recipe is plain data: a YAML file (`recipe_file.py`), and what `run.json` keeps. What torch, torchvision and
Lightning do is passed through under their own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal, get_args

from lightcars.cars.schedule import resolution_at
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

Region = Literal["whole", "box", "masked"]
REGIONS: tuple[Region, ...] = get_args(Region)
"""Of a photograph, as `regions.py` reads it: as it is; cut to the box (GhostNet thesis, C-10); the rest
painted white, at the same size (C-11)."""

CHOSEN_ON_TEST = "chosen on test: too good"
"""What every output says of figures on the split that chose the epoch, where that is the test split."""

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
AUTO = "auto"
"""What is measured before the run; what was chosen takes its place in the recipe that the run keeps."""
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
MemoryFormat = Literal["auto", "channels_last", "contiguous"]
MEMORY_FORMATS: tuple[MemoryFormat, ...] = get_args(MemoryFormat)
MEASURED = ("precision", "memory_format")
"""Settings that may be AUTO."""
OptimizerName = Literal["AdamW", "Adam", "SGD", "RMSprop", "Muon"]
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
ScheduleName = Literal["cosine", "constant", "MultiStepLR", "ReduceLROnPlateau", "ExponentialLR"]
SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)
STEPWISE = ("cosine", "constant")
PHOTO_STEPS = (
    "RandomHorizontalFlip",
    "RandomAffine",
    "ColorJitter",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomPerspective",
    "RandomGrayscale",
    "TrivialAugmentWide",
    "RandAugment",
    "AugMix",
    "GaussianBlur",
)
TENSOR_STEPS = ("RandomErasing",)
BATCH_STEPS = ("MixUp", "CutMix")

Step = Mapping[str, Mapping[str, Any]]
"""One transform: its name in torchvision's v2 and its settings: `{"RandomRotation": {"degrees": 15}}`."""

_STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}

THESIS_STEPS: tuple[Step, ...] = (
    {"RandomHorizontalFlip": {"p": 0.5}},
    {"RandomAffine": {"degrees": 25, "translate": [0.1, 0.1], "scale": [0.9, 1.1], "shear": 8}},
    {"ColorJitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1}},
)
"""Of the GhostNet thesis's best experiment, C-50."""


def _require_not_negative(name: str, value: object) -> None:
    if value != 0:
        require_positive(name, value)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings in one mapping; those inside others as `outer.inner`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = list(value) if isinstance(value, tuple) else value
    return found


def note_on(split: str | None, select_on: str | None) -> str | None:
    """What the reader has to know about figures on `split` of a model whose epoch `select_on` chose."""
    return CHOSEN_ON_TEST if split == select_on == "test" else None


def note_on_choice(select_on: str | None) -> str | None:
    """What the reader has to know about the figures of an epoch on the split that chose it."""
    return note_on(select_on, select_on)


def shown_split(select_on: str) -> str:
    """The split that chooses the epoch, as outputs name it: "val", or test with what that means."""
    return f"test ({CHOSEN_ON_TEST})" if select_on == "test" else select_on


def _require_steps(name: str, steps: tuple[Step, ...], allowed: tuple[str, ...]) -> None:
    for step in steps:
        if not isinstance(step, Mapping) or len(step) != 1:
            raise ConfigError(f"{name} must be a list of one name with its settings each, not {step!r}.")
        for transform, settings in step.items():
            if transform not in allowed:
                raise ConfigError(
                    f"{name} has no transform {transform!r}.{did_you_mean(transform, allowed)}"
                    f" It has {', '.join(allowed)}."
                )
            if not isinstance(settings, Mapping):
                raise ConfigError(f"{name}: {transform} needs its settings as name: value, not {settings!r}.")
            if transform == "RandomResizedCrop" and "size" in settings:
                raise ConfigError(f"{name}: {transform} takes no size; it is the recipe's resolution.")
            if transform in BATCH_STEPS and "num_classes" in settings:
                raise ConfigError(f"{name}: {transform} takes no num_classes; the data decide.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecipe:
    """What is trained.

    Attributes:
        name: of a registered model.
        weights: to start from, as for `create_model`; None starts from fresh ones.
        settings: of the model that replace the registered ones (`img_channels`, `dropout`, ...).
        freeze_epochs: so many first epochs train the classifier alone, the trunk's batch norms at rest;
            None freezes the trunk throughout.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str = DEFAULT_MODEL
    weights: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    freeze_epochs: int | None = 0

    def __post_init__(self) -> None:
        if "num_classes" in self.settings:
            raise ConfigError("settings cannot give num_classes: the data decide.")
        if self.freeze_epochs is not None:
            require_int("freeze_epochs", self.freeze_epochs, at_least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerRecipe:
    """How weights are changed.

    Attributes:
        name: "AdamW", "Adam", "SGD" or "RMSprop" of `torch.optim`; "Muon" is torch's for the weights of 1x1
            convolutions and inner linear layers, with AdamW for the rest.
        lr: learning rate, at its peak.
        weight_decay: of all weights, or of convolutions and linear layers only.
        decay_norms: whether batch norms and biases decay too.
        trunk_lr_factor: the trunk's learning rate as part of the classifier's.
        settings: more arguments of the optimizer (`momentum`, `betas`, ...).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: OptimizerName = "AdamW"
    lr: float = 1e-3
    weight_decay: float = 0.05
    decay_norms: bool = True
    trunk_lr_factor: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_one_of("name", self.name, OPTIMIZERS)
        require_positive("lr", self.lr, at_most=1e12)
        _require_not_negative("weight_decay", self.weight_decay)
        require_positive("trunk_lr_factor", self.trunk_lr_factor, at_most=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecipe:
    """How the learning rate changes.

    Attributes:
        name: "cosine" falls to 0 over all steps, "constant" stays; "MultiStepLR", "ReduceLROnPlateau" (of the
            validation loss) and "ExponentialLR" are torch's, once an epoch.
        warmup_epochs: the rate rises linearly over so many first epochs ("cosine" and "constant" only).
        settings: arguments of torch's scheduler (`milestones`, `gamma`, `patience`, ...).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: ScheduleName = "cosine"
    warmup_epochs: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_one_of("name", self.name, SCHEDULES)
        _require_not_negative("warmup_epochs", self.warmup_epochs)
        if self.name not in STEPWISE and self.warmup_epochs:
            raise ConfigError(f"warmup_epochs must be 0 with {self.name}, not {self.warmup_epochs!r}.")
        if self.name in STEPWISE and self.settings:
            raise ConfigError(f"settings are for torch's schedulers; {self.name} has none.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentRecipe:
    """How training photographs are changed at random, in torchvision's own terms.

    Attributes:
        photos: done to each photograph, one after the other. A `RandomResizedCrop` needs no size: it is the
            recipe's resolution. A `ColorJitter` at the end is done in batches, which is quicker.
        tensors: done to each photograph after normalisation (`RandomErasing`).
        batches: one of them, drawn anew for each batch, mixes its photographs (`MixUp`, `CutMix`).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    photos: tuple[Step, ...] = THESIS_STEPS
    tensors: tuple[Step, ...] = ()
    batches: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        _require_steps("photos", self.photos, PHOTO_STEPS)
        _require_steps("tensors", self.tensors, TENSOR_STEPS)
        _require_steps("batches", self.batches, BATCH_STEPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressiveRecipe:
    """How training photographs grow over the epochs, in equal steps, up to the recipe's resolution.

    Attributes:
        start_resolution: pixels of the square in the first epoch.
        full_from: share of the epochs after which they have the full resolution; 1 is in the last epoch only.
        multiple_of: until then sizes are multiples of it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    start_resolution: int
    full_from: float = 0.75
    multiple_of: int = 16

    def __post_init__(self) -> None:
        require_int("start_resolution", self.start_resolution, at_least=MIN_RESOLUTION)
        require_positive("full_from", self.full_from, at_most=1)
        require_int("multiple_of", self.multiple_of, at_least=1)
        if self.start_resolution % self.multiple_of:
            raise ConfigError(
                f"start_resolution must be a multiple of multiple_of ({self.multiple_of}),"
                f" not {self.start_resolution}."
            )


NO_AUGMENTATION = AugmentRecipe(photos=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to fine-tune.

    Attributes:
        name: of the recipe.
        source: where it comes from.
        model: what is trained.
        epochs: at most; early stopping may end before.
        resolution: pixels of the square; None is the model's own.
        decode_resolution: pixels of the square in which training photographs are kept, for crops to be cut
            from; None is `resolution`.
        progressive: train on smaller photographs at first; None trains on `resolution` throughout. Validation
            is at `resolution` in any case.
        region: of training photographs: "whole" takes them as they are, "box" cuts them to the annotated
            box, "masked" paints the rest white.
        val_region: the same for the photographs that select and for those of the test split.
        select_on: the split that chooses the best epoch. "test" is there to redo the theses, which did that;
            its accuracies are too good, and every output says so.
        mean, std: per channel, of pixel values in [0, 1]; None takes those of the weights that are started
            from, else of Stanford Cars.
        batch_size: photographs per batch and device.
        accumulate: batches per optimizer step.
        test: evaluate the best model on the test split once, when all is done.
        seed: of the weights, the order, the augmentation and the validation split.
        optimizer, schedule, augment: see there.
        label_smoothing: of the cross-entropy; the theses' 0.1.
        ema_decay: an exponential moving average of the weights, updated each step, is what is validated and
            kept; None for none.
        clip_norm: largest norm of the gradient; None for any.
        patience: early stopping after so many epochs without a lower validation loss; the GhostNet thesis's
            15. None never stops early.
        min_delta: how much lower the loss must be to count.
        precision: "32-true", "bf16-mixed" or "16-mixed", as Lightning names them; "auto" is the faster one of
            the first two on this machine, measured before the run.
        memory_format: of the images, "channels_last" or "contiguous"; "auto" is the faster one, likewise.
        compile: train through `torch.compile`; validation is not compiled.
        gradient_checkpointing: compute activations inside the blocks again in the backward pass: less
            memory, about a third more time.
        accelerator: "auto", "cpu", "gpu", "cuda" or "mps".
        devices: how many of them on each machine.
        num_nodes: machines.
        workers: processes that augment; 0 does it in the training process.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

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
    label_smoothing: float = 0.1
    ema_decay: float | None = None
    clip_norm: float | None = None
    patience: int | None = 15
    min_delta: float = 0.0
    precision: Precision = "auto"
    memory_format: MemoryFormat = "auto"
    compile: bool = False
    gradient_checkpointing: bool = False
    accelerator: str = "auto"
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
            raise ConfigError("mean and std go together, one value of each for every channel.")
        if self.ema_decay is not None:
            require_probability("ema_decay", self.ema_decay)
        if self.clip_norm is not None:
            require_positive("clip_norm", self.clip_norm)
        if self.patience is not None:
            require_int("patience", self.patience, at_least=1)
        _require_not_negative("min_delta", self.min_delta)
        require_one_of("precision", self.precision, PRECISIONS)
        require_one_of("memory_format", self.memory_format, MEMORY_FORMATS)
        require_one_of("accelerator", self.accelerator, ACCELERATORS)
        self._check_sizes()

    def _check_sizes(self) -> None:
        for name in ("resolution", "decode_resolution"):
            if getattr(self, name) is not None:
                require_int(name, getattr(self, name), at_least=MIN_RESOLUTION)
        cropped = any("RandomResizedCrop" in step for step in self.augment.photos)
        if self.decode_resolution is not None and not cropped:
            raise ConfigError("decode_resolution needs a RandomResizedCrop that cuts to the resolution.")
        if self.resolution is not None:
            self.resolutions(self.resolution)

    def resolutions(self, full: int) -> tuple[int, ...]:
        """Pixels of the training photographs' square in each epoch; `full` where the recipe leaves it open.

        Raises:
            ConfigError: it does not start below the full resolution.
        """
        growth, full = self.progressive, self.resolution or full
        if growth is None:
            return (full,) * self.epochs
        if growth.start_resolution >= full:
            raise ConfigError(
                f"progressive.start_resolution must be less than the resolution ({full}),"
                f" not {growth.start_resolution}."
            )
        last = growth.full_from * (self.epochs - 1)
        return tuple(
            resolution_at(epoch, last, (growth.start_resolution, full), growth.multiple_of)
            for epoch in range(self.epochs)
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for YAML and `run.json`."""
        return asdict(self)

    def settled_by(self, chosen: Recipe) -> Recipe:
        """The recipe with what `chosen` has where this one leaves the choice to a measurement."""
        taken = {name: getattr(chosen, name) for name in MEASURED if getattr(self, name) == AUTO}
        return replace(self, **taken)

    def differences(self, other: Recipe) -> list[str]:
        """What `other` has otherwise: "optimizer.lr 0.001 -> 0.01"."""
        ours, theirs = flat(self.to_dict()), flat(other.to_dict())
        keys = [*ours, *(key for key in theirs if key not in ours)]
        return [
            f"{key} {ours.get(key)} -> {theirs.get(key)}" for key in keys if ours.get(key) != theirs.get(key)
        ]
