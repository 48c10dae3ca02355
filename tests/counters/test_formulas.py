"""Every formula against arithmetic, and every product without one named."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import flop_counter
from torchvision.ops import DeformConv2d, deform_conv2d

from lightcars.counters.counter import MacCounter
from lightcars.counters.flops import count_flops
from lightcars.counters.formulas import formula_of, multiplies_uncounted, qualified_name
from lightcars.counters.profile import profile
from lightcars.errors import CountingWarning


class Call(nn.Module):
    """A module that calls a function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


N, P, R, M, K = 2, 30, 50, 4, 5


@pytest.mark.parametrize(
    ("function", "shapes", "macs"),
    [
        (torch.mv, ((P, M), (M,)), P * M),
        (torch.addmv, ((P,), (P, M), (M,)), P * M),
        (torch.dot, ((M,), (M,)), M),
        (torch.vdot, ((M,), (M,)), M),
        (torch.matmul, ((M,), (M,)), M),
        (torch.matmul, ((N, P, M), (M,)), N * P * M),
        (torch.matmul, ((P, M), (N, M, K)), N * P * M * K),
        (torch.inner, ((N, M), (P, M)), N * P * M),
        (torch.addr, ((P, M), (P,), (M,)), P * M),
        (torch.mm, ((P, M), (M, K)), P * M * K),
        (torch.addmm, ((P, K), (P, M), (M, K)), P * M * K),
        (lambda c, a, b: c.addmm_(a, b), ((P, K), (P, M), (M, K)), P * M * K),
        (torch.bmm, ((N, P, M), (N, M, K)), N * P * M * K),
        (torch.addbmm, ((P, K), (N, P, M), (N, M, K)), N * P * M * K),
        (lambda c, a, b: c.addbmm_(a, b), ((P, K), (N, P, M), (N, M, K)), N * P * M * K),
        (torch.baddbmm, ((N, P, K), (N, P, M), (N, M, K)), N * P * M * K),
        (lambda c, a, b: c.baddbmm_(a, b), ((N, P, K), (N, P, M), (N, M, K)), N * P * M * K),
        (lambda a, b: torch.tensordot(a, b, 2), ((N, P, M), (P, M, K)), N * P * M * K),
        (lambda *m: torch.linalg.multi_dot(m), ((2, 3), (3, 100), (100, 4)), 3 * 100 * 4 + 2 * 3 * 4),
        (lambda a: torch.linalg.matrix_power(a, 3), ((M, M),), 2 * M**3),
        (torch.conv_tbc, ((P, N, M), (3, M, K), (K,)), (P - 2) * N * 3 * M * K),
    ],
)
def test_matrix_products(function, shapes, macs):
    assert count_flops(Call(function), inputs=shapes) == macs


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("nct,ncp->ntp", ((1, 5, 2), (1, 5, 12)), 5 * 2 * 12),
        ("ntg,ncg->nct", ((1, 2, 6), (1, 5, 6)), 2 * 6 * 5),
        ("nc,nchw->hw", ((3, 4), (3, 4, 2, 3)), 3 * 4 * 2 * 3),
        ("bi,bi->b", ((N, M), (N, M)), N * M),
        ("i,i->", ((M,), (M,)), M),
        ("bi,oij,bj->bo", ((N, M), (3, M, K), (N, K)), N * 3 * M * K + N * 3 * K),
    ],
)
def test_einsum(equation, shapes, macs):
    assert count_flops(Call(lambda *operands: torch.einsum(equation, *operands)), inputs=shapes) == macs


def test_bilinear_counts_as_its_einsum():
    bilinear = nn.Bilinear(3, 5, 7)
    expected = N * 7 * 5 * (3 + 1)
    assert count_flops(bilinear, inputs=((N, 3), (N, 5))) == expected
    assert count_flops(bilinear, inputs=((N, 6, 3), (N, 6, 5))) == 6 * expected
    equation = Call(lambda a, w, b: torch.einsum("bi,oij,bj->bo", a, w, b))
    assert count_flops(equation, inputs=((N, 3), (7, 3, 5), (N, 5))) == expected


