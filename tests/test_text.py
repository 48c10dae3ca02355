"""One line is one line, whatever a file name or a cell holds; JSON is JSON, whatever was computed."""

import json
import unicodedata
from pathlib import Path

import pytest

import lightcars
from lightcars.text import json_text, one_line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Audi A4 Sedan 2012",
        "Citroën",
        "Citroe\u0308n",
        "中文",
        "हिन्दी",
        "🚗",
        "a\u00a0b",
        "C:\\cars\\new",
    ],
)
def test_names_stay_as_they_are(text):
    assert one_line(text) == text


@pytest.mark.parametrize("number", [*range(0x20), 0x7F, 0x85, 0x2028, 0x2029, 0x202E, 0x2066, 0xFEFF, 0xDCFF])
def test_what_breaks_a_line_or_moves_the_cursor_is_escaped(number):
    shown = one_line(f"a{chr(number)}b")
    assert shown[:2] + shown[-1] == "a\\b"
    assert len(shown.splitlines()) == 1
    shown.encode("utf-8")
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in shown)


def test_long_texts_are_cut_in_the_middle():
    text = "start " + "x" * 5000 + "; copy it again."
    shown = one_line(text, max_length=100)
    assert len(shown) == 100
    assert (shown[:8], shown[-16:]) == ("start xx", "; copy it again.")
    assert "..." in shown
    assert one_line("x" * 100, max_length=100) == "x" * 100


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [lambda v: v, lambda v: {"a": v}, lambda v: [1, (v, 2)]])
def test_json_has_null_for_what_it_cannot_hold(value, place):
    text = json_text(place(value))
    assert "null" in text
    json.loads(text, parse_constant=pytest.fail)


def test_json_of_plain_values_is_that_of_the_standard_library():
    content = {"a": [1, 2.5, True, None], "name": "Citroën"}
    assert json_text(content) == json.dumps(content, indent=2, ensure_ascii=False)
    assert json_text(content, indent=None, ensure_ascii=True) == json.dumps(content)


def test_there_is_one_writer_of_json():
    """Numbers reach files and terminals only through it; the rest writes none, or reads them back itself."""
    source = Path(lightcars.__file__).parent
    others = {
        "benching/process.py",
        "cli/recipe_options.py",
        "data/layouts/mat_reader.py",
        "deploy/artifacts/executorch.py",
        "deploy/cache.py",
        "deploy/standalone/predict.py",
        "evaluation/bulk/journal.py",
        "evaluation/bulk/names.py",
        "recipes/files.py",
        "reports/page.py",
        "runs/description.py",
        "runs/state.py",
        "text.py",
        "training/distributed/processes.py",
    }
    found = {
        str(path.relative_to(source)) for path in source.rglob("*.py") if "json.dump" in path.read_text()
    }
    assert found == others
