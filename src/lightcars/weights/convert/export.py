"""Export a model's tensors for another library."""

from __future__ import annotations

from torch import Tensor

from lightcars.errors import CheckpointError
from lightcars.models.image_model import ImageModel
from lightcars.models.unwrapping import require_plain_weights, unwrap_model
from lightcars.weights.convert.translate import from_lightcars


def state_dict_for(model: ImageModel, target: str) -> dict[str, Tensor]:
    """Return the model's tensors under the names of another library, for its `load_state_dict`.

    Padding and batch norms are not in a state dict: a model with TensorFlow's (`padding="same"`) belongs in
    timm's `tf_efficientnet_b*` or into EfficientNet-PyTorch, one with symmetric padding into timm's
    `efficientnet_b*` or torchvision.

    Args:
        model: one of this library's, also wrapped by `torch.compile`, DataParallel, DDP or `AveragedModel`.
        target: "timm", "torchvision", "lukemelas", "huawei", "thesis", "pingolh" (HarDNet's authors),
            "luuuyi" or "pytorchcv" (SqueezeNext), where that has such a model.

    Raises:
        CheckpointError: the target has no such model, or a weight is pruned or parametrized.

    >>> from lightcars import ghostnet
    >>> list(state_dict_for(ghostnet(), "timm"))[0]
    'conv_stem.weight'
    """
    model = unwrap_model(model, "only models of lightcars can be converted", CheckpointError)
    if model.fused:
        raise CheckpointError("a fused model has other tensors; convert the model that it was made from.")
    require_plain_weights(model, CheckpointError)
    tensors = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    return from_lightcars(tensors, model.config, target)