def test_backward_of_bilinear():
    """The gradients of weight and inputs are products of three tensors too."""
    forward = N * 7 * 5 * (3 + 1)
    model = nn.Bilinear(3, 5, 7, bias=False)
    assert profile(model, inputs=((N, 3), (N, 5)), backward=True).flops > forward


@pytest.mark.parametrize("rows", [(3, 5), (P, R)], ids=["direct", "by a product"])
@pytest.mark.parametrize(("p", "products"), [(2.0, 1), (3.0, 1), (1.0, 0), (0.0, 0), (math.inf, 0)])
def test_distances(p, products, rows):
    """One squared difference per pair and feature, however torch computes it."""
    first, second = rows
    model = Call(lambda a, b: torch.cdist(a, b, p=p))
    assert count_flops(model, inputs=((first, M), (second, M))) == products * first * second * M
    assert count_flops(model, inputs=((N, first, M), (N, second, M))) == products * N * first * second * M


def test_distances_within_one_set():
    assert count_flops(Call(F.pdist), inputs=(P, M)) == P * (P - 1) // 2 * M
    assert count_flops(Call(lambda x: F.pdist(x, 1.0)), inputs=(P, M)) == 0


def test_backward_of_distances():
    class Prototypes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.points = nn.Parameter(torch.zeros(5, M))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cdist(x, self.points)

    forward = 3 * 5 * M
    assert profile(Prototypes(), inputs=(3, M)).flops == forward
    assert profile(Prototypes(), inputs=(3, M), backward=True).flops == 2 * forward


@pytest.mark.parametrize("masked", [False, True])
def test_deformable_convolution(masked):
    layer = DeformConv2d(8, 12, (3, 5), stride=2, padding=1, groups=2)
    shapes = [(N, 8, 11, 13), (N, 2 * 15, 6, 6), *([(N, 15, 6, 6)] if masked else [])]
    assert count_flops(layer, inputs=tuple(shapes)) == N * 6 * 6 * 12 * 4 * 15
    assert count_flops(Call(deform_conv2d), inputs=((1, 4, 8, 8), (1, 18, 6, 6), (6, 4, 3, 3))) == 36 * 6 * 36


def test_backward_of_deformable_convolution():
    layer = DeformConv2d(4, 6, 3, bias=False)
    one = N * 36 * 6 * 36
    assert profile(layer, inputs=((N, 4, 8, 8), (N, 18, 6, 6)), backward=True).flops == 3 * one


