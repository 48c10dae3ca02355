"""timm's description of preprocessing, in both of its styles, becomes ours."""

from dataclasses import replace

import pytest

from lightcars.errors import ConfigError
from lightcars.models.preprocessing import Preprocessing, timm_preprocessing

CONFIG = {"input_size": [3, 64, 96], "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5]}
OURS = Preprocessing(
    resolution=96,
    mean=(0.1, 0.2, 0.3),
    std=(0.5, 0.5, 0.5),
    resize="crop",
    crop_fraction=0.875,
    interpolation="bicubic",
)


@pytest.mark.parametrize(
    ("more", "changes"),
    [
        ({}, {}),
        ({"crop_mode": None, "crop_pct": None, "interpolation": ""}, {}),
        ({"crop_mode": "squash", "crop_pct": 1.0}, {"resize": "squash", "crop_fraction": 1.0}),
        ({"interpolation": "bilinear"}, {"interpolation": "bilinear"}),
    ],
)
def test_settings_become_ours(more, changes):
    expected = replace(OURS, **changes)
    assert timm_preprocessing({**CONFIG, **more}) == expected
    assert timm_preprocessing({"pretrained_cfg": {**CONFIG, **more}}) == expected


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"pretrained_cfg": 3}, "pretrained_cfg must be a mapping of names to values, not 3"),
        ({}, "input_size, mean or std are missing or invalid"),
        ({**CONFIG, "input_size": 5}, "input_size, mean or std are missing or invalid"),
        ({**CONFIG, "crop_mode": "border"}, "crop_mode 'border' is not known here"),
        ({**CONFIG, "interpolation": "random"}, "interpolation"),
    ],
)
def test_what_cannot_be_expressed(content, text):
    with pytest.raises(ConfigError, match=text):
        timm_preprocessing(content)
