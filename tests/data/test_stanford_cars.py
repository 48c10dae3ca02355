"""The 196 classes: the devkit's names in the devkit's order, found however a folder spells them."""

import pytest

from lightcars.data.class_matching import class_key
from lightcars.data.stanford_cars import CLASS_NAMES, class_index
from lightcars.errors import DataError, LightcarsError


def test_names_and_order_are_the_devkits(shared):
    scipy_io = pytest.importorskip("scipy.io")
    meta = scipy_io.loadmat(shared / "devkit" / "cars_meta.mat", squeeze_me=True)
    assert tuple(map(str, meta["class_names"])) == CLASS_NAMES


def test_there_are_196_that_letters_and_digits_tell_apart():
    assert len(CLASS_NAMES) == 196
    assert len({class_key(name) for name in CLASS_NAMES}) == 196
    assert CLASS_NAMES[0] == "AM General Hummer SUV 2000"
    assert CLASS_NAMES[-1] == "smart fortwo Convertible 2012"


def test_devkit_order_is_not_the_order_of_sorted_folders():
    assert list(CLASS_NAMES) != sorted(CLASS_NAMES)


@pytest.mark.parametrize(
    "spell",
    [
        str,
        str.upper,
        lambda name: name.replace("/", "-"),
        lambda name: name.replace(" ", "_").replace("/", ""),
        lambda name: f"  {name.lower()} ",
    ],
    ids=["as it is", "upper case", "dash for slash", "underscores", "spaces around"],
)
def test_every_name_is_found_under_the_spellings_of_the_usual_copies(spell):
    assert [class_index(spell(name)) for name in CLASS_NAMES] == list(range(196))


@pytest.mark.parametrize("name", ["Ram C-V Cargo Van Minivan 2012", "ram c_v cargo van minivan 2012"])
def test_a_slash_may_have_become_anything(name):
    assert CLASS_NAMES[class_index(name)] == "Ram C/V Cargo Van Minivan 2012"


def test_an_unknown_name_is_one_line_with_the_nearest_names():
    with pytest.raises(DataError, match="not one of the 196 classes of Stanford Cars") as caught:
        class_index("Acura TL Sedan 2021")
    assert "Did you mean Acura TL Sedan 2012" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, LightcarsError)
    assert isinstance(caught.value, ValueError)


def test_classes_of_your_own():
    assert class_index("fire-engine", ("Bus", "Fire Engine")) == 1
    with pytest.raises(DataError, match="'Tram' is not one of the 2 classes"):
        class_index("Tram", ("Bus", "Fire Engine"))
