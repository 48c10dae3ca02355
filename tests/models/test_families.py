"""The table of families: every row is whole, families are apart, and nothing else names one."""

import ast
import re
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import lightcars
from lightcars import zoo
from lightcars.errors import ConfigError
from lightcars.models.families import FAMILIES, family_of
from lightcars.models.image_model import ImageModel
from lightcars.models.registry import MODELS

SOURCE = Path(lightcars.__file__).parent
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


@each_family
def test_a_row_is_whole(family):
    assert family.default in family.variants
    assert issubclass(family.model_class(), ImageModel)
    assert is_dataclass(family.config)
    for variant in family.variants.values():
        assert type(variant.config) is family.config
        assert family_of(variant.config) is family
    names = {family.registered(variant) for variant in family.variants}
    assert names <= set(MODELS)
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)


def test_other_things_are_of_no_family():
    with pytest.raises(ConfigError, match=r"^int is not the config of a model family\.$"):
        family_of(3)


@each_family
def test_typed_keywords_are_the_fields_of_the_config(family):
    """Of the families that have a function of their own: type checkers know every name and type."""
    build = getattr(zoo, family.name, None)
    if build is None:
        pytest.skip(f"{family.name} has no function of its own")
    (unpacked,) = typing.get_args(typing.get_type_hints(build)["changes"])
    config = typing.get_type_hints(family.config)
    hints = typing.get_type_hints(unpacked)
    assert hints.keys() == {field.name for field in fields(family.config)}
    different = {name for name, hint in hints.items() if hint != config[name]}
    assert different <= {"out_channels"}, "None where the width before the classifier scales"


def imports(path: Path) -> set[str]:
    """Modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@each_family
def test_families_do_not_import_each_other(family):
    others = [f"lightcars.models.{name}." for name in FAMILIES if name != family.name]
    for path in (SOURCE / "models" / family.name).glob("*.py"):
        wrong = [name for name in imports(path) for other in others if f"{name}.".startswith(other)]
        assert not wrong, path


def test_no_branch_asks_for_a_family():
    """Neither `isinstance(..., SomeConfig)` nor a comparison with a family's name, outside of its folder."""
    kinds = {family.config.__name__ for family in FAMILIES.values()} | {f.model for f in FAMILIES.values()}
    wrong = []
    for path in SOURCE.rglob("*.py"):
        if path.parent.name in FAMILIES and path.parent.parent.name == "models":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            texts = {text.value for text in ast.walk(node) if isinstance(text, ast.Constant)}
            is_call = isinstance(node, ast.Call) and getattr(node.func, "id", "") in {
                "isinstance",
                "issubclass",
            }
            if (is_call and named & kinds) or (isinstance(node, ast.Compare) and texts & set(FAMILIES)):
                wrong.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    assert wrong == []
