"""The constraints of `make test-oldest` are the lower bounds of pyproject.toml."""

import re
import tomllib

from tests.conftest import ROOT

BOUND = re.compile(r"^([A-Za-z0-9_-]+)>=([\w.]+)")


def bounds() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    rows = [*project["dependencies"], *extras["cars"], *extras["parquet"]]
    return dict(match.groups() for row in rows if (match := BOUND.match(row)))


def pinned() -> dict[str, str]:
    lines = (ROOT / "tests" / "packaging" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_lower_bound_is_pinned():
    assert pinned().keys() == bounds().keys()
    for name, version in bounds().items():
        digits = version.split(".post")[0].split(".")
        assert pinned()[name].split(".post")[0].split(".")[: len(digits)] == digits, name
