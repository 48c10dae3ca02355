"""Dataclasses back from JSON: exact, by their type hints, and every fault one line that names the field."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

import pytest

from lightcars.errors import ConfigError
from lightcars.models.decoding import decode


@dataclass(frozen=True, kw_only=True)
class Row:
    size: int
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    name: str
    share: float = 0.5
    channels: int | None = None
    kind: Literal["a", "b"] = "a"
    means: tuple[float, ...] = ()
    rows: tuple[Row, ...] = ()
    other: Row | None = None


WHOLE = Table(
    name="n",
    share=1,
    channels=3,
    kind="b",
    means=(0.1, 2),
    rows=(Row(size=1), Row(size=2, wide=True)),
    other=Row(size=7),
)


@pytest.mark.parametrize("table", [WHOLE, Table(name="")])
def test_json_and_back(table):
    assert decode(Table, json.loads(json.dumps(asdict(table)))) == table


def test_what_is_left_out_takes_its_default():
    assert decode(Table, {"name": "n"}) == Table(name="n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 1}, "name must be text, not 1"),
        ({"share": "1"}, "share must be a number, not '1'"),
        ({"share": True}, "share must be a number, not True"),
        ({"channels": 1.0}, "channels must be a whole number or null, not 1.0"),
        ({"channels": False}, "channels must be a whole number or null, not False"),
        ({"kind": "c"}, "kind must be one of a, b, not 'c'"),
        ({"kind": ["a"]}, "kind must be one of a, b, not ['a']"),
        ({"means": 1}, "means must be a list, not 1"),
        ({"means": "12"}, "means must be a list, not '12'"),
        ({"means": ["x"]}, "means must be a number, not 'x'"),
        ({"rows": {"size": 1}}, "rows must be a list, not {'size': 1}"),
        ({"rows": [None]}, "Row must be a mapping of settings, not None"),
        ({"rows": [{"size": 1}, {"wide": True}]}, "Row lacks size"),
        (
            {"rows": [{"size": 1, "depth": 2}]},
            "unknown settings depth; a newer lightcars may have written it",
        ),
        ({"rows": [{"size": 1, "wide": 0}]}, "wide must be true or false, not 0"),
        ({"other": 3}, "other must be Row or null, not 3"),
        ({"b": 1, "a": 1}, "unknown settings a, b; a newer lightcars may have written it"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(ConfigError) as error:
        decode(Table, {"name": "n", **changes})
    assert str(error.value) == message


@pytest.mark.parametrize("data", [None, 3, "text", [], [["name", "n"]]])
def test_no_mapping(data):
    with pytest.raises(ConfigError, match=r"^Table must be a mapping of settings, not "):
        decode(Table, data)
    with pytest.raises(ConfigError, match=r"^Table lacks name$"):
        decode(Table, {})
