"""Out of this library: a model's tensors for another one."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from lightcars.errors import CheckpointError
from lightcars.models.image_model import ImageModel
from lightcars.models.registry import AnyConfig
from lightcars.weights.convert.translate import from_lightcars


def state_dict_for(model: ImageModel, target: str) -> dict[str, Tensor]:
    """The model's tensors under the names of another library, for its `load_state_dict`.

    Padding and batch norms are not in a state dict: a model with TensorFlow's (`padding="same"`) belongs into
    timm's `tf_efficientnet_b*` or into EfficientNet-PyTorch, one with symmetric padding into timm's
    `efficientnet_b*` or torchvision.

    Args:
        model: one of this library's (also inside `torch.compile`).
        target: "timm", "torchvision" or "lukemelas" for an EfficientNet; "timm" or "huawei" for a GhostNet,
            "thesis" for its thesis form.

    Raises:
        CheckpointError: the target has no such model.

    >>> from lightcars import ghostnet
    >>> list(state_dict_for(ghostnet(), "timm"))[0]
    'conv_stem.weight'
    """
    model = getattr(model, "_orig_mod", model)
    if not isinstance(model, ImageModel):
        raise CheckpointError(f"only models of lightcars can be converted, not a {type(model).__name__}.")
    if model.fused:
        raise CheckpointError("a fused model has other tensors; convert the model that it was made from.")
    tensors = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    return from_lightcars(tensors, cast(AnyConfig, model.config), target)
