"""profile: every metric against one worked out by hand, and the tables that show them."""

import json

import pytest
from torch import nn

from lightcars.counters.flops import count_flops
from lightcars.counters.params import count_params
from lightcars.counters.profile import Profile, profile
from lightcars.errors import CountingError, InputError
from lightcars.zoo import create_model, ghostnet


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.Conv2d(8, 5, 1, bias=False))


def test_metrics_of_two_layers():
    p = profile(two_layers(), (2, 3, 10, 10))
    assert p.model == "Sequential"
    assert p.input_shape == (2, 3, 10, 10)
    assert not p.backward
    assert (p.num_params, p.num_trainable_params) == (64, 64)
    assert p.flops == 200 * (24 + 40)
    assert p.activations == 200 * (8 + 5)
    assert p.weights_bytes == 4 * 64
    assert [(row.name, row.type, row.output_shape, row.num_params, row.flops) for row in p.layers] == [
        ("", "Sequential", (2, 5, 10, 10), 64, 12_800),
        ("0", "Conv2d", (2, 8, 10, 10), 24, 4_800),
        ("1", "Conv2d", (2, 5, 10, 10), 40, 8_000),
    ]
    (row,) = p.operators
    assert (row.name, row.calls, row.output_elements, row.flops) == ("aten.convolution", 2, 2_600, 12_800)
    assert p.uncounted == ()


def test_peak_of_two_layers():
    """While the second runs, its input, its output and the image are alive."""
    assert profile(two_layers(), (1, 3, 10, 10)).peak_bytes == 4 * (64 + 100 * (3 + 8 + 5))


def test_peak_forgets_what_is_freed():
    """The first map is gone when the third is made."""
    model = nn.Sequential(
        nn.Conv2d(3, 50, 1, bias=False), nn.Conv2d(50, 4, 1, bias=False), nn.Conv2d(4, 20, 1, bias=False)
    )
    weights = 150 + 200 + 80
    assert profile(model, (1, 3, 10, 10)).peak_bytes == 4 * (weights + 100 * (3 + 50 + 4))


def test_peak_of_operations_in_place():
    """One in place takes nothing; one that is not holds its input and its output."""
    first = nn.Conv2d(3, 8, 1, bias=False)
    in_place = profile(nn.Sequential(first, nn.ReLU(inplace=True)), (1, 3, 10, 10))
    assert in_place.peak_bytes == 4 * (24 + 100 * (3 + 8))
    apart = profile(nn.Sequential(first, nn.ReLU()), (1, 3, 10, 10))
    assert apart.peak_bytes == 4 * (24 + 100 * (3 + 8 + 8))
    views = profile(nn.Sequential(first, nn.Flatten(), nn.Unflatten(1, (8, 100))), (1, 3, 10, 10))
    assert views.peak_bytes == in_place.peak_bytes


def test_peak_of_a_backward_pass():
    """All maps are kept; the most is alive when the second layer has its input's and weight's gradients."""
    p = profile(two_layers(), (1, 3, 10, 10), backward=True)
    sum_and_its_gradient = 2
    assert p.peak_bytes == 4 * (64 + 100 * (3 + 8 + 5) + sum_and_its_gradient + 100 * 8 + 40)
    assert p.flops == 100 * (2 * 24 + 3 * 40)


def test_bytes_follow_the_precision():
    single, double = profile(two_layers(), 10), profile(two_layers().double(), 10)
    assert double.peak_bytes == 2 * single.peak_bytes
    assert double.weights_bytes == 2 * single.weights_bytes
    assert double.flops == single.flops


def test_weights_include_buffers():
    assert (
        profile(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), 8).weights_bytes
        == 4 * (12 + 4 + 4 * 4) + 8
    )


def test_shared_weights_weigh_once():
    layer = nn.Conv2d(4, 4, 1, bias=False)
    p = profile(nn.Sequential(layer, layer), 10)
    assert (p.weights_bytes, p.num_params, p.flops) == (64, 16, 2 * 1600)


