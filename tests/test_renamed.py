"""Old names of arguments and attributes still work, with a warning."""

import copy
import inspect
import pickle
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytest

from lightcars.benching.cases import BenchCase
from lightcars.benching.rows import BenchRow
from lightcars.deploy.calibration import Calibration
from lightcars.errors import ConfigError
from lightcars.models.origin import WeightsOrigin
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.files import parse_recipe
from lightcars.recipes.recipe import Recipe
from lightcars.recipes.sections import AugmentRecipe, OptimizerRecipe
from lightcars.renamed import RenamedKeyWarning, takes_old_names
from lightcars.sharing import Training
from lightcars.weights.catalog import WeightsEntry

CASE = {
    "model": "m",
    "engine": "eager",
    "precision": "fp32",
    "batch": 1,
    "resolution": 32,
    "threads": 1,
    "device": "cpu",
}
PREPROCESSING = Preprocessing(resolution=32, mean=(0.5,), std=(0.25,))
ENTRY = {"tag": "a/b", "model": "b0", "source": "timm", "preprocessing": PREPROCESSING}


class Renamed(NamedTuple):
    """One old name, and values that differ."""

    kind: Any
    old: str
    new: str
    first: Any
    second: Any
    others: dict[str, Any]


RENAMED = [
    Renamed(Recipe, "photos_on_device", "images_on_device", True, False, {}),
    Renamed(OptimizerRecipe, "trunk_lr_factor", "backbone_lr_factor", 0.5, 0.25, {}),
    Renamed(AugmentRecipe, "photos", "images", (), ({"RandomHorizontalFlip": {}},), {}),
    Renamed(Calibration, "judged_folder", "verification_folder", "a", "b", {"folder": "f"}),
    Renamed(Calibration, "num_judged", "num_verification", 10, 20, {"folder": "f"}),
    Renamed(BenchCase, "layout", "memory_format", "contiguous", "channels_last", CASE),
    Renamed(BenchRow, "layout", "memory_format", "contiguous", "channels_last", CASE),
    Renamed(Training, "licence", "license", "mit", "apache-2.0", {}),
    Renamed(WeightsEntry, "licence", "license", "mit", "apache-2.0", ENTRY),
    Renamed(
        WeightsOrigin, "licence", "license", "mit", "apache-2.0", {"weights": "w", "source": "s", "kept": 1}
    ),
]
every_name = pytest.mark.parametrize("case", RENAMED, ids=lambda case: f"{case.kind.__name__}-{case.old}")


def warned(case: Renamed) -> Any:
    return pytest.warns(
        RenamedKeyWarning, match=f"^{case.kind.__name__}: {case.old} is now called {case.new};"
    )


@every_name
def test_an_old_argument_works(case):
    with warned(case) as caught:
        made = case.kind(**case.others, **{case.old: case.first})
    assert made == case.kind(**case.others, **{case.new: case.first})
    assert [warning.filename for warning in caught] == [__file__]


@every_name
def test_an_old_attribute_is_readable(case):
    made = case.kind(**case.others, **{case.new: case.first})
    with warned(case) as caught:
        assert getattr(made, case.old) == case.first
    assert [warning.filename for warning in caught] == [__file__]


@every_name
def test_an_old_name_works_in_replace(case):
    made = case.kind(**case.others, **{case.new: case.first})
    with warned(case):
        changed = replace(made, **{case.old: case.second})
    assert changed == case.kind(**case.others, **{case.new: case.second})


@every_name
@pytest.mark.filterwarnings("error::FutureWarning")
def test_nothing_warns_where_new_names_are_used(case):
    made = case.kind(**case.others, **{case.new: case.first})
    assert replace(made) == copy.copy(made) == pickle.loads(pickle.dumps(made)) == made
    assert case.old not in repr(made)
    assert case.old not in inspect.signature(case.kind).parameters


def test_both_names_at_once_stay_an_error_in_a_recipe():
    with pytest.raises(ConfigError, match="photos_on_device is the old name of images_on_device"):
        parse_recipe("photos_on_device: true\nimages_on_device: true", "here")


def test_unknown_arguments_and_wrong_values_are_errors_as_ever():
    @takes_old_names(before="now")
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Thing:
        now: int = 0

    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        Thing(other=1)
    with pytest.warns(RenamedKeyWarning), pytest.raises(ConfigError, match="num_verification"):
        Calibration(folder="f", num_judged=0)
