"""BlockSequence: gradient checkpointing changes no result, `collect` returns the chosen maps."""

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


def test_recomputing_allows_two_backward_passes():
    sequence = blocks().train()
    sequence.recompute = True
    loss = sequence(torch.randn(6, 4, 9, 9)).square().sum()
    loss.backward(retain_graph=True)
    first = [parameter.grad.clone() for parameter in sequence.parameters()]
    loss.backward()
    for gradient, parameter in zip(first, sequence.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, 2 * gradient)
    assert {int(b) for name, b in sequence.named_buffers() if name.endswith("num_batches_tracked")} == {1}


def test_recomputing_leaves_frozen_norms_alone():
    sequence = blocks().train()
    sequence.recompute = True
    frozen = sequence[1].project.norm.eval()
    before = {name: tensor.clone() for name, tensor in frozen.named_buffers()}
    sequence(torch.randn(6, 4, 9, 9)).sum().backward()
    for name, tensor in frozen.named_buffers():
        assert torch.equal(tensor, before[name]), name


def test_recomputing_compiles():
    sequence = BlockSequence(MBConv(4, 8, stride=2), MBConv(8, 8)).train()
    plain = copy.deepcopy(sequence)
    sequence.recompute = True
    x = torch.randn(6, 4, 9, 9)
    torch.compiler.reset()
    torch.compile(sequence, fullgraph=True, backend="aot_eager")(x).square().sum().backward()
    plain(x).square().sum().backward()
    for ours, theirs in zip(sequence.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-4, rtol=1e-4)
    for ours, theirs in zip(sequence.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


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


def test_collect_returns_the_outputs_of_the_blocks():
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