# Modules of fvcore's own tests, and others of any rank


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.Conv1d(10, 3, 3, padding=1), (5, 10, 15), 5 * 10 * 3 * 3 * 15),
        (nn.Conv1d(10, 3, 3), (10, 15), 10 * 3 * 3 * 13),
        (nn.Conv2d(10, 3, 3, padding=1), (5, 10, 15, 15), 5 * 10 * 3 * 9 * 225),
        (nn.Conv2d(10, 6, 3, stride=2, padding=1), (2, 10, 20, 20), 2 * 10 * 6 * 9 * 100),
        (nn.Conv2d(16, 8, 5, padding=2, groups=4), (5, 16, 15, 15), 5 * 16 * 8 * 25 * 225 // 4),
        (nn.Conv2d(16, 8, 3, padding=1, groups=8), (5, 16, 15, 15), 5 * 16 * 8 * 9 * 225 // 8),
        (nn.Conv3d(10, 3, 3, padding=1), (5, 10, 15, 15, 15), 5 * 10 * 3 * 27 * 15**3),
        (nn.ConvTranspose1d(10, 6, 3, stride=2, groups=2), (5, 10, 15), 5 * 10 * 6 * 3 * 15 // 2),
        (nn.ConvTranspose2d(10, 3, 3, padding=1), (5, 10, 15, 15), 5 * 10 * 3 * 9 * 225),
        (nn.ConvTranspose2d(10, 3, 3, 3, 1, output_padding=2), (5, 10, 15, 15), 5 * 10 * 3 * 9 * 225),
        (nn.ConvTranspose3d(4, 3, 3, stride=2), (2, 4, 5, 5, 5), 2 * 4 * 3 * 27 * 125),
        (nn.Linear(8, 4), (5, 8), 5 * 8 * 4),
        (nn.Linear(8, 4), (8,), 8 * 4),
        (nn.Linear(10, 20), (5, 5, 10), 25 * 10 * 20),
        (nn.BatchNorm1d(10, affine=False), (10, 10), 0),
        (nn.BatchNorm3d(10), (10, 10, 5, 5, 5), 0),
        (nn.Sequential(nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.LayerNorm(5)), (2, 4, 5, 5), 0),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (2, 2, 2, 2), 0),
        (
            nn.Sequential(
                nn.Conv2d(2, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3), nn.Linear(3, 1)
            ),
            (4, 2, 10, 10),
            4 * (5 * 2 * 100 + 5 * 3 + 3),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_layers_of_any_rank(module, shape, macs):
    assert count_flops(module, inputs=shape) == macs
    assert profile(module, inputs=shape).flops == macs


@pytest.mark.parametrize(("module", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (2, 2)])
def test_recurrent_layers(module, gates, layers, directions):
    rnn = module(10, 20, layers, bidirectional=directions == 2)
    inputs = [10] + [20 * directions] * (layers - 1)
    per_step = sum(directions * gates * 20 * (features + 20) for features in inputs)
    assert count_flops(rnn, inputs=(7, 3, 10)) == 7 * 3 * per_step


@pytest.mark.parametrize(("cell", "gates"), [(nn.RNNCell, 1), (nn.GRUCell, 3), (nn.LSTMCell, 4)])
def test_recurrent_cells(cell, gates):
    assert count_flops(cell(10, 20), inputs=(3, 10)) == 3 * gates * 20 * 30


@pytest.mark.parametrize("mask", [False, True])
def test_scaled_dot_product_attention(mask):
    """Scores of each query with each key, then their weighted sum of the values; masks are not deducted."""
    model = Call(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=mask))
    assert count_flops(model, inputs=((2, 3, 9, 8), (2, 3, 9, 8), (2, 3, 9, 6))) == 2 * 3 * 9 * 9 * (8 + 6)


def test_attention_with_fewer_heads_of_keys():
    model = Call(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True))
    assert count_flops(model, inputs=((2, 4, 7, 8), (2, 2, 9, 8), (2, 2, 9, 8))) == 2 * 4 * 7 * 9 * 16


def test_embedding_of_tokens():
    model = nn.Sequential(nn.Embedding(100, 16), nn.Linear(16, 4))
    assert count_flops(model, inputs=torch.zeros(2, 7, dtype=torch.long)) == 14 * 64


def test_forward_in_inference_mode():
    """There torch hands composite operators over whole."""

    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.lstm = nn.Linear(8, 8), nn.LSTM(8, 4)

        @torch.inference_mode()
        def forward(self, x: Tensor) -> Tensor:
            y = self.lstm(self.linear(x))[0]
            return F.scaled_dot_product_attention(y, y, y)

    assert count_flops(Frozen(), inputs=(5, 3, 8)) == 15 * 64 + 15 * 4 * 4 * 12 + 5 * 3 * 3 * 8


# Products without a formula


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.fft.fft2, "aten._fft_c2c"),
        (torch.linalg.inv, "aten.linalg_inv_ex"),
        (torch.linalg.matrix_exp, "aten.linalg_matrix_exp"),
        (torch.linalg.qr, "aten.linalg_qr"),
    ],
)
def test_products_without_a_formula_are_named(function, name):
    model = Call(function)
    with pytest.warns(CountingWarning, match=rf"Call runs {name}, which may multiply but has no count"):
        assert count_flops(model, inputs=(8, 8)) == 0
    with pytest.warns(CountingWarning, match=name):
        assert name in profile(model, inputs=(8, 8)).uncounted


