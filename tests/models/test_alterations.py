"""What a user changed in a model is found; what is the same in evaluation mode is not a change."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from lightcars import create_model, efficientnet, ghostnet, list_models
from lightcars.errors import InputError
from lightcars.layers import DropPath
from lightcars.models.alterations import actual_config, alterations


def small(**changes):
    return efficientnet(width=0.25, depth=0.34, num_classes=5, drop_path=0.2, **changes)


@pytest.mark.parametrize("name", list_models())
def test_a_registered_model_is_unaltered(name):
    model = create_model(name, num_classes=7, img_channels=1, device="meta")
    assert alterations(model) == []
    assert actual_config(model) == model.config


def each_norm(model, make):
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            model.set_submodule(path, make(module.num_features))


CHANGES = {
    "head": (
        lambda model: setattr(model, "classifier", nn.Sequential(nn.Dropout(), nn.Linear(320, 5))),
        [r"classifier is a Sequential, not a Linear"],
    ),
    "no bias": (
        lambda model: setattr(model, "classifier", nn.Linear(320, 5, bias=False)),
        ["classifier.bias is missing"],
    ),
    "another width": (
        lambda model: setattr(model, "classifier", nn.Linear(64, 5)),
        ["classifier has in_features=64 instead of 320"],
    ),
    "act": (
        lambda model: setattr(model.stem, "act", nn.ReLU()),
        ["stem.act is a ReLU, not a SiLU"],
    ),
    "reflect": (
        lambda model: setattr(model.stem.conv, "padding_mode", "reflect"),
        ["stem.conv has padding_mode='reflect' instead of 'zeros'"],
    ),
    "eps": (
        lambda model: setattr(model.stem.norm, "eps", 1e-3),
        ["stem.norm has eps=0.001 instead of 1e-05"],
    ),
    "pool": (
        lambda model: setattr(model, "pool", nn.AdaptiveMaxPool2d(1)),
        ["pool is an AdaptiveMaxPool2d, not a GlobalAveragePool"],
    ),
    "subclass": (
        lambda model: setattr(model.stem, "norm", type("BatchNorm2d", (nn.BatchNorm2d,), {})(8)),
        [f"stem.norm is a BatchNorm2d ({__name__}), not a BatchNorm2d"],
    ),
    "addition": (lambda model: setattr(model, "aux", nn.Linear(2, 2)), ["aux is an addition"]),
    "buffer": (lambda model: model.register_buffer("mean", torch.zeros(3)), ["mean is an addition"]),
    "block": (
        lambda model: setattr(model.blocks, "1", nn.Identity()),
        ["blocks.1 is an Identity, not a MBConv"],
    ),
    "forward": (
        lambda model: setattr(model.pool, "forward", lambda x: x.amax((2, 3))),
        ["pool has a forward of its own"],
    ),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_changes_are_named(change, said):
    model = small()
    change(model)
    assert alterations(model) == said


def test_every_changed_norm_is_named():
    model = small()
    each_norm(model, lambda channels: nn.GroupNorm(1, channels))
    found = alterations(model)
    assert len(found) == sum(isinstance(module, nn.GroupNorm) for module in model.modules())
    assert found[0] == "stem.norm is a GroupNorm, not a BatchNorm2d"


def test_what_changes_no_output_is_no_change():
    model = small()
    model.dropout = nn.Dropout(0.7)
    model.blocks[0].drop_path = DropPath(0.5)
    model.gradient_checkpointing()
    for module in model.modules():
        if isinstance(module, DropPath):
            module.probability = 0.9
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5
        if isinstance(module, nn.SiLU):
            module.inplace = True
    model.requires_grad_(False).eval().half()
    assert alterations(model) == []
    assert alterations(nn.SyncBatchNorm.convert_sync_batchnorm(small())) == []
    without = small()
    without.dropout = nn.Identity()
    assert alterations(without) == []


def test_the_classes_of_a_replaced_head():
    model = small()
    model.classifier = nn.Linear(320, 9)
    assert actual_config(model).num_classes == 9
    model.classifier = nn.Identity()
    assert actual_config(model).num_classes == 0
    assert alterations(model) == []


def test_a_parametrized_weight_is_a_change():
    model = small()
    parametrize.register_parametrization(model.classifier, "weight", nn.Identity())
    assert alterations(model)[0] == "classifier is a ParametrizedLinear, not a Linear"


# One image in training mode


def test_one_small_image_trains_where_no_batch_norm_does():
    x = torch.randn(1, 3, 32, 32)
    model = small()
    with pytest.raises(InputError, match="one image of 32 pixels"):
        model(x)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    model(x).sum().backward()
    grouped = small()
    each_norm(grouped, lambda channels: nn.GroupNorm(1, channels))
    grouped(x).sum().backward()
    without = small()
    each_norm(without, lambda channels: nn.BatchNorm2d(channels, track_running_stats=False).eval())
    with pytest.raises(InputError, match="one image of 32 pixels"):
        without(x)


def test_one_vector_trains_where_the_neck_is_frozen():
    model = ghostnet("thesis", width=0.25)
    x = torch.randn(1, 3, 64, 64)
    with pytest.raises(InputError, match="batch norm of its neck"):
        model(x)
    model.neck.eval()
    model(x).sum().backward()