@pytest.mark.parametrize("backward", [False, True])
def test_batch_scales_work_and_maps_but_not_weights(backward):
    model = ghostnet(width=0.25)
    one, four = (profile(model, (batch, 3, 64, 64), backward=backward) for batch in (1, 4))
    assert four.flops == 4 * one.flops
    assert four.activations == 4 * one.activations
    assert four.weights_bytes == one.weights_bytes
    assert one.peak_bytes < four.peak_bytes < 4 * one.peak_bytes


def test_gradient_checkpointing_counts_as_the_evaluation_pass_does():
    """A profile is of evaluation mode, in which nothing is recomputed."""
    model = ghostnet(width=0.25)
    before = profile(model, 64, backward=True)
    model.gradient_checkpointing()
    assert profile(model, 64, backward=True) == before
    assert model.blocks.recompute


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b7", "ghostnet_100", "ghostnet_thesis"])
def test_agrees_with_the_counters(name):
    model = create_model(name, device="meta")
    p = profile(model, 64)
    assert p.flops == count_flops(model, 64)
    assert p.num_params == count_params(model)
    assert p.input_shape == (1, 3, 64, 64)


@pytest.mark.parametrize(
    "backward",
    [
        False,
        True,
    ],
)
@pytest.mark.parametrize("name", ["efficientnet_b0", "ghostnet_100", "ghostnet_thesis"])
def test_layers_sum_to_the_whole(name, backward):
    model = create_model(name, width=0.5)
    p = profile(model, (2, 3, 64, 64), backward=backward)
    rows = {row.name: row for row in p.layers}
    assert list(rows) == [name for name, _ in model.named_modules()]
    for path, module in model.named_modules():
        children = [rows[f"{path}.{name}" if path else name] for name, _ in module.named_children()]
        if children:
            assert rows[path].flops == sum(child.flops for child in children), path
            own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
            assert rows[path].num_params == own + sum(child.num_params for child in children), path
    assert rows[""].flops == count_flops(model, (2, 3, 64, 64))
    assert p.flops > 2 * rows[""].flops if backward else p.flops == rows[""].flops
    assert rows["blocks.0"].output_shape[0] == 2


@pytest.mark.parametrize("backward", [False, True])
def test_operators_sum_to_the_whole(backward):
    p = profile(create_model("ghostnet_100", width=0.5), 64, backward=backward)
    assert sum(row.flops or 0 for row in p.operators) == p.flops


def test_module_under_two_names_has_one_row_with_its_count():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False))
            self.again = self.first
            self.parts = nn.ModuleList([self.first[0]])

        def forward(self, x):
            return self.again(self.first(x))

    p = profile(Twice(), 10)
    rows = [(row.name, row.flops, row.output_shape) for row in p.layers if row.type != "ModuleList"]
    shape = (1, 3, 10, 10)
    assert rows == [("", 1800, shape), ("first", 1800, shape), ("first.0", 1800, shape)]


def test_module_that_calls_itself_counts_once():
    class Recursive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4, bias=False)

        def forward(self, x, depth=2):
            return self(self.layer(x), depth - 1) if depth else x

    assert [(row.name, row.flops) for row in profile(Recursive(), inputs=(1, 4)).layers] == [
        ("", 32),
        ("layer", 32),
    ]


def test_module_that_is_not_called_has_no_shape():
    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    model.register_module("spare", nn.Conv2d(3, 4, 1))
    model.forward = model[0].forward
    row = profile(model, 8).layers[-1]
    assert (row.name, row.output_shape, row.flops, row.num_params) == ("spare", None, 0, 16)


def test_operators_without_a_count_are_listed():
    p = profile(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.SiLU(), nn.AdaptiveAvgPool2d(1)), 8)
    assert "aten.convolution" not in p.uncounted
    assert {"aten.silu", "aten.mean"} <= set(p.uncounted)
    assert any("batch_norm" in name for name in p.uncounted)
    assert [row.name for row in p.operators if row.flops is None] == list(p.uncounted)
    assert p.operators[0].name == "aten.convolution"


