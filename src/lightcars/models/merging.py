"""Structural re-parameterization of whole models: parallel branches become single convolutions."""

from __future__ import annotations

import torch

from lightcars.errors import FusionError
from lightcars.layers import BranchedConv
from lightcars.models.alterations import actual_config, require_unaltered
from lightcars.models.build import build_model
from lightcars.models.image_model import ImageModel
from lightcars.models.unwrapping import require_plain_weights, unwrap_model
from lightcars.models.validation import change_config, has_setting


@torch.no_grad()
def reparameterize(model: ImageModel) -> ImageModel:
    """Return a copy whose parallel branches are single convolutions: the same logits, fewer parameters.

    GhostNetV3 and RepGhostNet train with branches that one convolution can stand for afterwards. `fuse`,
    `optimize` and `export` merge them anyway; this function returns a model that can be saved, loaded and
    trained further in that form, with `config.reparameterized`.

    Args:
        model: of a family with branches, also wrapped by `torch.compile`, DataParallel, DDP or
            `AveragedModel`. It is not changed. A merged one is returned as it is.

    Returns:
        A new model in evaluation mode, or the merged one that was given.

    Raises:
        FusionError: a model without branches, a fused or changed one, or a weight is parametrized or pruned.

    >>> from lightcars import count_params, create_model
    >>> count_params(reparameterize(create_model("repghostnet_050")))
    2306528
    """
    model = unwrap_model(model, "reparameterize takes a model of lightcars", FusionError)
    if not has_setting(model.config, "reparameterized"):
        raise FusionError(
            f"{type(model).__name__} has no parallel branches; fuse(model) folds its batch norms."
        )
    if model.fused:
        raise FusionError("the branches of a fused model are merged already; use the original model.")
    if getattr(model.config, "reparameterized"):  # noqa: B009 - not a setting of every config
        return model
    require_plain_weights(model, FusionError)
    require_unaltered(model, "reparameterize builds what the config says", FusionError)
    like = next(model.parameters())
    merged = build_model(change_config(actual_config(model), {"reparameterized": True}), device=like.device)
    merged.to(like.dtype).load_state_dict(_merged_state(model))
    merged.take_description(model)
    merged.blocks.recompute = model.blocks.recompute
    return merged.eval()


def _merged_state(model: ImageModel) -> dict[str, torch.Tensor]:
    """Return the tensors of the model with each `BranchedConv` as the convolution that it becomes."""
    state = dict(model.state_dict())
    for path, module in model.named_modules():
        if isinstance(module, BranchedConv):
            for name in module.state_dict(prefix=f"{path}."):
                del state[name]
            state |= module.merged().state_dict(prefix=f"{path}.")
    return state
