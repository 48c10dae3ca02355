"""count_flops: exact against formulas and brute force, both engines agreeing, for any kind of model."""

import itertools
import warnings

import pytest
import torch
from torch import Tensor, nn

from lightcars.counters.flops import count_flops
from lightcars.counters.profile import profile
from lightcars.errors import CountingError, InputError
from lightcars.models.registry import MODELS
from lightcars.zoo import create_model, ghostnet
from tests.contracts.models import every_model, full

ENGINES = ["torch", "fvcore"]
both_engines = pytest.mark.parametrize("engine", ENGINES)


class FirstOutput(nn.Module):
    """Returns the first of a module's outputs."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)[0]


# Input sizes


@pytest.mark.parametrize("size", [64, (64, 64), [64, 64], (1, 3, 64, 64), torch.Size([1, 3, 64, 64])])
def test_forms_of_the_input_size(size):
    assert count_flops(ghostnet(), size) == count_flops(ghostnet(resolution=64))


def test_height_width_and_batch():
    model = nn.Conv2d(3, 5, 1, bias=False)
    assert count_flops(model, (7, 11)) == 7 * 11 * 15
    assert count_flops(model, (4, 3, 7, 11)) == 4 * 7 * 11 * 15


def test_channels_come_from_the_first_convolution_or_the_config():
    assert count_flops(nn.Sequential(nn.ReLU(), nn.Conv2d(7, 2, 1)), 10) == 7 * 2 * 100
    assert count_flops(ghostnet(img_channels=1), 64) < count_flops(ghostnet(), 64)


@both_engines
@pytest.mark.parametrize(
    "size",
    [0, -1, True, (0, 64), (64, 64.0), ("64", 64), "224", (64,), (3, 64, 64), (1, 1, 3, 64, 64), (), {64}],
)
def test_invalid_input_size(size, engine):
    with pytest.raises(InputError, match="input_size must be"):
        count_flops(ghostnet(width=0.1, device="meta"), size, engine=engine)


@pytest.mark.parametrize("size", [224.0, 1e3])
def test_input_size_that_is_not_an_integer(size):
    with pytest.raises(InputError, match="input_size must be"):
        count_flops(ghostnet(width=0.1, device="meta"), size)


def test_model_without_an_input_size_of_its_own():
    with pytest.raises(
        InputError, match=r"Conv2d has no input size of its own; give input_size .* or inputs"
    ):
        count_flops(nn.Conv2d(3, 4, 3))


def test_model_without_a_convolution_that_gives_its_channels():
    with pytest.raises(InputError, match=r"Linear has no 2d convolution .* \(N, C, H, W\), or inputs"):
        count_flops(nn.Linear(3, 4), 224)


@both_engines
def test_wrong_number_of_channels(engine):
    with pytest.raises(InputError, match="images of shape"):
        count_flops(ghostnet(width=0.1), (1, 4, 64, 64), engine=engine)


def test_unknown_engine():
    with pytest.raises(InputError, match="engine must be 'torch' or 'fvcore', not 'onnx'"):
        count_flops(ghostnet(width=0.1), engine="onnx")


# Formulas


@both_engines
@pytest.mark.parametrize(
    ("module", "shape", "flops"),
    [
        (nn.Conv2d(3, 8, 3), (2, 3, 9, 10), 2 * 7 * 8 * 3 * 8 * 9),
        (nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), (1, 3, 9, 10), 5 * 5 * 3 * 8 * 9),
        (nn.Conv2d(6, 6, (3, 5), groups=6, padding=(1, 2)), (1, 6, 9, 10), 9 * 10 * 6 * 15),
        (nn.Conv2d(8, 4, 3, dilation=2, groups=2), (1, 8, 9, 10), 5 * 6 * 4 * 4 * 9),
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 5), 5 * 5 * 4 * 6 * 9),
        (nn.Linear(10, 7), (1, 1, 1, 10), 70),
        (nn.Linear(10, 7, bias=False), (2, 3, 4, 10), 24 * 70),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.AvgPool2d(2)), (1, 3, 8, 8), 0),
    ],
    ids=lambda value: str(value) if isinstance(value, nn.Module) else None,
)
def test_layers(module, shape, flops, engine):
    assert count_flops(module, shape, engine=engine) == flops


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (3, 1), (2, 2)])
def test_lstm(layers, directions, batch_first):
    lstm = nn.LSTM(10, 20, layers, bidirectional=directions == 2, batch_first=batch_first)
    inputs = [10] + [20 * directions] * (layers - 1)
    per_step = sum(directions * 4 * 20 * (features + 20) for features in inputs)
    assert count_flops(lstm, inputs=(7, 3, 10)) == 7 * 3 * per_step


N, L, E = 3, 7, 32
ATTENTION = N * (4 * L * E * E + 2 * L * L * E)
"""Query, key, value and output projections; then scores and their weighted sum of values."""


@pytest.mark.parametrize("need_weights", [False, True])
def test_multihead_attention(need_weights):
    attention = nn.MultiheadAttention(E, 4, batch_first=True)
    one = (N, L, E)
    inputs = {"query": one, "key": one, "value": one, "need_weights": need_weights}
    assert count_flops(attention, inputs=inputs) == ATTENTION


@pytest.mark.parametrize("training", [False, True])
def test_transformer_encoder_layer(training):
    layer = nn.TransformerEncoderLayer(E, 4, 64, batch_first=True).train(training)
    expected = ATTENTION + N * 2 * L * E * 64
    assert count_flops(layer, inputs=(N, L, E)) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch on nested tensors
        encoder = nn.TransformerEncoder(layer, 2)
    assert count_flops(encoder, inputs=(N, L, E)) == 2 * expected


def test_fvcore_leaves_fused_attention_out_but_no_linear_layer():
    layer = nn.TransformerEncoderLayer(E, 4, 64, batch_first=True)
    expected = N * (4 * L * E * E + 2 * L * E * 64)
    assert count_flops(layer, inputs=(N, L, E), engine="fvcore") == expected


def test_fast_path_of_attention_is_off_while_counting_only():
    """Its fused operators have no count."""

    class Switch(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            assert not torch.backends.mha.get_fastpath_enabled()
            return super().forward(x)

    for enabled in (True, False):
        torch.backends.mha.set_fastpath_enabled(enabled)
        count_flops(Switch(3, 4, 3), 8)
        assert torch.backends.mha.get_fastpath_enabled() is enabled
    torch.backends.mha.set_fastpath_enabled(True)


# Backward passes, against brute force


def brute_force(layer: nn.Module, size: tuple[int, int]) -> int:
    """Multiplications of one image, by walking over every output, weight and position."""
    height, width = size
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = layer.kernel_size, layer.stride, layer.padding, layer.dilation
    pairs = layer.in_channels * layer.out_channels // layer.groups
    if isinstance(layer, nn.ConvTranspose2d):  # every input meets every weight
        return sum(pairs for _ in itertools.product(range(height), range(width), range(kh), range(kw)))
    rows = range(0, height + 2 * ph - dh * (kh - 1), sh)
    columns = range(0, width + 2 * pw - dw * (kw - 1), sw)
    return sum(pairs for _ in itertools.product(rows, columns, range(kh), range(kw)))


CONVOLUTIONS = [
    nn.Conv2d(8, 8, 3, padding=1),
    nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
    nn.Conv2d(8, 16, 3, padding=1, groups=8),
    nn.Conv2d(8, 12, 3, groups=4),
    nn.Conv2d(8, 12, (3, 5), stride=(2, 1), padding=(1, 2)),
    nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8, bias=False),
    nn.Conv2d(8, 4, 3, dilation=2, groups=2),
    nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1),
    nn.ConvTranspose2d(8, 8, 4, stride=2, groups=8, output_padding=1),
    nn.ConvTranspose2d(8, 6, 3, groups=2, dilation=2),
]


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_backward_of_convolutions(layer):
    """Three times the forward pass: itself, the input's gradient, the weight's gradient."""
    size = (9, 11)
    one = brute_force(layer, size)
    first = nn.Conv2d(3, 8, 1, bias=False)  # without it the input would need no gradient
    forward = 99 * 24
    model = nn.Sequential(first, layer)
    for batch in (1, 3):
        shape = (batch, 3, *size)
        assert count_flops(model, shape) == batch * (forward + one)
        assert profile(model, shape, backward=True).flops == batch * (2 * forward + 3 * one)


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_backward_without_the_inputs_or_the_weights_gradient(layer):
    size = (9, 11)
    one = brute_force(layer, size)
    assert profile(layer, (2, 8, *size), backward=True).flops == 2 * 2 * one
    frozen = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), layer)
    frozen[1].weight.requires_grad_(False)
    try:
        assert profile(frozen, (2, 8, *size), backward=True).flops == 2 * 2 * (99 * 64 + one)
    finally:
        layer.weight.requires_grad_(True)


def test_backward_stops_at_a_frozen_stem():
    model = ghostnet(width=0.25, num_classes=5)
    everything = profile(model, 64, backward=True)
    model.stem.requires_grad_(False)
    model.blocks.requires_grad_(False)
    model.head.requires_grad_(False)
    model.neck.requires_grad_(False)
    part = profile(model, 64, backward=True)
    classifier = 1280 * 5
    assert part.flops == profile(model, 64).flops + classifier, "only the weight's gradient of the last layer"
    assert everything.flops > 2.9 * profile(model, 64).flops
    assert part.num_trainable_params == classifier + 5


def test_backward_of_linear_and_lstm():
    linear = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    assert profile(linear, (2, 3, 4, 10), backward=True).flops == 24 * (2 * 200 + 3 * 100)
    lstm = FirstOutput(nn.LSTM(10, 20))
    forward, to_input, to_first_state = 7 * 3 * 80 * 30, 7 * 3 * 80 * 10, 3 * 80 * 20
    expected = 3 * forward - to_input - to_first_state
    assert profile(lstm, inputs=(7, 3, 10), backward=True).flops == expected


# Both engines


@every_model
def test_engines_agree_on_every_model(variant):
    model = full(variant)
    for size in ((2, 3, 64, 64), (75, 61)):
        assert count_flops(model, size) == count_flops(model, size, engine="fvcore")


@pytest.mark.slow
@every_model
def test_engines_agree_at_the_models_resolution(variant):
    model = full(variant)
    assert count_flops(model, engine="fvcore") == count_flops(model) == MODELS[variant].flops


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("resnet18", 1_814_073_344),
        ("mobilenet_v3_large", 216_589_760),
        ("shufflenet_v2_x1_0", 144_907_992),
        ("squeezenet1_1", 349_151_936),
    ],
)
def test_engines_agree_on_torchvisions_models(name, flops):
    import torchvision

    model = torchvision.models.get_model(name, weights=None)
    assert count_flops(model, 224) == flops
    assert count_flops(model, 224, engine="fvcore") == flops


# Kinds of models


@both_engines
@pytest.mark.parametrize("training", [False, True])
def test_counts_the_evaluation_pass(training, engine):
    class TwoModes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.extra = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x) + self.extra(x) if self.training else self.conv(x)

    assert count_flops(TwoModes().train(training), 10, engine=engine) == 1200


@both_engines
def test_compiled_models(engine):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    expected = count_flops(model, 8, engine=engine)
    assert expected == 36 * 108
    assert count_flops(torch.compile(model, backend="eager"), 8, engine=engine) == expected
    part = nn.Sequential(torch.compile(nn.Conv2d(3, 4, 3), backend="eager"), nn.ReLU())
    assert count_flops(part, 8, engine=engine) == expected
    model.compile(backend="eager")
    assert count_flops(model, 8, engine=engine) == expected
    model(torch.randn(1, 3, 8, 8))
    assert count_flops(model, 8, engine=engine) == expected
    torch.compiler.reset()


def test_exported_models():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5)).eval()
    exported = torch.export.export(model, (torch.zeros(1, 3, 8, 8),)).module()
    assert count_flops(exported, inputs=(1, 3, 8, 8)) == 36 * 108 + 144 * 5


@both_engines
def test_parallel_models(engine):
    model = ghostnet(width=0.25, resolution=64)
    expected = count_flops(model, engine=engine)
    assert count_flops(nn.DataParallel(model), engine=engine) == expected
    assert count_flops(torch.compile(nn.DataParallel(model), backend="eager"), engine=engine) == expected
    assert count_flops(nn.Sequential(nn.DataParallel(model)), 64, engine=engine) == expected


@both_engines
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision(dtype, engine):
    model = ghostnet(width=0.25, resolution=64)
    expected = count_flops(model)
    assert count_flops(model.to(dtype), engine=engine) == expected


@both_engines
def test_models_on_meta(engine):
    assert count_flops(ghostnet(width=0.25, resolution=64, device="meta"), engine=engine) == count_flops(
        ghostnet(width=0.25, resolution=64)
    )


def normed(norm) -> nn.Module:
    return nn.Sequential(norm(nn.Conv2d(3, 4, 3)), nn.Flatten(), norm(nn.Linear(144, 5)))


@both_engines
def test_weight_norm_old_and_new(engine):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of the old one
        models = [normed(nn.utils.weight_norm), normed(nn.utils.parametrizations.weight_norm)]
    for model in models:
        assert_counted_and_unchanged(model, 36 * 108 + 144 * 5, engine)


@both_engines
def test_spectral_norm_old_and_new(engine):
    """It computes u.Wv of each weight in every pass; fvcore counts neither product."""
    norms = (108 + 4) + (720 + 5) if engine == "torch" else 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of the old one
        models = [normed(nn.utils.spectral_norm), normed(nn.utils.parametrizations.spectral_norm)]
    for model in models:
        assert_counted_and_unchanged(model, 36 * 108 + 144 * 5 + norms, engine)


def assert_counted_and_unchanged(model: nn.Module, flops: int, engine: str) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert count_flops(model, 8, engine=engine) == flops
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_pruned_model():
    from torch.nn.utils import prune

    model = nn.Sequential(prune.l1_unstructured(nn.Conv2d(3, 4, 3), "weight", 0.5))
    assert count_flops(model, 8) == 36 * 108


@both_engines
def test_shared_modules_count_at_each_call(engine):
    layer = nn.Conv2d(4, 4, 3, padding=1)
    assert count_flops(nn.Sequential(layer, nn.Sequential(layer), layer), 8, engine=engine) == 3 * 64 * 144


def test_module_that_holds_others_in_a_list():
    class Branches(nn.Module):
        def __init__(self, first: nn.Module) -> None:
            super().__init__()
            self.first = first
            self.second = nn.Conv2d(4, 4, 1)
            self.in_order = [self.first, self.second]

        def forward(self, x: Tensor) -> Tensor:
            for module in self.in_order:
                x = module(x)
            return x

    assert count_flops(Branches(nn.Conv2d(3, 4, 1)), 10) == 100 * (12 + 16)


def test_forward_replaced_on_the_instance():
    import types

    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))
    model.forward = types.MethodType(lambda self, x: self[0](x), model)
    assert count_flops(model, 10) == 1200


class KeywordNorm(nn.Module):
    """Calls its norm as `norm(input=...)`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(input=self.conv(x))


@pytest.mark.parametrize(
    "engine",
    [
        "torch",
        "fvcore",
    ],
)
def test_norm_called_with_a_keyword(engine):
    assert count_flops(KeywordNorm(), 10, engine=engine) == 1200


@both_engines
def test_lazy_modules_have_no_count(engine):
    with pytest.raises(CountingError, match="has no shape yet"):
        count_flops(nn.Sequential(nn.LazyConv2d(4, 3)), (1, 3, 8, 8), engine=engine)


def test_large_models_need_no_memory(no_real_memory):
    linear = nn.Sequential(nn.Linear(200_000, 200_000, device="meta"))
    with no_real_memory():
        assert count_flops(linear, (1, 1, 1, 200_000)) == 200_000**2
        assert profile(linear, (1, 1, 1, 200_000)).flops == 200_000**2
        assert profile(linear, (1, 1, 1, 200_000), backward=True).flops == 2 * 200_000**2


def test_models_with_weights_are_not_copied(no_real_memory):
    model = create_model("efficientnet_b0")
    with no_real_memory(limit_bytes=0):
        assert count_flops(model) == MODELS["efficientnet_b0"].flops
        profile(model, (64, 3, 224, 224), backward=True)
