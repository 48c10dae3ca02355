"""Where on a photograph the model sees a class: Grad-CAM.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
arXiv 1610.02391, equations 1 and 2. It is taken in place of the class activation map (arXiv 1512.04150),
which needs a head of pooling and one linear layer, as EfficientNet's is and GhostNet's is not; for such a
head both are the same map up to a factor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lightcars.data.pixels import normalize, to_pixels
from lightcars.errors import InputError
from lightcars.evaluation.predict import Guess
from lightcars.models.image_model import ImageModel
from lightcars.models.images import read_image, without_advice
from lightcars.models.transforms import fit_square
from lightcars.runs.trained import load_trained


def activation_map(model: ImageModel, image: Tensor, class_index: int | None = None) -> Tensor:
    """Which parts of an image speak for a class.

    The last map's channels are weighted with the mean gradient of the class's logit, summed, cut at 0, and
    scaled up to the image. The model runs in evaluation mode; its mode and gradients stay as they were.

    Args:
        model: of any family.
        image: (C, H, W) or (1, C, H, W), normalized as the model wants it.
        class_index: None takes the likeliest class.

    Returns:
        (H, W) on the image's device: 1 where the class is seen most, 0 where nothing speaks for it; 0
        everywhere if nothing does anywhere.

    Raises:
        InputError: an image of another shape, or a class that the model does not have.
    """
    batch = image[None] if image.ndim == 3 else image
    if batch.ndim != 4 or len(batch) != 1:
        raise InputError(f"an activation map is of one image, (C, H, W), not of {tuple(image.shape)}.")
    classes = model.config.num_classes
    if class_index is not None and not 0 <= class_index < classes:
        raise InputError(f"class_index must be from 0 to {classes - 1}, not {class_index}.")
    if not classes:
        raise InputError("the model has no classes; give it some with reset_classifier.")
    with _evaluating(model), torch.inference_mode(mode=False):
        with torch.no_grad():
            features = model.forward_features(batch.detach().clone())
        with torch.enable_grad():
            logits = model.forward_head(features.requires_grad_())[0]
            index = int(logits.argmax()) if class_index is None else class_index
            (gradient,) = torch.autograd.grad(logits[index], features)
    weights = gradient.mean((2, 3), keepdim=True)
    heat = (weights * features.detach()).sum(dim=1, keepdim=True).relu().float()
    heat = F.interpolate(heat, batch.shape[2:], mode="bilinear", align_corners=False)[0, 0]
    highest = heat.max()
    return heat / highest if highest > 0 else heat


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards each module is in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@dataclass(frozen=True, slots=True)
class ExplainedImage:
    """A photograph with what the model sees on it.

    Attributes:
        image: the part of the photograph that the model looks at, in color.
        heat: (H, W) of values in [0, 1], to be stretched over `image`.
        guess: the class that it is the map of.
    """

    image: Image.Image
    heat: Tensor
    guess: Guess


def explain(
    run: str | Path, photo: str | Path, *, device: str | torch.device | None = None
) -> ExplainedImage:
    """The activation map of a photograph's likeliest class.

    Args:
        run: a run folder (its best model is taken), a checkpoint folder or published weights.
        photo: an image file.
        device: None takes CUDA if it is there.

    Raises:
        CheckpointError: no such model.
        DataError: a file that is missing or no image.
    """
    trained = load_trained(run, device)
    preprocessing = trained.preprocessing
    fit = fit_square(preprocessing)
    with without_advice():
        image = fit(read_image(Path(photo), len(preprocessing.mean)))
        color = read_image(Path(photo), 3)
    pixels = normalize(to_pixels(image)[None].to(trained.device), preprocessing)
    with torch.inference_mode():
        best, index = trained.probabilities(trained.model(pixels))[0].max(dim=0)
    heat = activation_map(trained.model, pixels, int(index)).cpu()
    whole = preprocessing.resize == "squash" and preprocessing.shorter_side == preprocessing.resolution
    seen = color if whole else fit(color)
    return ExplainedImage(seen, heat, Guess(trained.classes[int(index)], float(best)))
