"""inputs: shapes and tensors of any rank, several of them, by position, by name and in lists."""

import pytest
import torch
from torch import Tensor, nn

from lightcars.counters.flops import count_flops
from lightcars.counters.inputs import Shape, read_inputs
from lightcars.counters.profile import profile
from lightcars.errors import InputError
from lightcars.zoo import ghostnet


class Two(nn.Module):
    """Takes features and tokens, and an option."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.embedding = nn.Linear(8, 4), nn.Embedding(10, 4)

    def forward(self, features: Tensor, tokens: Tensor, *, twice: bool = False) -> Tensor:
        y = self.linear(features)
        y = self.linear(features) + y if twice else y
        return y + self.embedding(tokens)


TOKENS = torch.zeros(3, dtype=torch.long)


@pytest.mark.parametrize(
    ("inputs", "macs"),
    [
        (((3, 8), TOKENS), 96),
        (([3, 8], TOKENS.to("meta")), 96),
        ((torch.rand(3, 8), TOKENS), 96),
        ({"features": (3, 8), "tokens": TOKENS}, 96),
        ({"tokens": TOKENS, "features": torch.rand(3, 8), "twice": True}, 192),
    ],
)
def test_several_inputs(inputs, macs):
    assert count_flops(Two(), inputs=inputs) == macs
    assert profile(Two(), inputs=inputs).flops == macs


@pytest.mark.parametrize("inputs", [(5, 8), [5, 8], torch.Size([5, 8]), torch.rand(5, 8), ((5, 8),)])
def test_one_input(inputs):
    assert count_flops(nn.Linear(8, 4), inputs=inputs) == 160
    assert count_flops(nn.Linear(8, 4), inputs=inputs, engine="fvcore") == 160


@pytest.mark.parametrize(
    "inputs", [[(2, 8), (3, 8)], ([(2, 8), torch.rand(3, 8)],), {"parts": [(2, 8), (3, 8)]}]
)
def test_a_list_is_one_input(inputs):
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 4)

        def forward(self, parts: list[Tensor]) -> Tensor:
            assert isinstance(parts, list)
            return torch.cat([self.linear(part) for part in parts])

    assert count_flops(Parts(), inputs=inputs) == 160


def test_inputs_of_the_same_precision_as_the_model():
    assert count_flops(nn.Linear(8, 4).bfloat16(), inputs=(5, 8)) == 160
    assert profile(nn.Linear(8, 4, bias=False).double(), inputs=(5, 8)).peak_bytes == 8 * (32 + 40 + 20)


def test_no_input_at_all():
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 4)

        def forward(self) -> Tensor:
            return self.linear(torch.ones(8))

    assert count_flops(Constant(), inputs={}) == 32
    assert profile(Constant(), inputs={}).input_shape == ()


def test_inputs_are_only_read():
    features = torch.rand(3, 8, requires_grad=True)
    before = features.clone()
    profile(Two(), inputs=(features, TOKENS), backward=True)
    assert features.grad is None
    assert torch.equal(features, before)


def test_profile_tells_all_shapes():
    p = profile(Two(), inputs={"features": (3, 8), "tokens": TOKENS})
    assert p.input_shape == (3, 8)
    assert p.input_shapes == ((3, 8), (3,))
    assert "3 x 8, 3" in p.to_text()
    assert profile(ghostnet(width=0.1), 64).input_shapes == ((1, 3, 64, 64),)


def test_latency_of_several_inputs():
    latency = profile(Two(), inputs=((3, 8), TOKENS.to("meta")), latency=True).latency
    assert latency is not None
    assert latency.images_per_second == pytest.approx(3000 / latency.median_ms)


@pytest.mark.parametrize(
    "inputs",
    [[], "8", 8, {8}, (0, 8), (-1, 8), ((3, 8), {4}), object(), ((3, 8), [])],
    ids=["nothing", "text", "number", "set", "zero", "negative", "set inside", "object", "nothing inside"],
)
def test_invalid_inputs(inputs):
    with pytest.raises(InputError, match=r"inputs must be|a shape in inputs must be"):
        count_flops(nn.Linear(8, 4), inputs=inputs)


def test_input_size_and_inputs_exclude_each_other():
    with pytest.raises(InputError, match="either input_size or inputs, not both"):
        count_flops(ghostnet(width=0.1), 64, inputs=(1, 3, 64, 64))


@pytest.mark.parametrize("size", [torch.rand(1, 3, 8, 8), [torch.rand(3, 8, 8)]], ids=["tensor", "list"])
def test_tensors_as_input_size(size):
    with pytest.raises(
        InputError, match="input_size takes integers; pass tensors and shapes of any rank as inputs"
    ):
        count_flops(nn.Conv2d(3, 4, 1), size)


def test_fvcore_takes_no_names():
    with pytest.raises(InputError, match="engine='fvcore' takes positional inputs only"):
        count_flops(nn.Linear(8, 4), inputs={"input": (5, 8)}, engine="fvcore")


def test_shapes_and_tensors_stay_apart():
    given = read_inputs(nn.Identity(), None, ((3, 8), TOKENS, None, {"a": [(1, 2)]}))
    assert given.args == (Shape((3, 8)), TOKENS, None, {"a": [Shape((1, 2))]})
    assert given.shapes == ((3, 8), (3,), (1, 2))
