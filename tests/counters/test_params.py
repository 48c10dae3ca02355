"""count_params: shared once, frozen on request, buffers never, lazy refused."""

import pytest
import torch
from torch import nn

from lightcars.counters.params import count_params
from lightcars.errors import CountingError


def test_parameters_are_counted_and_buffers_not():
    assert count_params(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))) == 3 * 8 * 9 + 8 + 8 + 8


def test_shared_parameters_count_once():
    layer = nn.Linear(10, 10)
    tied = nn.Linear(10, 10, bias=False)
    tied.weight = layer.weight
    assert count_params(nn.Sequential(layer, layer, tied)) == 110


def test_frozen_parameters_are_left_out_on_request():
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6))
    model[0].requires_grad_(False)
    assert count_params(model) == 25 + 36
    assert count_params(model, trainable_only=True) == 36


def test_model_without_parameters_has_none():
    assert count_params(nn.ReLU()) == 0


def test_any_device_and_precision():
    assert count_params(nn.Linear(10**6, 10**6, bias=False, device="meta").half()) == 10**12


def test_wrapped_models():
    model = nn.Linear(4, 5)
    assert count_params(torch.compile(model, backend="eager")) == 25
    assert count_params(nn.DataParallel(model)) == 25


@pytest.mark.parametrize("trainable_only", [False, True])
def test_lazy_parameter_has_no_count(trainable_only):
    with pytest.raises(CountingError, match=r"^1\.weight has no shape yet .* run one batch"):
        count_params(nn.Sequential(nn.ReLU(), nn.LazyLinear(4)), trainable_only)


@pytest.fixture
def quantized():
    """Turn the linear and recurrent layers of a model into dynamically quantized ones."""
    kinds = {nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell}

    def quantize(model: nn.Module) -> nn.Module:
        return torch.ao.quantization.quantize_dynamic(model, kinds, dtype=torch.qint8)

    return quantize


@pytest.mark.filterwarnings("ignore")  # torch announces the end of its eager quantization
@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(4, 5),
        nn.Linear(4, 5, bias=False),
        nn.LSTM(4, 5, 2, bidirectional=True),
        nn.GRU(4, 5),
        nn.LSTMCell(4, 5),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4, 5)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_quantized_models_have_as_many_parameters(model, quantized):
    model = nn.Sequential(model)
    expected = count_params(model)
    assert count_params(quantized(model)) == expected


@pytest.mark.filterwarnings("ignore")
def test_statically_quantized_models():
    from torchvision.models import mobilenet_v2
    from torchvision.models.quantization import mobilenet_v2 as quantized_mobilenet

    model = quantized_mobilenet(weights=None, quantize=True)
    batch_norms = sum(2 * m.num_features for m in mobilenet_v2().modules() if isinstance(m, nn.BatchNorm2d))
    biases = batch_norms // 2  # which the convolutions take over
    assert count_params(model) == count_params(mobilenet_v2()) - batch_norms + biases
    assert count_params(model, trainable_only=True) == 0


@pytest.mark.filterwarnings("ignore")
def test_quantized_embedding():
    embedding = torch.ao.nn.quantized.Embedding(10, 12)
    assert count_params(nn.Sequential(embedding)) == 120


@pytest.fixture
def one_process(tmp_path):
    """A process group of this process alone."""
    import torch.distributed as dist

    if not dist.is_available():
        pytest.skip("torch is built without torch.distributed")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield dist
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
def test_sharded_parameters_count_whole(one_process):
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    from lightcars.counters.flops import count_flops
    from lightcars.counters.profile import profile

    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    expected = count_params(model), count_flops(model, 8)
    mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
    fully_shard(model[3], mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert isinstance(model[0].weight, DTensor)
    assert (count_params(model), count_flops(model, 8)) == expected
    assert profile(model, 8).flops == expected[1]
    assert isinstance(model[0].weight, DTensor), "it is sharded still"
