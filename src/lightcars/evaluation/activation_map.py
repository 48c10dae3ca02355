"""Grad-CAM: a map of the image regions that contribute to a class.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
arXiv 1610.02391, equations 1 and 2. The class activation map (arXiv 1512.04150) needs a head of pooling and
one linear layer, which EfficientNet has and GhostNet does not; for such a head both maps are equal up to a
factor.
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
from lightcars.evaluation.guesses import Box, Guess
from lightcars.models.image_model import ImageModel
from lightcars.models.images import read_image, without_advice
from lightcars.models.transforms import fit_square
from lightcars.models.unwrapping import unwrap_model
from lightcars.runs.trained import load_trained


def activation_map(model: ImageModel, image: Tensor, class_index: int | None = None) -> Tensor:
    """Compute the Grad-CAM map of a class.

    The channels of the last feature map are weighted by the mean gradient of the class's logit, summed,
    clamped at 0 and upsampled to the image. The model runs in evaluation mode; its mode and gradients are
    restored.

    Args:
        model: a model of any family.
        image: (C, H, W) or (1, C, H, W), normalized as the model expects.
        class_index: None: the most likely class.

    Returns:
        (H, W) on the image's device, in [0, 1]: 1 at the maximum, 0 without a contribution; all 0 if there is
        none at all.

    Raises:
        InputError: the image has another shape, or the model has no such class.
    """
    model = unwrap_model(model, "activation_map takes a model of lightcars", InputError)
    batch = image[None] if image.ndim == 3 else image
    if batch.ndim != 4 or len(batch) != 1:
        raise InputError(f"activation_map takes one image (C, H, W), not {tuple(image.shape)}.")
    classes = model.config.num_classes
    if class_index is not None and not 0 <= class_index < classes:
        raise InputError(f"class_index must be from 0 to {classes - 1}, not {class_index}.")
    if not classes:
        raise InputError("the model has no classifier; add one with model.reset_classifier(num_classes).")
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
    """Switch to evaluation mode and restore each module's mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@dataclass(frozen=True, slots=True)
class ExplainedImage:
    """An image with its Grad-CAM map.

    Attributes:
        image: the crop that the model sees, in color.
        heat: (H, W) in [0, 1], to be scaled to `image`.
        guess: the class of the map.
    """

    image: Image.Image
    heat: Tensor
    guess: Guess


def explain(
    run: str | Path, image: str | Path, *, device: str | torch.device | None = None, box: Box | None = None
) -> ExplainedImage:
    """Compute the Grad-CAM map of an image's most likely class.

    Args:
        run: a run folder (its best model is used), a checkpoint folder or published weights.
        image: an image file.
        device: None: CUDA if it is available.
        box: the part of the image that is classified, such as `Prediction.box`; None for all of it.

    Raises:
        CheckpointError: there is no such model.
        DataError: the file is missing or is not an image.
    """
    trained = load_trained(run, device)
    preprocessing = trained.preprocessing
    fit = fit_square(preprocessing)
    with without_advice():
        color, own = (read_image(Path(image), channels) for channels in (3, len(preprocessing.mean)))
    if box is not None:
        color, own = color.crop(box), own.crop(box)
    fitted = fit(own)
    pixels = normalize(to_pixels(fitted)[None].to(trained.device), preprocessing)
    with torch.inference_mode():
        best, index = trained.probabilities(trained.model(pixels))[0].max(dim=0)
    heat = activation_map(trained.model, pixels, int(index)).cpu()
    whole = preprocessing.resize == "squash" and preprocessing.shorter_side == preprocessing.resolution
    seen = color if whole else fit(color)
    return ExplainedImage(seen, heat, Guess(trained.classes[int(index)], float(best)))