def test_warning_points_at_the_caller():
    for count in (count_flops, profile):
        with pytest.warns(CountingWarning) as caught:
            count(Call(torch.fft.fft2), inputs=(8, 8))
        assert [warning.filename for warning in caught] == [__file__]


def test_operators_of_others_are_named_until_they_have_a_formula(monkeypatch):
    @torch.library.custom_op("lightcars_tests::twice", mutates_args=())
    def twice(x: Tensor) -> Tensor:
        return 2 * x

    @twice.register_fake
    def _(x: Tensor) -> Tensor:
        return torch.empty_like(x)

    def call(x: Tensor) -> Tensor:
        return twice(x)

    model = Call(call)
    with pytest.warns(CountingWarning, match=r"lightcars_tests\.twice"):
        assert count_flops(model, inputs=(3, 4)) == 0
    packet = torch.ops.lightcars_tests.twice
    monkeypatch.setitem(flop_counter.flop_registry, packet, lambda x, **_: 2 * x.numel())
    assert count_flops(model, inputs=(3, 4)) == 12, "one per multiply-accumulate, torch counts two"


def test_pooling_of_regions_and_elementwise_operators_give_no_warning():
    from torchvision.ops import roi_align

    def mixed(x: Tensor, boxes: Tensor) -> Tensor:
        pooled = roi_align(x, boxes, 4)
        return F.interpolate(F.gelu(pooled * pooled), scale_factor=2.0, mode="bilinear").softmax(-1).norm()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert count_flops(Call(mixed), inputs=((1, 3, 9, 9), (2, 5))) == 0


def all_operators() -> list[str]:
    names = {name.partition(".")[0] for name in torch._C._dispatch_get_all_op_names()}
    return sorted(name.removeprefix("aten::") for name in names if name.startswith("aten::"))


def test_which_operators_of_torch_multiply():
    """Read over when torch changes: products that need a formula or a warning, and what looks like them."""
    flagged = {n for n in all_operators() if multiplies_uncounted(getattr(torch.ops.aten, n))}
    assert {
        "_fft_r2c",
        "linalg_qr",
        "_linalg_svd",
        "cholesky_solve",
        "mkldnn_linear",
    } <= flagged
    assert {"_grouped_mm", "_scaled_mm_v2"} & set(all_operators()) <= flagged, "where this torch has them"
    assert {"_native_multi_head_attention", "_transformer_encoder_layer_fwd", "mkldnn_rnn_layer"} <= flagged
    assert {"_weight_int8pack_mm", "miopen_convolution", "quantized_lstm", "dist"} <= flagged
    harmless = {"mul", "add", "relu", "sum", "native_batch_norm", "upsample_linear1d", "linalg_vector_norm"}
    harmless |= {
        "linalg_check_errors",
        "upsample_bilinear2d",
        "grid_sampler_2d",
        "embedding",
        "prelu",
        "cumsum",
    }
    harmless |= {"_convert_weight_to_int4pack", "binary_cross_entropy_with_logits", "slice_inverse"}
    assert not harmless & flagged


@pytest.mark.parametrize("name", ["mm", "convolution", "mv", "_trilinear", "_cdist_forward", "addmm_"])
def test_operators_with_a_formula(name):
    assert formula_of(getattr(torch.ops.aten, name)) is not None
    assert qualified_name(getattr(torch.ops.aten, name)) == f"aten::{name}"


def test_counter_counts_by_operator():
    with MacCounter() as counter:
        torch.mv(torch.ones(3, 4), torch.ones(4)) + torch.dot(torch.ones(3), torch.ones(3))
    assert counter.total == 15
    assert counter.by_operator == {torch.ops.aten.mv: 12, torch.ops.aten.dot: 3}
    assert list(counter.uncounted) == []
