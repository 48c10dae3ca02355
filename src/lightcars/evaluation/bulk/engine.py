"""A trained model in an engine: eager PyTorch, or the fastest one on this machine with its cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from numbers import Integral
from typing import TYPE_CHECKING, TypeAlias, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightcars.data.pixels import normalize
from lightcars.deploy.candidates import AUTO
from lightcars.errors import ConfigError, OptimizationError, did_you_mean
from lightcars.evaluation.finding import finder_for
from lightcars.evaluation.guesses import Guess
from lightcars.evaluation.naming import Naming
from lightcars.evaluation.options import PredictOptions
from lightcars.models.familiarity import Familiarity, pooled
from lightcars.runs.trained import TrainedModel

if TYPE_CHECKING:
    from lightcars.models.image_model import ImageModel

EAGER = "eager"
FP32 = "fp32"
AUTO_FROM = 1000
"""Images from which "auto" selects an engine, which takes up to a minute the first time."""
Run: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""(N, C, H, W), normalized -> (N, num_classes) logits, and (N,) whether the images are familiar."""
Scores: TypeAlias = tuple[tuple[Guess, ...], bool | None]
"""The guesses for an image or a part of one, and whether it is familiar."""


def is_count(value: object) -> bool:
    """Return whether a setting is an integer, such as one of NumPy, and at least 1.

    >>> is_count(2), is_count(2.5), is_count(0)
    (True, False, False)
    """
    return isinstance(value, Integral) and int(value) >= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """The engine, its precision and the batch size: with these, results are the same to the last bit."""

    engine: str = AUTO
    precision: str = FP32
    batch_size: int = 32

    def __post_init__(self) -> None:
        from lightcars.deploy.runners import ENGINES

        known = (AUTO, EAGER, *ENGINES)
        if self.engine not in known:
            raise ConfigError(
                f"there is no engine {self.engine!r}.{did_you_mean(self.engine, known)} Choose"
                f" {', '.join(known)}."
            )
        if self.precision not in (possible := (AUTO, FP32, "bf16")):
            raise ConfigError(f"there is no precision {self.precision!r}; choose {', '.join(possible)}.")
        if self.engine == EAGER and self.precision == "bf16":
            raise ConfigError("the engine eager is in fp32; choose another engine for bf16.")
        if not is_count(self.batch_size):
            raise ConfigError(f"the batch size must be an integer of at least 1, not {self.batch_size}.")


Source = TypeVar("Source")


def peek(sources: Iterable[Source]) -> tuple[bool, Iterator[Source]]:
    """Return whether there are so many images that "auto" selects an engine, and all of the images."""
    remaining = iter(sources)
    first = list(islice(remaining, AUTO_FROM))
    return len(first) == AUTO_FROM, chain(first, remaining)


@final
class Classifier:
    """A model in an engine: pixels -> the most likely classes, and whether the images are familiar.

    Attributes:
        choice: engine, precision and batch size; never "auto".
        run: the engine alone.
        options: level of the names, and whether all cars of an image are classified.
        naming: the names at that level.
        finder: finds the cars before they are classified, in PyTorch; None for images that are cut already.
        has_familiarity: whether it says whether images are familiar.
    """

    def __init__(
        self, trained: TrainedModel, choice: EngineChoice, run: Run, options: PredictOptions
    ) -> None:
        self.trained, self.choice, self.run, self.options = trained, choice, run, options
        self.naming = Naming(trained.classes, options.level)
        self.finder = finder_for(trained, options)
        self.has_familiarity = trained.model.familiarity is not None or self.finder is not None

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8], top: int) -> list[Scores]:
        """(N, H, W, C) of uint8 in the model's resolution -> guesses and familiarity of each.

        Raises:
            CheckpointError: the model's outputs are NaN or infinite.
        """
        trained = self.trained
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(trained.device)
        logits, familiar = self.run(normalize(pixels, trained.preprocessing))
        guesses = self.naming.guesses(trained.probabilities(logits.float()), top)
        known = [None] * len(images) if familiar is None else familiar.tolist()
        return list(zip(guesses, known, strict=True))


