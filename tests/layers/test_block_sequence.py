"""BlockSequence: gradient checkpointing changes no result, `collect` gives the maps asked for."""

import copy

import pytest
import torch
from torch import nn

from lightcars.layers import BlockSequence, DropPath, MBConv


def blocks() -> BlockSequence:
    return BlockSequence(MBConv(4, 8, stride=2), MBConv(8, 8, drop_path=0.5), DropPath(0.3), MBConv(8, 12))


def gradients(sequence: BlockSequence, x: torch.Tensor) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    torch.manual_seed(3)
    sequence(x).square().sum().backward()
    return [x.grad, *(parameter.grad for parameter in sequence.parameters())]


def test_recomputing_gives_equal_gradients():
    plain = blocks().train()
    recomputing = copy.deepcopy(plain)
    recomputing.recompute = True
    x = torch.randn(6, 4, 9, 9)
    for ours, theirs in zip(gradients(recomputing, x), gradients(plain, x), strict=True):
        assert torch.equal(ours, theirs)


def test_recomputing_updates_the_statistics_once():
    plain = blocks().train()
    recomputing = copy.deepcopy(plain)
    recomputing.recompute = True
    x = torch.randn(6, 4, 9, 9)
    gradients(recomputing, x)
    gradients(plain, x)
    for (name, ours), theirs in zip(recomputing.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs), name


@pytest.mark.parametrize("recompute", [False, True])
def test_recomputing_runs_each_block_once_more_in_training_only(recompute):
    sequence = blocks()
    sequence.recompute = recompute
    calls = []
    sequence[1].register_forward_pre_hook(lambda *_: calls.append(1))
    sequence.train()(torch.randn(2, 4, 9, 9)).sum().backward()
    assert len(calls) == 1 + recompute
    sequence.eval()(torch.randn(2, 4, 9, 9)).sum().backward()
    assert len(calls) == 2 + recompute


def test_collect_gives_what_the_blocks_give():
    sequence = blocks().eval()
    x = torch.randn(2, 4, 9, 9)
    maps, y = [], x
    for block in sequence:
        y = block(y)
        maps.append(y)
    for ours, theirs in zip(sequence.collect(x, [1, 2, 3]), maps[1:], strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(sequence(x), maps[-1])
    assert sequence.collect(x, []) == []


def test_names_are_those_of_a_plain_sequence():
    sequence = blocks()
    assert sequence.state_dict().keys() == nn.Sequential(*sequence).state_dict().keys()
