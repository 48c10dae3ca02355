"""The examples in README.md and docs/ run as they stand, and the generated tables are up to date."""

import re
import runpy
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\S+)(?: ([\w-]+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples(page, language):
    return [m[3] for m in FENCE.finditer(page.read_text()) if m[1] == language and m[2] != "no-run"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for source in examples(page, "python"):
        exec(compile(source, str(page), "exec"), {"__name__": "example"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_that_need_photographs_compile(page):
    for match in FENCE.finditer(page.read_text()):
        if match[1] == "python":
            compile(match[3], str(page), "exec")


def test_every_command_line_example_names_known_commands_and_options():
    from typer.main import get_command

    from lightcars.cli.main import app

    commands = get_command(app).commands
    lines = [
        line
        for page in PAGES
        for block in examples(page, "sh")
        for line in block.splitlines()
        if line.startswith("lightcars ")
    ]
    assert len(lines) >= 8
    for line in lines:
        words = line.split("#")[0].split()
        command = commands[words[1]]
        command = getattr(command, "commands", {words[2]: command})[words[2]] if len(words) > 2 else command
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


TABLES = runpy.run_path(str(ROOT / "docs" / "tables.py"))
GENERATED = [page for page in PAGES if "made by docs/tables.py" in page.read_text()]


def test_what_is_generated_is_where_it_belongs():
    assert set(GENERATED) == set(TABLES["PAGES"])
    named = {match[2] for page in GENERATED for match in TABLES["BLOCK"].finditer(page.read_text())}
    assert named == set(TABLES["blocks"]()), "a table that no page asks for"
    readme = (ROOT / "README.md").read_text()
    assert readme.index("\n| ") == readme.index(TABLES["blocks"]()["how-fast"]()) - 1, "not the first table"
    assert TABLES["model_table"]() in readme


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_tables_are_up_to_date(page):
    text = page.read_text()
    assert TABLES["with_blocks"](text) == text, "run: python docs/tables.py"


def test_the_curves_of_the_search_are_up_to_date():
    tables, path = TABLES["cars_tables"], ROOT / "docs" / "images" / "search.png"
    with Image.open(path) as image:
        assert image.text[tables.SOURCE] == tables.digest(TABLES["records"]()), "run: python docs/tables.py"


@pytest.mark.parametrize("name", TABLES["plots"].PICTURES)
def test_pictures_are_up_to_date(name):
    panels = TABLES["plots"].PICTURES[name](TABLES["records"]())
    path = TABLES["IMAGES"] / name
    assert path.exists() == bool(panels), "run: python docs/tables.py"
    if panels:
        shown = Image.open(path).text[TABLES["plots"].SOURCE]
        assert shown == TABLES["plots"].digest(panels), "run: python docs/tables.py"


def test_changelog_has_this_version():
    from lightcars import __version__

    assert f"## {__version__} " in (ROOT / "CHANGELOG.md").read_text()
