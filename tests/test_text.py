"""One line is one line, whatever a file name or a cell holds."""

import unicodedata

import pytest

from lightcars.text import one_line


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
