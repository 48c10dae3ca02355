"""Muon with AdamW: the same steps as torch's own two optimizers, on views of 1x1 convolutions."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from lightcars import create_model, finetune
from lightcars.errors import ConfigError
from lightcars.recipes.recipe import OptimizerRecipe
from lightcars.training.optim.muon import MuonWithAdamW, is_matrix
from lightcars.training.optim.optimizers import make_optimizer
from tests.training.tiny_settings import TINY_RECIPE

RECIPE = OptimizerRecipe(name="Muon", lr=0.01, weight_decay=0.1, decay_norms=False)


def groups(model: nn.Module) -> list[dict]:
    matrices = [p for p in model.parameters() if is_matrix(p)]
    rest = [p for p in model.parameters() if not is_matrix(p)]
    return [
        {"params": matrices, "weight_decay": 0.1, "is_matrix": True},
        {"params": rest, "weight_decay": 0.0, "is_matrix": False},
    ]


def train(model: nn.Module, step, x: torch.Tensor, steps: int) -> None:
    for _ in range(steps):
        model.zero_grad()
        model(x).square().mean().backward()
        step()


def test_what_a_matrix_is():
    assert is_matrix(torch.empty(3, 4))
    assert is_matrix(torch.empty(3, 4, 1, 1))
    assert not is_matrix(torch.empty(3, 4, 3, 3))
    assert not is_matrix(torch.empty(3, 1, 1, 1))
    assert not is_matrix(torch.empty(3))


def test_it_takes_the_steps_of_torchs_muon_and_adamw():
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))
    theirs = copy.deepcopy(ours)
    x = torch.randn(16, 8)
    optimizer = MuonWithAdamW(groups(ours), 0.01)
    train(ours, optimizer.step, x, 4)
    matrices = [p for p in theirs.parameters() if p.ndim == 2]
    biases = [p for p in theirs.parameters() if p.ndim == 1]
    muon = torch.optim.Muon(matrices, 0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(biases, 0.01, betas=(0.9, 0.99), weight_decay=0.0)
    train(theirs, lambda: (muon.step(), adamw.step()), x, 4)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_1x1_convolution_moves_as_the_linear_layer_that_it_is(layout):
    torch.manual_seed(0)
    linear, convolution = nn.Linear(8, 6), nn.Conv2d(8, 6, 1)
    with torch.no_grad():
        convolution.weight.copy_(linear.weight[:, :, None, None])
        convolution.bias.copy_(linear.bias)
    convolution = convolution.to(memory_format=layout)
    x = torch.randn(16, 8)
    for model, data in ((linear, x), (convolution, x[:, :, None, None])):
        train(model, MuonWithAdamW(groups(model), 0.01).step, data, 3)
    torch.testing.assert_close(convolution.weight.flatten(1), linear.weight, rtol=0, atol=1e-4)


def test_every_weight_of_a_model_moves_and_the_classifier_is_adamws():
    model = create_model("ghostnet_thesis", num_classes=7, width=0.25)
    optimizer = make_optimizer(model, RECIPE)
    shapes = {tuple(p.shape) for g in optimizer.param_groups if g["is_matrix"] for p in g["params"]}
    assert tuple(model.classifier.weight.shape) not in shapes
    assert all(shape[2:] in ((), (1, 1)) for shape in shapes)
    before = copy.deepcopy(model)
    images = torch.randn(4, 3, 64, 64)
    loss = nn.functional.cross_entropy(model.train()(images), torch.arange(4))
    loss.backward()
    optimizer.step()
    for (name, parameter), old in zip(model.named_parameters(), before.parameters(), strict=True):
        moved = not torch.equal(parameter, old)
        assert moved == bool(parameter.grad.any()), name


def test_a_frozen_weight_stays_and_learning_rates_are_followed():
    model = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4))
    optimizer = MuonWithAdamW(groups(model), 0.01)
    model[0].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    train(model, optimizer.step, torch.randn(4, 8), 1)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    train(model, optimizer.step, torch.randn(4, 8), 1)
    assert torch.equal(model[0].weight, before["0.weight"])
    assert not torch.equal(model[1].weight, before["1.weight"])


def test_gradients_are_not_kept_twice():
    model = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4))
    optimizer = MuonWithAdamW(groups(model), 0.01)
    train(model, optimizer.step, torch.randn(4, 8), 1)
    assert all(twin.grad is None for twins, _ in optimizer._parts for twin in twins)


def test_its_state_goes_on_where_it_was():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4)), torch.randn(16, 8)
    optimizer = MuonWithAdamW(groups(model), 0.01)
    train(model, optimizer.step, x, 2)
    other = copy.deepcopy(model)
    resumed = MuonWithAdamW(groups(other), 0.5)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(model, optimizer.step, x, 2)
    train(other, resumed.step, x, 2)
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_run_that_stopped_goes_on_to_the_same_weights(drawn, tmp_path, monkeypatch, same_weights):
    recipe = replace(TINY_RECIPE, optimizer=RECIPE)
    whole = finetune(drawn, recipe=recipe, out=tmp_path / "whole")

    from lightcars.training.module import ClassifierModule

    step = ClassifierModule.training_step

    def stop(self, batch, batch_idx):
        if self.current_epoch == 2:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierModule, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            finetune(drawn, recipe=recipe, out=tmp_path / "stopped")
    resumed = finetune(drawn, out=tmp_path / "stopped", resume=True)
    assert same_weights(whole.model, resumed.model)
    assert whole.metrics == resumed.metrics


def test_settings_that_it_does_not_take():
    model = create_model("ghostnet_thesis", num_classes=7, width=0.25)
    with pytest.raises(ConfigError, match="dampening"):
        make_optimizer(model, replace(RECIPE, settings={"dampening": 0.1}))