def start(
    trained: TrainedModel, choice: EngineChoice, *, many: bool, options: PredictOptions = PredictOptions()
) -> Classifier:
    """Start an engine.

    Args:
        trained: the model.
        choice: the engine that is asked for.
        many: whether there are so many images that "auto" may take time to find the fastest engine.
        options: level, and what is done with whole images.

    Raises:
        MissingExtraError: the engine is not installed.
        ConfigError, OptimizationError: it cannot run the model.
        InputError: the classes have no such level.
    """
    if choice.engine == EAGER or (choice.engine == AUTO and not many):
        return _eager(trained, choice.batch_size, options)
    from lightcars.deploy.optimize import optimize

    model, familiarity = trained.model, trained.model.familiarity
    number = len(trained.classes)
    source = model if familiarity is None else LogitsAndPlace(model, familiarity)
    try:
        fast = optimize(source, choice.batch_size, engine=choice.engine, precision=choice.precision)
    except OptimizationError:
        if choice.engine != AUTO:
            raise
        return _eager(trained, choice.batch_size, options)  # no engine runs this model as it should

    def run(images: Tensor) -> tuple[Tensor, Tensor | None]:
        outputs = fast(images)
        if familiarity is None:
            return outputs, None
        return outputs[:, :number], is_near(outputs[:, number:], familiarity)

    chosen = EngineChoice(engine=fast.engine, precision=fast.precision, batch_size=choice.batch_size)
    return Classifier(trained, chosen, run, options)


@final
class LogitsAndPlace(nn.Module):
    """A model with its OOD detector as one function of images, for engines that return one tensor.

    (N, C, H, W) -> (N, num_classes + K): the logits, and the place of the features in the detector's K
    directions. Places are divided by the detector's limit: for images of the classes they are then about 1,
    less than logits, so that `optimize`, which compares outputs with the largest one, still verifies logits.
    """

    mean: Tensor
    directions: Tensor

    def __init__(self, model: ImageModel, familiarity: Familiarity) -> None:
        super().__init__()
        from lightcars.deploy.fuse import fuse

        self.model = fuse(model)
        self.preprocessing = model.preprocessing
        device = next(model.parameters()).device
        self.register_buffer("mean", familiarity.mean.to(device, torch.float32))
        self.register_buffer(
            "directions", familiarity.directions.to(device, torch.float32) / familiarity.limit
        )

    def forward(self, x: Tensor) -> Tensor:
        maps = self.model.features(x)
        logits = self.model.forward_head(self.model.head(maps[-1]))
        return torch.cat((logits, (pooled(maps).to(x.dtype) - self.mean) @ self.directions), dim=1)


def is_near(places: Tensor, familiarity: Familiarity) -> Tensor:
    """(N, K) places of `LogitsAndPlace` -> (N,): whether the images are familiar."""
    centers = familiarity.centers.to(places.device, torch.float32) / familiarity.limit
    near: Tensor = torch.cdist(places.float(), centers).amin(1) <= 1
    return near


def _eager(trained: TrainedModel, batch_size: int, options: PredictOptions) -> Classifier:
    model = trained.model

    def run(images: Tensor) -> tuple[Tensor, Tensor | None]:
        maps = model.features(images)
        logits = model.forward_head(model.head(maps[-1]))
        return logits, None if model.familiarity is None else model.familiarity.is_familiar(maps)

    return Classifier(trained, EngineChoice(engine=EAGER, batch_size=batch_size), run, options)


def model_digest(trained: TrainedModel) -> str:
    """Return a digest of everything on which predictions depend."""
    model = trained.model
    text = f"{model.config} {trained.classes} {trained.preprocessing} {model.temperature}"
    digest = hashlib.sha256(text.encode(errors="backslashreplace"))
    tensors = model.state_dict()
    if (known := model.familiarity) is not None:
        digest.update(repr(known.limit).encode())
        tensors |= {"mean": known.mean, "directions": known.directions, "centers": known.centers}
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
