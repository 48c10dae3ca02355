"""Recipes from files of strangers, and keys that were renamed."""

import os
import sys
import time

import pytest

from lightcars.errors import ConfigError
from lightcars.recipes.aliases import RENAMED, new_path, old_key
from lightcars.recipes.files import (
    MAX_BYTES,
    load_recipe,
    parse_recipe,
    recipe_from,
    recipe_names,
    recipe_text,
)
from lightcars.recipes.recipe import Recipe
from lightcars.renamed import RenamedKeyWarning

BOMB = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghijkl", "bcdefghijklm", strict=True)
)


def one_line(caught) -> str:
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    return message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "expands to more than 10,000 values"),
        ("a: &a [*a]", "line 1: an alias contains itself"),
        ("seed: 0\na: &a {b: *a}", "line 2: an alias contains itself"),
        ("[" * 1500 + "]" * 1500, "nested too deeply"),
        ("a: " + "[" * 120 + "]" * 120, "line 1: nested too deeply"),
        ("epochs: " + "9" * 5000, "too long a number"),
        ("epochs: !!int abc", "does not fit its type"),
        ("epochs: !!float abc", "does not fit its type"),
        ("epochs: !!bool abc", "does not fit its type"),
        ("epochs: !!timestamp 2020-01-01", "line 1: invalid YAML (could not determine a constructor"),
        ("epochs: !!binary aGk=", "line 1: invalid YAML"),
        ("epochs: !!set {a, b}", "line 1: invalid YAML"),
        ("epochs: !!python/object/apply:os.getcwd []", "line 1: invalid YAML"),
        ("epochs: 2020-01-01", "epochs: input should be a valid integer, not '2020-01-01'"),
        ("epochs: 2020-99-99", "epochs: input should be a valid integer, not '2020-99-99'"),
        ("epochs: " + "x" * 5000, "input should be a valid integer, not 'xxx"),
        ("2020-01-01: 3", "2020-01-01: there is no such setting"),
        ("1: 2", "line 1: a key that is not text"),
        ("? [a]\n: 2", "line 1: a key that is not text"),
        ("null: 2", "line 1: a key that is not text"),
        ("epochs: 3\n---\nepochs: 4", "line 2: invalid YAML"),
        ("a: \x00", "invalid YAML"),
        ("epochs: *nowhere", "line 1: invalid YAML"),
        ("optimizer:\n  settings: {x: .inf}", "line 2: optimizer.settings.x: it must be a finite number"),
        (
            "seed: 1\naugment: {images: [{ColorJitter: {hue: [.nan]}}]}",
            "line 2: augment.images.0.ColorJitter",
        ),
    ],
)
def test_a_hostile_recipe_is_one_clear_line_at_once(text, message):
    tracer = sys.gettrace()
    sys.settrace(None)  # that of coverage takes several times as long as the code
    try:
        started = time.process_time()
        with pytest.raises(ConfigError) as caught:
            parse_recipe(text, "here")
        took = time.process_time() - started
    finally:
        sys.settrace(tracer)
    assert message in one_line(caught)
    assert took < 2
    if "\n" not in text:
        with pytest.raises(ConfigError) as caught:
            parse_recipe("{}", "here", [f"optimizer={text}"])
        one_line(caught)


def test_aliases_are_fine_in_moderation():
    recipe = parse_recipe("seed: &n 7\nepochs: *n\nmodel: {settings: &s {dropout: 0.1}}", "here")
    assert (recipe.seed, recipe.epochs) == (7, 7)


def test_dates_are_text():
    assert parse_recipe("source: 2020-01-01", "here").source == "2020-01-01"


def test_a_recipe_is_a_file_of_moderate_size(tmp_path):
    pipe, folder, large = (tmp_path / f"{name}.yaml" for name in ("pipe", "folder", "large"))
    os.mkfifo(pipe)
    folder.mkdir()
    large.write_text("#" * (MAX_BYTES + 1))
    for path, message in ((pipe, "is not a file"), (folder, "is not a file"), (large, "more than 256 KiB")):
        with pytest.raises(ConfigError, match=message) as caught:
            load_recipe(path)
        one_line(caught)
    large.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(large)


# Renamed keys

OLD = """
photos_on_device: true
augment:
  photos: []
  batches: []
optimizer: {trunk_lr_factor: 0.5}
"""


def test_old_spellings_work_with_a_warning():
    with pytest.warns(RenamedKeyWarning) as caught:
        recipe = parse_recipe(OLD, "mine.yaml")
    assert (recipe.images_on_device, recipe.augment.images, recipe.optimizer.backbone_lr_factor) == (
        True,
        (),
        0.5,
    )
    assert [str(warning.message).partition(";")[0] for warning in caught] == [
        "mine.yaml: photos_on_device is now called images_on_device",
        "mine.yaml: augment.photos is now called augment.images",
        "mine.yaml: optimizer.trunk_lr_factor is now called optimizer.backbone_lr_factor",
    ]


def test_old_spellings_on_the_command_line():
    with pytest.warns(RenamedKeyWarning, match="optimizer.trunk_lr_factor is now called") as caught:
        recipe = load_recipe("c-50", ["optimizer.trunk_lr_factor=0.5"])
    assert recipe.optimizer.backbone_lr_factor == 0.5
    assert len(caught) == 1
    with (
        pytest.warns(RenamedKeyWarning),
        pytest.raises(ConfigError, match=r"--set augment\.photos=3: augment\.images"),
    ):
        load_recipe("c-50", ["augment.photos=3"])


def test_a_mistake_below_an_old_spelling_names_its_line():
    with (
        pytest.warns(RenamedKeyWarning),
        pytest.raises(ConfigError, match=r"line 3: augment\.images: images has"),
    ):
        parse_recipe("seed: 0\naugment:\n  photos:\n    - RandomRot: {}", "here")


def test_what_a_run_has_written_is_read_without_a_warning():
    before = Recipe(images_on_device=True).to_dict()
    before["photos_on_device"] = before.pop("images_on_device")
    before["augment"]["photos"] = before["augment"].pop("images")
    assert recipe_from(before, "run.json") == Recipe(images_on_device=True)
    assert "photos_on_device" in before, "left as it was"


def test_both_spellings_at_once_are_refused():
    with pytest.raises(ConfigError, match="photos_on_device is the old name of images_on_device"):
        parse_recipe("photos_on_device: true\nimages_on_device: true", "here")


def test_paths_there_and_back():
    assert new_path(("augment", "photos", 0, "ColorJitter")) == ("augment", "images", 0, "ColorJitter")
    assert new_path(("photos",)) == ("photos",)
    for path in RENAMED:
        assert new_path(old_key(".".join(path)).split(".")) == path
    assert old_key("epochs") == "epochs"


def test_named_recipes_use_the_new_spellings():
    for name in recipe_names():
        assert not [old for old in RENAMED.values() if f"{old}:" in recipe_text(name)], name