def test_nothing_to_train():
    with pytest.raises(CountingError, match="no backward pass"):
        profile(ghostnet(width=0.1).requires_grad_(False), 64, backward=True)


def test_input_sizes_are_checked():
    with pytest.raises(InputError):
        profile(ghostnet(width=0.1), (64, 64, 64))
    with pytest.raises(InputError):
        profile(nn.Conv2d(3, 4, 1))


def test_outputs_that_are_not_one_tensor():
    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1, bias=False)

        def forward(self, x):
            return {"maps": [self.conv(x), self.conv(x)], "name": "two"}

    p = profile(Many(), (1, 3, 10, 10), backward=True)
    assert p.layers[0].output_shape is None
    assert p.flops == 2 * 2 * 1200


@pytest.fixture(scope="module")
def ghost() -> Profile:
    return profile(ghostnet(), 224)


@pytest.fixture(scope="module")
def small() -> Profile:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1, bias=False), nn.ReLU(), nn.Sequential(nn.Conv2d(8, 5, 1, bias=False))
    )
    return profile(model, (1, 3, 10, 10))


def test_json_holds_everything(ghost):
    data = json.loads(ghost.to_json())
    for name in ("model", "backward", "num_params", "num_trainable_params", "flops", "activations"):
        assert data[name] == getattr(ghost, name), name
    assert (data["weights_bytes"], data["peak_bytes"]) == (ghost.weights_bytes, ghost.peak_bytes)
    assert tuple(data["input_shape"]) == ghost.input_shape
    assert tuple(data["uncounted"]) == ghost.uncounted
    assert len(data["layers"]) == len(ghost.layers)
    assert data["layers"][1]["name"] == "stem"
    assert data["layers"][1]["output_shape"] == [1, 16, 112, 112]
    assert data["operators"][0]["flops"] == ghost.operators[0].flops


def test_text_shows_the_exact_numbers(ghost):
    text = ghost.to_text()
    for number in (
        "1 x 3 x 224 x 224",
        "5,182,508",
        "141,150,512 multiply-accumulates",
        "not counted: aten.",
    ):
        assert number in text
    assert "forward and backward" not in text
    assert "forward and backward" in profile(two_layers(), 8, backward=True).to_text()


@pytest.mark.parametrize(
    ("depth", "names"),
    [(0, {"Sequential"}), (1, {"Sequential", "0", "1", "2"}), (2, {"Sequential", "0", "1", "2", "2.0"})],
)
def test_depth_limits_the_layers(small, depth, names):
    table = small.to_text(depth=depth).split("\n\n")[1]
    assert {line.split()[0] for line in table.splitlines()[2:]} == names
    rows = small.to_markdown(depth=depth).split("\n\n")[2].splitlines()[2:]
    assert {row.split("|")[1].strip() for row in rows} == names


def test_text_is_aligned_and_fits(ghost):
    for table in ghost.to_text().split("\n\n")[1:3]:
        head, rule, *rows = table.splitlines()
        assert set(rule) == {"-"}
        starts = [i for i, c in enumerate(head) if c != " " and (i == 0 or head[i - 2 : i] == "  ")]
        for row in rows:
            assert row == row.rstrip()
            assert len(row) <= 110
            for start in starts[1:]:
                assert row[start - 2 : start] in ("  ", ""), row


def test_text_fits_a_wide_terminal(ghost):
    assert max(len(line) for line in ghost.to_text().splitlines()) <= 110


def test_markdown_tables_are_whole(ghost):
    text = ghost.to_markdown()
    assert text.startswith("# GhostNet\n")
    assert text.endswith(".\n")
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == 3
    for table in tables:
        assert len({row.count("|") for row in table}) == 1
        assert set(table[1]) <= set("| -")
