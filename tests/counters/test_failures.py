"""Models that cannot be counted say why, where, and what to do, in one line."""

import re

import pytest
import torch
from torch import Tensor, nn

from lightcars.counters.flops import count_flops
from lightcars.counters.profile import profile
from lightcars.errors import CountingError

both_counts = pytest.mark.parametrize("count", [count_flops, profile])


class Reads(nn.Module):
    """Its forward depends on the values of a tensor."""

    def __init__(self, read) -> None:
        super().__init__()
        self.read = read

    def forward(self, x: Tensor) -> object:
        return self.read(x)


@both_counts
@pytest.mark.parametrize(
    "read",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: int(x.sum()),
        lambda x: x.tolist(),
        torch.unique,
    ],
)
def test_values_that_are_read(count, read):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(Reads(read)))
    with pytest.raises(CountingError) as error:
        count(model, 8)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("Sequential cannot be counted: its forward reads the values of a tensor")
    assert "in 1.0 (Reads)" in message
    assert message.endswith("count the part of the model whose operations do not depend on values.")


@both_counts
def test_operator_that_has_no_implementation_for_shapes(count):
    with pytest.raises(CountingError, match="an operator that has no implementation for shapes alone"):
        count(Reads(lambda x: torch.linalg.lstsq(x, x)), inputs=(3, 3))


@both_counts
def test_attention_that_needs_a_device(count):
    from torch.nn.attention.flex_attention import flex_attention

    sequence = (1, 2, 128, 16)
    with pytest.raises(CountingError, match="an operator that has no implementation for shapes alone"):
        count(Reads(lambda x: flex_attention(x, x, x)), inputs=sequence)


@both_counts
def test_packed_sequences(count):
    """Their lengths are values of a tensor."""
    packed = nn.utils.rnn.pack_padded_sequence(torch.rand(5, 2, 4), [5, 3])
    with pytest.raises(CountingError, match=r"reads the values of a tensor|on a fixed device"):  # torch 2.6
        count(nn.LSTM(4, 4), inputs=(packed,))


@both_counts
def test_inputs_that_are_missing(count):
    with pytest.raises(CountingError, match=r"more inputs than it was given .* give all of them as inputs"):
        count(nn.Bilinear(3, 4, 5), inputs=(2, 3))


@both_counts
def test_tokens_that_are_not_integers(count):
    if torch.__version__.startswith("2.7."):
        pytest.skip("torch 2.7 looks up tokens of any type on the meta device")
    with pytest.raises(CountingError, match=r"an embedding takes integers, in 0 \(Embedding\) .*torch\.long"):
        count(nn.Sequential(nn.Embedding(10, 4)), inputs=(2, 7))


@both_counts
def test_tensors_on_a_fixed_device(count):
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.ones(8, device=torch.zeros(1, device="cpu").device)

    with pytest.raises(CountingError, match=r"tensors on a fixed device .*use the device of the input"):
        count(Fixed(), inputs=(2, 8))


@both_counts
def test_input_that_does_not_fit(count):
    with pytest.raises(
        CountingError, match=r"fails on this input, in 1 \(Linear\) .*check input_size or inputs"
    ):
        count(nn.Sequential(nn.ReLU(), nn.Linear(4, 5)), inputs=(2, 3))


@both_counts
def test_detection_models(count):
    """Their backbone could be counted; which boxes are left depends on the image."""
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    with torch.device("meta"):
        model = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
    for given in ({"inputs": [(3, 320, 320)]}, {"input_size": 320}):
        with pytest.raises(CountingError, match=r"reads the values of a tensor.*, in rpn \(") as error:
            count(model, **given)
        assert "\n" not in str(error.value)
    assert count(model.backbone, 320) is not None


@pytest.mark.filterwarnings("ignore")  # torch announces the end of quantized tensors
@both_counts
def test_quantized_models(count):
    model = torch.ao.nn.quantized.dynamic.Linear(3, 4)
    with pytest.raises(CountingError, match=r"quantized operators .*count the model before its quantization"):
        count(model, inputs=(2, 3))


def test_long_reasons_are_cut():
    def fail(_x: Tensor) -> None:
        raise ValueError("wrong " * 200 + "\nmore")

    with pytest.raises(CountingError) as error:
        count_flops(Reads(fail), inputs=(2, 3))
    assert re.search(r"\(ValueError: (wrong )+w?\S*\.\.\.\)", str(error.value))
    assert len(str(error.value)) < 400
