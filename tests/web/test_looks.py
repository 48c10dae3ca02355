"""Title, colors, icons and texts of the page."""

import io
import json
import re
from xml.etree import ElementTree

import pytest
from PIL import Image

from lightcars.errors import ConfigError
from lightcars.web.colors import PANELS, PAPERS, contrast, parse_color, theme
from lightcars.web.icons import png_icon, svg_icon
from lightcars.web.page import PageOptions, source_text
from lightcars.web.texts import shipped_texts, texts_with


@pytest.mark.parametrize("text", ["#000", "#fff", "#0b6e4f", "#ffe600", "#808080", "#F0F"])
def test_every_color_becomes_readable(text):
    for mode in PAPERS:
        found = theme(parse_color(text), mode)
        accent, on_accent = parse_color(found.accent), parse_color(found.on_accent)
        for behind in (PAPERS[mode], PANELS[mode], on_accent):
            assert contrast(accent, behind) >= 4.5
    assert theme(parse_color("#0b6e4f"), "light").accent == "#0b6e4f"


@pytest.mark.parametrize("text", ["green", "#12", "#12345g", "", "0b6e4f"])
def test_other_texts_are_no_colors(text):
    with pytest.raises(ConfigError, match="a color must be written like #07c or #0077cc"):
        PageOptions(color=text)


@pytest.mark.parametrize("title", ["", "  ", "x" * 81])
def test_titles(title):
    with pytest.raises(ConfigError, match="a title must have 1 to 80 characters"):
        PageOptions(title=title)
    assert PageOptions(title=" Autka ").shown_title == "Autka"


def test_icons():
    color = parse_color("#0b6e4f")
    for side, zoom in ((192, 1.0), (512, 0.75)):
        image = Image.open(io.BytesIO(png_icon(color, side, zoom=zoom)))
        assert (image.size, image.mode) == ((side, side), "RGB")
        assert image.getpixel((1, 1)) == color
        assert image.getpixel((side // 2, round(side * (0.5 + 0.03 * zoom)))) == (255, 255, 255)
    assert ElementTree.fromstring(svg_icon(color)).attrib["viewBox"] == "0 0 100 100"


def test_both_languages_have_the_same_texts():
    english, polish = shipped_texts().values()
    assert set(english) == set(polish)
    for key, text in english.items():
        assert text.count("{") == polish[key].count("{"), key
        assert not {part.split("}")[0] for part in text.split("{")[1:]} - {
            part.split("}")[0] for part in polish[key].split("{")[1:]
        }


def test_every_text_of_the_page_exists():
    used = set(re.findall(r'data-(?:text|label)="(\w+)"', source_text("index.html")))
    for name in ("main", "picture", "results", "viewfinder"):
        source = source_text(f"app/{name}.js")
        used |= set(re.findall(r'(?:text|say|PictureError|\?) ?\(?"(\w+)"', source))
    used -= {"off"}  # of aria-live
    known = shipped_texts()["en"]
    assert not {key for key in used if key and key not in known}
    elsewhere = {"description", "error_heic", "error_type", "language_name", "threads", "wasm", "webgpu"}
    assert not {key for key in known if not {key, key.removesuffix("_car")} & (used | elsewhere)}


def test_a_file_changes_texts_and_adds_languages(tmp_path):
    path = tmp_path / "texts.json"
    path.write_text(
        json.dumps({"en": {"hint": "A bird!"}, "de": {"language_name": "Deutsch", "live": "Live!"}})
    )
    found = texts_with(path)
    assert list(found) == ["en", "pl", "de"]
    assert found["en"]["hint"] == "A bird!"
    assert "hint_car" not in found["en"], "it would be shown in place of the new text"
    assert (found["de"]["live"], found["de"]["share"]) == ("Live!", "Share the result")
    assert found["de"]["hint_car"] == shipped_texts()["en"]["hint_car"]
    assert found["pl"] == shipped_texts()["pl"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "must be a JSON object of languages"),
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ('{"English": {}}', "must be a JSON object of languages"),
        ('{"en": []}', "en must be an object of texts"),
        ('{"en": {"hint": 1}}', "en must be an object of texts"),
        ('{"en": {"hint": "\\ud800"}}', "must be an object of texts in valid Unicode"),
        ('{"en": {"hnit": "x"}}', "the page has no text 'hnit'. Did you mean hint"),
        ('{"de": {"hint": "x"}}', "the language de needs its name"),
        (None, "cannot be read"),
    ],
)
def test_invalid_files_of_texts(tmp_path, content, problem):
    path = tmp_path / "texts.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=problem):
        texts_with(path)
