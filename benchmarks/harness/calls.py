"""The timed calls: a forward pass or a training step of a PyTorch model, on the same images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.harness.ratios import OURS

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


def synthetic_images(batch: int, resolution: int) -> Tensor:
    """Return (batch, 3, resolution, resolution): patches of color with noise, the same at each call."""
    import torch
    from torch.nn.functional import interpolate

    generator = torch.Generator().manual_seed(1)
    patches = torch.randn(batch, 3, 5, 5, generator=generator)
    smooth = interpolate(patches, size=(resolution, resolution), mode="bilinear", align_corners=False)
    return smooth + 0.3 * torch.randn(smooth.shape, generator=generator)


def fit_batch_norms(model: nn.Module, images: Tensor) -> None:
    """Set the statistics of every BatchNorm2d to those of its own input.

    Without them activations fade into denormal numbers, which are slow, and each library's initial weights
    fade differently.
    """
    import torch
    from torch import nn

    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def inference(model: nn.Module, images: Tensor) -> Callable[[], Tensor]:
    """Return a forward pass in evaluation and inference mode."""
    import torch

    model.eval()

    @torch.inference_mode()
    def call() -> Tensor:
        return model(images)

    return call


def training_step(
    model: nn.Module, images: Tensor, optimizer: Optimizer, *, bf16: bool = False
) -> Callable[[], None]:
    """Return a training step: forward and cross-entropy (in bf16 autocast if asked), backward, optimizer."""
    import torch

    model.train()
    targets = torch.arange(images.shape[0], device=images.device)

    def call() -> None:
        optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            loss = torch.nn.functional.cross_entropy(model(images), targets)
        loss.backward()
        optimizer.step()

    return call


def logits(call: Callable[[], Any]) -> Callable[[], list[float]]:
    """Return a function that answers "logits": the output of `call` as a flat list."""
    return lambda: call().flatten().tolist()


def adamw(library: str, model: nn.Module) -> Optimizer:
    """Return AdamW as users of the library have it: from lightcars' recipe, or with PyTorch's defaults."""
    if library == OURS:
        from lightcars.recipes.recipe import OptimizerRecipe
        from lightcars.training.optim.optimizers import make_optimizer

        return make_optimizer(model, OptimizerRecipe(name="AdamW"))
    import torch

    return torch.optim.AdamW(model.parameters())
