"""Sections of a recipe: model, optimizer, schedule, augmentation, progressive resolution. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from lightcars.errors import ConfigError, did_you_mean
from lightcars.models.validation import MIN_RESOLUTION, require_int, require_one_of, require_positive
from lightcars.renamed import takes_old_names

DEFAULT_MODEL = "ghostnet_100"

OptimizerName = Literal["AdamW", "Adam", "SGD", "RMSprop", "Muon"]
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
ScheduleName = Literal["cosine", "constant", "MultiStepLR", "ReduceLROnPlateau", "ExponentialLR"]
SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)
STEPWISE = ("cosine", "constant")
IMAGE_STEPS = (
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
TENSOR_STEPS = ("RandomErasing", "GaussianBlur")
BATCH_STEPS = ("MixUp", "CutMix")

Step = Mapping[str, Mapping[str, Any]]
"""One transform: its name in torchvision's v2 and its settings: `{"RandomRotation": {"degrees": 15}}`."""

STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}
"""Configuration for pydantic: unknown keys and other types are errors."""

THESIS_STEPS: tuple[Step, ...] = (
    {"RandomHorizontalFlip": {"p": 0.5}},
    {"RandomAffine": {"degrees": 25, "translate": [0.1, 0.1], "scale": [0.9, 1.1], "shear": 8}},
    {"ColorJitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1}},
)
"""The augmentation of the GhostNet thesis's best experiment, C-50."""


def require_not_negative(name: str, value: object) -> None:
    """Raise a ConfigError unless it is 0 or a positive number."""
    if value != 0:
        require_positive(name, value)


def _require_steps(name: str, steps: tuple[Step, ...], allowed: tuple[str, ...]) -> None:
    for step in steps:
        if not isinstance(step, Mapping) or len(step) != 1:
            raise ConfigError(f"{name} must be a list, each item one name with its settings, not {step!r}.")
        for transform, settings in step.items():
            if transform not in allowed:
                raise ConfigError(
                    f"{name} has no transform {transform!r}.{did_you_mean(transform, allowed)}"
                    f" It has {', '.join(allowed)}."
                )
            if not isinstance(settings, Mapping):
                raise ConfigError(f"{name}: {transform} needs settings as name: value, not {settings!r}.")
            if transform == "RandomResizedCrop" and "size" in settings:
                raise ConfigError(f"{name}: {transform} takes no size; it is the recipe's resolution.")
            if transform in BATCH_STEPS and "num_classes" in settings:
                raise ConfigError(f"{name}: {transform} takes no num_classes; it comes from the data.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecipe:
    """The model that is trained.

    Attributes:
        name: of a registered model.
        weights: pretrained weights, as for `create_model`, or a run folder; None initializes at random.
        settings: of the model, in place of the registered ones (`img_channels`, `dropout`, ...).
        freeze_epochs: first epochs in which only the classifier is trained; the backbone is frozen and its
            batch norms are in evaluation mode. None freezes the backbone throughout.
        freeze_batch_norms: keep the statistics of pretrained batch norms: they are in evaluation mode
            throughout, only their weights and biases are trained. Random weights have none: ignored.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    name: str = DEFAULT_MODEL
    weights: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    freeze_epochs: int | None = 0
    freeze_batch_norms: bool = False

    def __post_init__(self) -> None:
        if "num_classes" in self.settings:
            raise ConfigError("settings cannot set num_classes; it comes from the data.")
        if self.freeze_epochs is not None:
            require_int("freeze_epochs", self.freeze_epochs, at_least=0)


@takes_old_names(trunk_lr_factor="backbone_lr_factor")
@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerRecipe:
    """The optimizer and its settings.

    Attributes:
        name: "AdamW", "Adam", "SGD" or "RMSprop" of `torch.optim`; "Muon" is torch's for the weights of 1x1
            convolutions and inner linear layers, with AdamW for the rest.
        lr: learning rate, at its peak.
        weight_decay: of all weights, or of convolutions and linear layers only.
        decay_norms: whether batch norms and biases decay too.
        backbone_lr_factor: the backbone's learning rate as a fraction of the classifier's.
        settings: more arguments of the optimizer (`momentum`, `betas`, ...).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    name: OptimizerName = "AdamW"
    lr: float = 1e-3
    weight_decay: float = 0.05
    decay_norms: bool = True
    backbone_lr_factor: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_one_of("name", self.name, OPTIMIZERS)
        require_positive("lr", self.lr, at_most=1e12)
        require_not_negative("weight_decay", self.weight_decay)
        require_positive("backbone_lr_factor", self.backbone_lr_factor, at_most=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecipe:
    """The learning rate schedule.

    Attributes:
        name: "cosine" falls to 0 over all steps, "constant" stays; "MultiStepLR", "ReduceLROnPlateau" (of the
            validation loss) and "ExponentialLR" are torch's, once an epoch.
        warmup_epochs: first epochs over which the rate rises linearly ("cosine" and "constant" only).
        settings: arguments of torch's scheduler (`milestones`, `gamma`, `patience`, ...).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    name: ScheduleName = "cosine"
    warmup_epochs: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_one_of("name", self.name, SCHEDULES)
        require_not_negative("warmup_epochs", self.warmup_epochs)
        if self.name not in STEPWISE and self.warmup_epochs:
            raise ConfigError(f"warmup_epochs must be 0 with {self.name}, not {self.warmup_epochs!r}.")
        if self.name in STEPWISE and self.settings:
            raise ConfigError(f"settings are for torch's schedulers; {self.name} has none.")


@takes_old_names(photos="images")
@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentRecipe:
    """Random augmentation of training images, in torchvision's own terms.

    Attributes:
        images: applied to each image, one after the other. A `RandomResizedCrop` needs no size: it is the
            recipe's resolution. A `ColorJitter` at the end is applied to batches, which is faster.
        tensors: applied after normalization: `RandomErasing`, and `GaussianBlur`, which takes the probability
            `p` of an image to be blurred here.
        batches: one of them, chosen at random for each batch, mixes its images (`MixUp`, `CutMix`).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    images: tuple[Step, ...] = THESIS_STEPS
    tensors: tuple[Step, ...] = ()
    batches: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        _require_steps("images", self.images, IMAGE_STEPS)
        _require_steps("tensors", self.tensors, TENSOR_STEPS)
        _require_steps("batches", self.batches, BATCH_STEPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressiveRecipe:
    """Resolution of training images that grows over the epochs, in equal steps, up to the recipe's.

    Attributes:
        start_resolution: pixels of the square in the first epoch.
        full_from: share of the epochs after which they have the full resolution; 1 is in the last epoch only.
        multiple_of: until then sizes are multiples of it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationRecipe:
    """Distillation: a trained model whose outputs are learned besides the labels (Hinton et al., 2015).

    The loss is (1 - weight) * cross-entropy + weight * temperature^2 * KL divergence of the softened outputs.

    Attributes:
        teacher: a run folder, a checkpoint folder, a tag of `list_weights()` or a repository on the Hub, of
            the same classes. It sees the images that the model is trained on.
        weight: of the teacher; 1 leaves the labels out.
        temperature: logits of both are divided by it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    teacher: str
    weight: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        require_positive("weight", self.weight, at_most=1)
        require_positive("temperature", self.temperature)


NO_AUGMENTATION = AugmentRecipe(images=())
