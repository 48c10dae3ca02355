"""Ratios, their spread, and differences of outputs."""

import pytest

from benchmarks.harness.ratios import (
    compare,
    differences,
    others_over,
    over_others,
    ratio,
    relative_difference,
)


def test_a_ratio_is_taken_turn_by_turn():
    # In the second round the machine is ten times slower, for both sides alike.
    found = ratio([[2.0, 2.0], [20.0, 30.0]], [[1.0, 1.0], [10.0, 10.0]])
    assert found == {"ratio": 2.0, "low": 2.0, "high": 2.5, "of_medians": 2.0, "best": 2.0}


def test_both_directions():
    sides = {"lightcars": [[1.0]], "timm": [[2.0]], "torchvision": [[4.0]]}
    assert compare(sides)["peer_over_lightcars"] == others_over("lightcars", sides)
    assert others_over("timm", sides)["torchvision"]["ratio"] == 2.0
    assert {side: found["ratio"] for side, found in over_others("torchvision", sides).items()} == {
        "lightcars": 4.0,
        "timm": 2.0,
    }


def test_differences_are_relative_to_the_largest_value():
    assert relative_difference([1.0, -3.0], [1.0, -4.0]) == 0.25
    logits = {"timm": [[2.0, 1.0]] * 2, "a": [[2.0, 1.0], [2.0, 0.0]], "silent": [None, None]}
    assert differences(logits, "timm") == {"a": 0.5}
    with pytest.raises(ValueError, match="argument 2"):
        relative_difference([1.0], [1.0, 2.0])
