"""Tables: aligned, one line a row unless a terminal is narrow, and cells as they are."""

import os
import pty
import subprocess
import sys

import pytest

from lightcars.tables import markdown_table, short_number, text_table


def test_short_numbers():
    numbers = [0, 7, 999, 1000, 1234, 5_288_548, 37_745_884_192, 4 * 10**12]
    expected = ["0", "7", "999", "1 k", "1.23 k", "5.29 M", "37.7 G", "4 T"]
    assert [short_number(number) for number in numbers] == expected


@pytest.mark.parametrize(("number", "text"), [(999_999, "1 M"), (999_600, "1 M"), (999_999_999, "1 G")])
def test_short_numbers_just_below_a_unit(number, text):
    assert short_number(number) == text


def test_tables_without_rows():
    assert text_table(("a", "bc"), []) == "a  bc\n-----"
    assert markdown_table(("a", "bc"), []) == "| a | bc |\n| --- | --- |"


def test_columns_are_aligned_and_no_line_ends_in_spaces():
    table = text_table(("class", "images"), [("Audi A4 Sedan", "7"), ("BMW", "1,200")], right=["images"])
    assert table.splitlines() == [
        "class          images",
        "---------------------",
        "Audi A4 Sedan       7",
        "BMW             1,200",
    ]


def test_a_row_is_one_line_however_long():
    table = text_table(("name", "x"), [("a" * 500, "b" * 500)])
    assert table.splitlines()[2] == "a" * 500 + "  " + "b" * 500


@pytest.mark.parametrize("width", [20, 40, 79])
def test_cells_are_folded_to_fit_a_terminal(width):
    table = text_table(
        ("name", "count"), [("word " * 30, "12"), ("a" * 90, "3")], right=["count"], width=width
    )
    assert max(map(len, table.splitlines())) <= width
    assert sum(line.count("word") for line in table.splitlines()) == 30
    assert sum(line.count("a") for line in table.splitlines()[2:]) == 90


def test_cells_are_printed_as_they_are():
    cells = ["[red]A[/red]", ":car:", "$x$", "C:\\cars\\new", "Citroën"]
    table = text_table(("cell",), [(cell,) for cell in cells])
    assert table.splitlines()[2:] == cells


def test_wide_characters_take_two_columns():
    rows = text_table(("name", "x"), [("中文", "1"), ("abcd", "2")]).splitlines()[2:]
    assert rows == ["中文  1", "abcd  2"]


def test_a_cell_cannot_break_its_row_or_reach_the_terminal():
    hostile = ("a\nb\rc", "\x1b[31mred", "caf\udce9.jpg", "a|b")
    text = text_table("abcd", [hostile])
    assert text.splitlines()[2] == "a\\nb\\rc  \\x1b[31mred  caf\\udce9.jpg  a|b"
    assert markdown_table("abcd", [hostile]).splitlines()[2] == (
        "| a\\nb\\rc | \\x1b[31mred | caf\\udce9.jpg | a\\|b |"
    )


def test_no_torch_and_rich_only_when_a_table_is_made():
    code = "import sys, lightcars.tables; assert not {'torch', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_in_a_notebook_a_table_is_text_too(monkeypatch, capsys):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert text_table(("name",), [("a",)]).splitlines()[-1] == "a"
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_command_line_fits_a_terminal_and_does_not_fold_in_a_pipe():
    code = "from lightcars.cli.output import print_table; print_table(('name',), [('word ' * 40,)])"
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert len(piped.splitlines()) == 3
    parent, child = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code], stdout=child, env={**os.environ, "COLUMNS": "60"}, check=True
    )
    os.close(child)
    shown = os.read(parent, 10_000).decode()
    os.close(parent)
    assert max(map(len, shown.splitlines())) <= 60
    assert shown.count("word") == 40
