"""Diagrams: read from the modules, nothing overlaps, wide enough for a phone, in light and dark."""

from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
import torch

from lightcars.models.families import FAMILIES
from lightcars.models.registry import MODELS
from scripts.zoo.blocks import Box, drawn_blocks
from scripts.zoo.drawing import network_svg
from scripts.zoo.layout import CHARACTER_WIDTH, lay_out
from scripts.zoo.network import TIMES, measure, stages
from scripts.zoo.pages import all_drawings

PHONE = 358
"""Pixels of a page's text on a screen of 390."""
SMALLEST_LETTERS = 9.5
SVG = "{http://www.w3.org/2000/svg}"


def default_of(family):
    return MODELS[FAMILIES[family].registered(FAMILIES[family].default)]


def blocks_of(family):
    return drawn_blocks(measure(default_of(family).config))


def boxes_of(family, title):
    return [list(block.boxes.values()) for block in blocks_of(family) if block.title == title]


@pytest.mark.parametrize("family", FAMILIES)
def test_shares_are_of_the_registrys_counts(family):
    entry = default_of(family)
    measured = measure(entry.config)
    assert measured.params[""] == entry.num_params
    assert measured.macs[""] == entry.flops
    found = stages(measured)
    for shares in ([s.params_share for s in found], [s.macs_share for s in found]):
        assert sum(shares) == pytest.approx(1)
    assert found[-1].shape == (1000,) or family == "squeezenet"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stages_are_those_of_the_config(family):
    config = default_of(family).config
    found = [stage for stage in stages(measure(config)) if stage.where.startswith("blocks.")]
    counted = [int(stage.title.split(f" {TIMES} ")[0]) if TIMES in stage.title else 1 for stage in found]
    assert sum(counted) == len(config.block_channels)
    ends = torch.tensor(counted).cumsum(0) - 1
    assert [stage.shape[0] for stage in found] == [config.block_channels[end] for end in ends]


def test_a_stage_names_kernels_stride_and_the_parts_that_not_all_have():
    stage = next(s for s in stages(measure(default_of("ghostnet").config)) if s.where == "blocks.11 to 15")
    assert stage.title == f"5 {TIMES} GhostBottleneck"
    assert stage.details == (f"3{TIMES}3, 5{TIMES}5", "stride 2", "SqueezeExcite in 3")
    assert stage.shape == (160, 7, 7)


def test_a_block_is_what_its_modules_do():
    (module,) = (block for block in blocks_of("ghostnet") if block.title == "GhostModule")
    assert [box.lines[0] for box in module.boxes.values()] == [
        "input",
        f"1{TIMES}1 conv",
        f"3{TIMES}3 depthwise",
        "concatenate",
        "output",
    ]
    assert set(module.edges) == {
        ("x", "primary"),
        ("primary", "cheap"),
        ("primary", "join_channels"),
        ("cheap", "join_channels"),
        ("join_channels", "output"),
    }
    assert module.boxes["primary"].lines[1] == "16 → 8, BN, ReLU"


def test_equal_branches_are_one_box_and_sums_of_sums_one_sum():
    small, large = sorted(boxes_of("ghostnetv3", "BranchedConv"), key=len)
    assert [box.lines[0] for box in small] == ["input", f"3 parallel: 1{TIMES}1 conv", "+", "ReLU", "output"]
    assert [box.lines[0] for box in large][1:5] == [
        f"3 parallel: 3{TIMES}3 depthwise",
        f"1{TIMES}1 depthwise",
        "batch norm",
        "+",
    ]


def test_blocks_that_another_one_contains_are_not_drawn_again():
    (bottleneck,) = boxes_of("ghostnet", "GhostBottleneck")
    lines = [box.lines[0] for box in bottleneck]
    assert {"SqueezeExcite", "+", f"5{TIMES}5 depthwise, stride 2"} <= set(lines)
    assert len(boxes_of("shufflenetv2", "ShuffleV2Unit")) == 2  # one splits, the other has a second branch


def test_blocks_of_other_variants_are_drawn_too():
    files = all_drawings()["mobilenetv4"]
    assert "blocks.0 of mobilenetv4_conv_medium" in files["mobilenetv4-fusedmbconv.svg"][1]


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_in_a_diagram_overlaps(family):
    for block in blocks_of(family):
        layout = lay_out(block)
        for (a, one), (b, other) in combinations(layout.places.items(), 2):
            apart = (
                abs(one.x - other.x) >= (one.width + other.width) / 2
                or one.bottom <= other.top
                or (other.bottom <= one.top)
            )
            assert apart, f"{block.title} of {family}: {a} and {b}"
        for line in layout.lines:
            for x, y in line:
                assert 0 <= x <= layout.width
                assert 0 <= y <= layout.height
        for line in layout.lines:
            for name, place in layout.places.items():
                assert not any(crosses(start, end, place) for start, end in pairwise(line)), (
                    f"{block.title} of {family}: a line through {name}"
                )


def crosses(start, end, place):
    """Whether a level or upright line passes through the inside of a box."""
    (x1, x2), (y1, y2) = sorted((start[0], end[0])), sorted((start[1], end[1]))
    return (
        x1 < place.x + place.width / 2 - 1
        and x2 > place.left + 1
        and y1 < place.bottom - 1
        and y2 > place.top + 1
    )


def test_every_diagram_is_legible_on_a_phone_in_light_and_dark():
    for found in all_drawings().values():
        for name, (svg, about) in found.items():
            root = ElementTree.fromstring(svg)
            width = int(root.attrib["width"])
            assert 12 * min(1, PHONE / width) >= SMALLEST_LETTERS, name
            assert root.find(f"{SVG}title").text, name
            assert "@media (prefers-color-scheme: dark)" in root.find(f"{SVG}style").text, name
            assert root.find(f"{SVG}rect").attrib["class"] == "paper", "a background of its own"
            assert about


def test_text_stays_inside_of_the_networks_boxes():
    for name in FAMILIES:
        svg = network_svg(name, stages(measure(default_of(name).config)))
        texts = ElementTree.fromstring(svg).iter(f"{SVG}text")
        assert all(len(text.text) * CHARACTER_WIDTH <= 316 for text in texts), name


def test_a_box_without_sizes_is_a_word():
    block = next(block for block in blocks_of("mobilenetv2") if "add" in block.boxes)
    assert block.boxes["add"] == Box(("+",), "+")
