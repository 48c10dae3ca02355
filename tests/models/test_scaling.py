"""Rounding of channels and depths, and compound scaling."""

import math

import pytest

from lightcars.errors import ConfigError
from lightcars.models.efficientnet.config import VARIANTS
from lightcars.models.scaling import compound_scale, round_channels, round_repeats


@pytest.mark.parametrize(
    ("channels", "divisor", "rounded"),
    [
        (32, 8, 32),
        (32 * 1.1, 8, 32),
        (32 * 1.2, 8, 40),
        (32 * 1.4, 8, 48),  # 44.8 lies nearer to 48
        (40 * 1.1, 8, 48),  # halves go up
        (20, 8, 24),
        (11.9, 8, 16),  # 8 would be more than a tenth too few
        (8.5, 8, 8),
        (1, 8, 8),
        (0.01, 8, 8),
        (16 * 0.5, 4, 8),
        (672 / 4, 4, 168),
        (72 / 4, 4, 20),
        (1280 * 2.0, 8, 2560),
    ],
)
def test_channels_are_rounded_to_the_divisor(channels, divisor, rounded):
    assert round_channels(channels, divisor) == rounded


@pytest.mark.parametrize("divisor", [4, 8])
def test_rounding_never_takes_more_than_a_tenth(divisor):
    for tenth in range(1, 10_000):
        channels = tenth / 10
        rounded = round_channels(channels, divisor)
        assert rounded % divisor == 0
        assert 0.9 * channels <= rounded <= max(divisor, channels + divisor)


@pytest.mark.parametrize(
    ("repeats", "depth", "scaled"), [(1, 1.0, 1), (1, 1.1, 2), (3, 1.4, 5), (4, 3.1, 13), (4, 0.25, 1)]
)
def test_repeats_are_rounded_up(repeats, depth, scaled):
    assert round_repeats(repeats, depth) == scaled


def test_compound_scale_of_zero_is_b0():
    scale = compound_scale(0)
    assert scale == {"width": 1.0, "depth": 1.0, "resolution": 224}
    assert VARIANTS["b0"].config.width == scale["width"]
    assert VARIANTS["b0"].config.resolution == scale["resolution"]


@pytest.mark.parametrize("phi", [-2, 0.5, 1, 3])
def test_compound_scale_is_the_papers(phi):
    scale = compound_scale(phi)
    assert scale["width"] == pytest.approx(1.1**phi)
    assert scale["depth"] == pytest.approx(1.2**phi)
    assert scale["resolution"] == round(224 * 1.15**phi)


def test_compound_scale_takes_another_base_resolution():
    assert compound_scale(1, base_resolution=100)["resolution"] == 115


@pytest.mark.parametrize("phi", [math.nan, math.inf, -math.inf, -11, 21])
def test_impossible_phi_is_refused(phi):
    with pytest.raises(ConfigError, match="phi"):
        compound_scale(phi)
