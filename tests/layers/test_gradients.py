"""Custom gradients equal torch's, and do not interfere with compilers and function transforms."""

import copy
import warnings
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from functorch.compile import make_boxed_func
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch.autograd import forward_ad

from lightcars.layers import ConvNormAct, ConvStyle, GhostModule, ShuffleV2Unit, SqueezeExcite, depthwise
from lightcars.layers.depthwise import convolve, has_slow_gradients
from lightcars.layers.gradients import interleave_channels, join_channels, spatial_mean

LAYOUTS = [torch.channels_last, torch.contiguous_format]
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=["channels_last", "contiguous"])


@pytest.fixture(autouse=True)
def on_any_cpu(monkeypatch):
    """The arithmetic is right on CPUs too where it is not used."""
    monkeypatch.setattr(depthwise, "_HAS_FAST_KERNELS", True)


def depthwise_of(channels: int, size: int, stride: int, padding: str = "symmetric") -> nn.Conv2d:
    style = ConvStyle(activation=nn.Identity, padding=padding)
    layer = ConvNormAct(channels, channels, kernel_size=size, stride=stride, groups=channels, style=style)
    return layer.conv


def gradients_of(call, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    y = call(*tensors)
    torch.manual_seed(3)
    return torch.autograd.grad(y, tensors, torch.randn_like(y))


def ours_and_torchs(conv: nn.Conv2d, x: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
    """Gradients of input and weight, custom ones and those of `nn.Conv2d` itself."""
    pads = (0, 0, 0, 0)
    if conv.padding == (0, 0):
        pads = (1, 2, 1, 2) if conv.kernel_size[0] == 5 else (0, 1, 0, 1)
    calls = (partial(convolve, conv), conv)
    return [
        gradients_of(lambda x, _weight, call=call: call(F.pad(x, pads)), x, conv.weight) for call in calls
    ]


class Depthwise(nn.Module):
    """A depthwise convolution of 5 x 5, called as blocks call it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = depthwise_of(channels, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return convolve(self.conv, x)


# Depthwise convolutions


SLOW = [
    (torch.float32, 5, 1, "symmetric"),
    (torch.float32, 7, 1, "symmetric"),
    (torch.bfloat16, 3, 2, "symmetric"),
    (torch.bfloat16, 3, 2, "same"),
    (torch.bfloat16, 5, 1, "symmetric"),
    (torch.bfloat16, 5, 2, "symmetric"),
    (torch.bfloat16, 5, 2, "same"),
    (torch.bfloat16, 7, 2, "symmetric"),
]


@every_layout
@pytest.mark.parametrize(("dtype", "size", "stride", "padding"), SLOW, ids=str)
@pytest.mark.parametrize("sides", [(12, 12), (10, 14), (9, 13)], ids=str)
def test_gradients_of_depthwise_convolutions_are_torchs(layout, dtype, size, stride, padding, sides):
    if padding == "same" and sides[0] % 2:
        pytest.skip("the test pads even sizes only")
    torch.manual_seed(0)
    conv = depthwise_of(4, size, stride, padding).to(dtype)
    x = torch.randn(3, 4, *sides).to(dtype).contiguous(memory_format=layout).requires_grad_()
    assert has_slow_gradients(conv, x)
    assert "DepthwiseConv2d" in type(convolve(conv, x).grad_fn).__name__
    for ours, expected in zip(*ours_and_torchs(conv, x), strict=True):
        tolerance = (1e-5 if dtype == torch.float32 else 1e-2) * float(expected.abs().max())
        torch.testing.assert_close(ours, expected, atol=tolerance, rtol=0)


def test_bfloat16_gradients_are_as_accurate_as_torchs():
    torch.manual_seed(0)
    conv = depthwise_of(32, 5, 2).bfloat16()
    exact = copy.deepcopy(conv).double()
    x = torch.randn(4, 32, 28, 28).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
    doubled = x.detach().double().requires_grad_()
    gradient = torch.randn(4, 32, 14, 14).bfloat16()
    truth = torch.autograd.grad(exact(doubled), (doubled, exact.weight), gradient.double())

    def errors(y) -> list[float]:
        found = torch.autograd.grad(y, (x, conv.weight), gradient)
        return [
            float((a.double() - b).abs().max() / b.abs().max()) for a, b in zip(found, truth, strict=True)
        ]

    torchs = errors(conv(x))
    for ours, theirs in zip(errors(convolve(conv, x)), torchs, strict=True):
        assert ours <= 1.5 * theirs


def test_weight_gradients_keep_their_dtype_under_autocast():
    conv = depthwise_of(4, 5, 2)
    x = torch.randn(2, 4, 12, 12, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = convolve(conv, x)
    y.float().square().sum().backward()
    assert y.dtype == torch.bfloat16
    assert "DepthwiseConv2d" in type(y.grad_fn).__name__
    assert x.grad.dtype == conv.weight.grad.dtype == torch.float32


def test_only_slow_convolutions_have_custom_gradients(monkeypatch):
    x = torch.randn(2, 4, 12, 12, requires_grad=True)
    coarse = x.detach().bfloat16().requires_grad_()
    assert has_slow_gradients(depthwise_of(4, 5, 1), x)
    assert not has_slow_gradients(depthwise_of(4, 3, 1), x)
    assert not has_slow_gradients(depthwise_of(4, 3, 2), x)
    assert not has_slow_gradients(depthwise_of(4, 5, 2), x)
    assert not has_slow_gradients(depthwise_of(4, 3, 1).bfloat16(), coarse)
    assert has_slow_gradients(depthwise_of(4, 3, 2).bfloat16(), coarse)
    assert not has_slow_gradients(depthwise_of(4, 5, 1), coarse)  # for torch to refuse
    assert not has_slow_gradients(depthwise_of(4, 5, 1), x.detach())
    assert not has_slow_gradients(
        depthwise_of(4, 5, 1), x[..., :2]
    )  # a part of the kernel would see no pixel
    assert not has_slow_gradients(nn.Conv2d(4, 8, 5, padding=2, groups=4, bias=False), x)
    assert not has_slow_gradients(nn.Conv2d(4, 4, 5, padding=2, groups=2, bias=False), x)
    with torch.no_grad():
        assert not has_slow_gradients(depthwise_of(4, 5, 1), x)
    monkeypatch.setattr(depthwise, "_HAS_FAST_KERNELS", False)
    assert not has_slow_gradients(depthwise_of(4, 5, 1), x)


def test_gradients_of_a_map_of_one_pixel():
    conv = depthwise_of(4, 5, 1)
    x = torch.randn(2, 4, 1, 1, requires_grad=True)
    (of_x, of_weight), expected = ours_and_torchs(conv, x)
    torch.testing.assert_close((of_x, of_weight), expected)


# Means, joined and interleaved channels


@every_layout
@pytest.mark.parametrize("keepdim", [True, False])
def test_spatial_mean(layout, keepdim):
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=layout).requires_grad_()
    assert torch.equal(spatial_mean(x, keepdim=keepdim), x.mean((2, 3), keepdim=keepdim))
    (ours,) = gradients_of(lambda x: spatial_mean(x, keepdim=keepdim), x)
    (expected,) = gradients_of(lambda x: x.mean((2, 3), keepdim=keepdim), x)
    assert torch.equal(ours, expected)
    assert ours.stride()[2:] == (0, 0), "one value for each channel, which fits every memory format"


@every_layout
def test_joined_channels(layout):
    first, second = (
        torch.randn(2, channels, 4, 5).contiguous(memory_format=layout).requires_grad_()
        for channels in (3, 2)
    )
    assert torch.equal(join_channels(first, second), torch.cat([first, second], dim=1))
    ours = gradients_of(lambda *both: join_channels(*both) * weights, first, second)
    expected = gradients_of(lambda *both: torch.cat(both, dim=1) * weights, first, second)
    for one, other in zip(ours, expected, strict=True):
        assert torch.equal(one, other)


@every_layout
def test_interleaved_channels(layout):
    both = [torch.randn(2, 3, 4, 5).contiguous(memory_format=layout).requires_grad_() for _ in range(2)]
    y = interleave_channels(*both)
    assert torch.equal(y, torch.stack(both, dim=2).flatten(1, 2))
    assert y.is_contiguous(memory_format=layout)
    gradient = torch.randn(2, 6, 4, 5).contiguous(memory_format=layout)
    ours = torch.autograd.grad(y, both, gradient)
    expected = gradient.unflatten(1, (3, 2)).unbind(2)
    for one, other in zip(ours, expected, strict=True):
        assert torch.equal(one, other)
        assert one.is_contiguous(memory_format=layout) or layout == torch.contiguous_format


weights = torch.arange(1.0, 6.0).view(1, 5, 1, 1).contiguous(memory_format=torch.channels_last)


def layouts_seen(layer: nn.Module) -> list[bool]:
    """Whether each gradient that a batch norm gets is dense in channels_last layout."""
    seen = []

    def note(_module, _inputs, output):
        output.register_hook(
            lambda gradient: seen.append(
                0 in gradient.stride() or gradient.is_contiguous(memory_format=torch.channels_last)
            )
        )

    for module in layer.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(note)
    x = torch.randn(2, 8, 6, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    (layer(x) * 1.0).square().sum().backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)
    return seen


def test_gradients_keep_the_memory_format():
    linear = ConvStyle(activation=nn.Identity)
    assert layouts_seen(GhostModule(8, 8, style=linear)) == [True, True]
    squeezed = nn.Sequential(ConvNormAct(8, 8, style=linear), SqueezeExcite(8))
    assert layouts_seen(squeezed) == [True]
    assert layouts_seen(ShuffleV2Unit(8, 8, style=linear)) == [True] * 3
    assert layouts_seen(ShuffleV2Unit(8, 8, stride=2, style=linear)) == [True] * 5


# Compilers, exports and function transforms


class Parts(nn.Module):
    """A depthwise convolution, a mean, a join and an interleaving."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = Depthwise(4)
        self.squeeze = SqueezeExcite(4)
        self.ghost = GhostModule(4, 8, style=ConvStyle(activation=nn.Identity))
        self.ghost.eval()
        self.shuffle = ShuffleV2Unit(8, 8, style=ConvStyle(activation=nn.Identity)).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.shuffle(self.ghost(self.squeeze(self.conv(x))))
        return y.square().sum((1, 2, 3))


def test_function_transforms():
    module = Parts()
    x = torch.randn(3, 4, 8, 8)
    parameters = {name: tensor.detach() for name, tensor in module.named_parameters()}
    buffers = dict(module.named_buffers())

    def loss(parameters, image):
        return torch.func.functional_call(module, {**parameters, **buffers}, (image[None],))[0]

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    module(x).sum().backward()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(each[name].sum(0), parameter.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")  # torch's own decompositions
def test_forward_mode_gradients():
    module, x = Parts(), torch.randn(2, 4, 8, 8, requires_grad=True)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(module(forward_ad.make_dual(x, torch.ones_like(x)))).tangent
    (gradient,) = torch.autograd.grad(module(x).sum(), x)
    torch.testing.assert_close(tangent.sum(), gradient.sum(), rtol=1e-4, atol=1e-3)


def test_gradients_of_gradients():
    module, x = Parts().double(), torch.randn(2, 4, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(module.squeeze, (x,))
    ghost = module.ghost
    assert torch.autograd.gradgradcheck(lambda x: ghost(x) ** 2, (x,))
    assert torch.autograd.gradgradcheck(lambda x: interleave_channels(x, x.square()) ** 2, (x,))
    single = depthwise_of(2, 5, 1)
    y = torch.randn(2, 2, 6, 6, requires_grad=True)

    def penalty(call):
        (gradient,) = torch.autograd.grad(call(y).square().sum(), y, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), (y, single.weight))

    ours = penalty(partial(convolve, single))
    expected = penalty(single)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-3)


def test_exports_have_torchs_operators():
    module, x = Parts(), torch.randn(2, 4, 8, 8, requires_grad=True)
    exported = torch.export.export(module, (x,), strict=True).graph_module
    names = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert {"aten.conv2d.default", "aten.mean.dim", "aten.cat.default"} <= names


@pytest.mark.skipif(torch.__version__ < "2.10", reason="torch 2.9 and older compile torch's own gradients")
def test_compiled_training_has_the_fast_gradients_of_convolutions():
    """Compilers choose the memory formats of means and concatenations themselves."""
    module, x = Parts(), torch.randn(2, 4, 8, 8, requires_grad=True)
    module(x).sum().backward()
    expected = [parameter.grad.clone() for parameter in module.parameters()]
    forward, backward = [], []

    def noting(notes):
        def compiler(graph, _inputs):
            notes.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
            return make_boxed_func(graph.forward)

        return compiler

    module.zero_grad()
    torch.compiler.reset()
    backend = aot_autograd(fw_compiler=noting(forward), bw_compiler=noting(backward))
    torch.compile(module, fullgraph=True, backend=backend)(x).sum().backward()
    assert {"aten.mean.dim", "aten.cat.default"} <= set(forward)
    assert "aten.constant_pad_nd.default" in backward  # a part of the kernel of 5
    for parameter, gradient in zip(module.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-4)


# Convolutions without custom gradients


@pytest.mark.parametrize(
    "changes",
    [
        {"padding_mode": "reflect"},
        {"dilation": 2, "padding": 4},
        {"stride": (1, 2)},
        {"kernel_size": (3, 5), "padding": (1, 2)},
        {"padding": (2, 1)},
        {"padding": "same"},
        {"bias": True},
        {"groups": 2},
    ],
    ids=str,
)
def test_other_convolutions_have_torchs_gradients(changes):
    torch.manual_seed(0)
    usual = {"kernel_size": 5, "padding": 2, "groups": 4, "bias": False}
    conv = nn.Conv2d(4, 4, **{**usual, **changes})
    x = torch.randn(2, 4, 18, 18, requires_grad=True)
    torch.testing.assert_close(convolve(conv, x), conv(x), atol=0, rtol=0)
    assert "DepthwiseConv2d" not in type(convolve(conv, x).grad_fn).__name__


def test_settings_that_change_later_and_inputs_without_a_batch():
    conv = depthwise_of(4, 5, 1)
    x = torch.randn(4, 18, 18, requires_grad=True)
    assert convolve(conv, x).shape == (4, 18, 18)
    conv.dilation, conv.padding = (2, 2), (4, 4)
    assert convolve(conv, x[None]).shape == (1, 4, 18, 18)


def test_autocast_leaves_float64_alone():
    conv = depthwise_of(4, 5, 1).double()
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.randn(1, 4, 8, 8, dtype=torch.float64, requires_grad=True)
        assert convolve(conv, x).dtype == torch.float64


@pytest.mark.parametrize("strict", [True, False])
def test_an_exported_program_has_torchs_operators_and_trains(strict):
    layers = nn.Sequential(Depthwise(4), GhostModule(4, 8), SqueezeExcite(8))
    x = torch.randn(2, 4, 16, 16)
    program = torch.export.export(layers, (x,), strict=strict)
    program.module()(x).sum().backward()
    assert not [node for node in program.graph.nodes if "wrap" in node.name or "autograd" in node.name]


def test_jit_traces_have_torchs_operators():
    layers = nn.Sequential(Depthwise(4), GhostModule(4, 8), SqueezeExcite(8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        traced = torch.jit.trace(layers, torch.randn(2, 4, 16, 16), check_trace=False)
    assert "PythonOp" not in str(traced.inlined_graph)
    assert "^_" not in str(traced.inlined_graph)
