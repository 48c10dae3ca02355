"""The rooms of the package are those of the tower, and CONTRIBUTING.md names files that exist."""

import re
import tomllib
from pathlib import Path

import pytest

import lightcars

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "lightcars"
NO_ROOMS = {"__init__", "__main__"}


def tower() -> list[str]:
    """Return the rooms from top to bottom, as import-linter holds them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (each for each in settings["contracts"] if each["type"] == "layers")
    return [room for line in contract["layers"] for room in line.split(" | ")]


def rooms() -> set[str]:
    """Return the packages and modules directly in `lightcars`."""
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return packages | {path.stem for path in PACKAGE.glob("*.py")} - NO_ROOMS


def test_every_room_has_its_line_in_the_tower():
    assert sorted(tower()) == sorted(rooms())


def test_the_tower_stands_in_the_planned_order():
    planned = [
        "cli",
        "training",
        "reports",
        "evaluation",
        "runs",
        "recipes",
        "data",
        "weights",
        "models",
        "layers",
    ]
    assert [room for room in tower() if room in planned] == planned


def test_no_room_is_named_like_a_public_function():
    functions = {name for name in lightcars.__all__ if callable(getattr(lightcars, name))}
    assert not rooms() & functions, "importing the room would shadow the function"


@pytest.mark.parametrize("word", ["utils", "common", "misc", "helpers", "base"])
def test_no_module_has_a_name_that_says_nothing(word):
    assert not [path for path in PACKAGE.rglob("*.py") if path.stem == word]


def test_tests_mirror_the_rooms():
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
    assert {room for room in rooms() if (PACKAGE / room).is_dir()} <= folders


PATHS = re.compile(r"`([\w./<>-]+\.\w+|[\w.-]+/[\w./<>-]*)`")


def named_paths() -> list[str]:
    """Return the paths in the tables of CONTRIBUTING.md; a first column may also name files of users."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    return [
        path
        for _, first, second, _ in rows
        for path in (*filter(lambda path: "/" in path, PATHS.findall(first)), *PATHS.findall(second))
    ]


def test_contributing_names_paths():
    assert len(named_paths()) > 60


@pytest.mark.parametrize("path", sorted(set(named_paths())))
def test_contributing_names_files_that_exist(path):
    pattern = re.sub(r"<\w+>", "*", path)
    assert list(ROOT.glob(pattern)), path


def test_contributing_has_a_row_for_every_room():
    named = {path.split("/")[2].removesuffix(".py") for path in named_paths() if path.startswith("src/")}
    assert rooms() - named == set()
