"""Class names: composed and decomposed letters are the same, marks and signs tell names apart."""

import unicodedata

import pytest

from lightcars.data.class_matching import class_key, find_class, folder_name
from lightcars.errors import DataError

HINDI = ("कार", "कोर", "किरा")  # they differ in vowel signs, which are combining marks


@pytest.mark.parametrize("name", ["Citroën", "Škoda Octavia", "ŠKODA", "中文", "Peugeot № 3", *HINDI])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_composed_and_decomposed_names_are_the_same(name, form, stored):
    classes = tuple(unicodedata.normalize(stored, known) for known in ("Audi", name, "Zastava"))
    assert find_class(unicodedata.normalize(form, name), classes) == 1


@pytest.mark.parametrize(
    "classes",
    [
        ("A", "A+"),
        ("C", "C++", "C#", "C/C++"),
        ("Golf 1.4", "Golf 14", "golf 1-4"),
        ("Audi", "audi", "AUDI"),
        ("Citroen", "Citroën"),
        HINDI,
        ("ก้า", "กา", "ก่า"),
    ],
)
def test_an_exact_match_wins(classes):
    assert [find_class(name, classes) for name in classes] == list(range(len(classes)))


def test_combining_marks_count():
    assert len({class_key(name) for name in HINDI}) == len(HINDI)
    assert class_key("Citroen") != class_key("Citroën")


@pytest.mark.parametrize(
    ("name", "classes", "position"),
    [
        ("ram c_v cargo van", ("Ram CX Van", "Ram C/V Cargo Van"), 1),
        ("GOLF 1-4", ("Golf 1/4", "Golf 14"), 0),
        ("golf_14", ("Golf V", "Golf 14"), 1),
        ("a", ("A", "A+"), 0),
    ],
)
def test_otherwise_case_and_punctuation_do_not_matter(name, classes, position):
    assert find_class(name, classes) == position


def test_a_loose_name_of_two_classes_is_an_error_that_names_them():
    with pytest.raises(DataError, match=r"'golf_1_4' may be Golf 1\.4 or Golf 14; use the exact name\."):
        find_class("golf_1_4", ("Golf 1.4", "Golf 14"))


def test_an_unknown_name_has_a_hint():
    with pytest.raises(DataError, match=r"'Audo' is not one of the 2 classes\. Did you mean Audi\?"):
        find_class("Audo", ("Audi", "BMW"))


def test_folder_names_are_valid_everywhere():
    assert folder_name('a<>:"/\\|?*\x00b. ') == "a----------b"
    assert folder_name("..") == "-"
    assert folder_name("Citroe\u0308n") == "Citro\u00ebn"
