"""`lightcars recipes`, and recipes where `finetune` takes them."""

import json

import pytest

from lightcars.recipes.files import load_recipe, recipe_names, recipe_text

SMALL = ("--epochs", 1, "--resolution", 32, "--batch-size", 8, "--width", 0.1, "--out-channels", 16)
SMALL += ("--precision", "32-true", "--memory-format", "channels_last")


def test_recipes_lists_all(lightcars, terminal):
    terminal(120)
    shown = lightcars("recipes")
    assert shown.code == 0
    assert [line.split()[0] for line in shown.out.splitlines()[2:]] == recipe_names()
    terminal(80)  # cells are folded
    assert max(map(len, lightcars("recipes").out.splitlines())) <= 80


def test_the_table_tells_experiments_apart(lightcars, terminal):
    """Into a pipe, with all that differs, on one line for each recipe."""
    lines = lightcars("recipes").out.splitlines()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[2:]}
    assert rows["c-50"] == (
        "ghostnet_thesis AdamW 0.001 0.6 MultiStepLR 227 83.8 % 200 64 out_channels=320, dropout=0.2"
        " HorizontalFlip, Affine, ColorJitter 0.1 GhostNet thesis, C-50"
    )
    assert len({row.partition(" GhostNet thesis")[0] for row in rows.values()}) >= 60
    terminal(120)
    shown = lightcars("recipes")
    assert "augmentation" not in shown.out
    assert "stated by the thesis" in shown.err


def test_recipes_as_json(lightcars):
    found = json.loads(lightcars("recipes", "--json").out)
    assert found["c-50"]["optimizer"]["weight_decay"] == 0.6
    assert list(found) == recipe_names()


def test_show_and_copy(lightcars, tmp_path):
    assert lightcars("recipes", "show", "c-50").out == recipe_text("c-50")
    copy = tmp_path / "mine.yaml"
    assert lightcars("recipes", "copy", "c-50", copy).code == 0
    assert load_recipe(copy) == load_recipe("c-50")
    assert "already exists" in lightcars("recipes", "copy", "c-50", copy).error
    assert "there is no recipe 'c-5O'" in lightcars("recipes", "show", "c-5O").error


def test_finetune_with_a_recipe_and_changes(lightcars, cars, tmp_path):
    run = tmp_path / "run"
    changes = ("--set", "optimizer.lr=3e-4", "--set", "schedule.settings.milestones=[1]")
    shown = lightcars("finetune", cars, "--recipe", "c-50", *SMALL, *changes, "--out", run)
    assert shown.code == 0, shown.err
    recipe = json.loads((run / "run.json").read_text())["recipe"]
    assert recipe["name"] == "c-50"
    assert recipe["optimizer"] == load_recipe("c-50", ["optimizer.lr=3e-4"]).to_dict()["optimizer"]
    assert recipe["schedule"]["settings"] == {"gamma": 0.1, "milestones": [1]}
    assert recipe["model"]["settings"] == {"out_channels": 16, "dropout": 0.2, "width": 0.1}
    assert lightcars("finetune", cars, "--out", run, "--resume").code == 0
    assert (
        "leave --recipe out"
        in lightcars("finetune", cars, "--recipe", "c-50", "--out", run, "--resume").error
    )
    other = lightcars("finetune", cars, "--out", run, "--resume", "--set", "optimizer.lr=1").error
    assert "optimizer.lr 0.0003 -> 1.0" in other


def test_test_is_asked_for_and_selecting_on_it_is_said(lightcars, cars, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "classes.txt").write_text((cars / "classes.txt").read_text())
    for ours, theirs in (("train", "train"), ("val", "val"), ("test", "val")):
        (data / ours).symlink_to(cars / theirs, target_is_directory=True)
    shown = lightcars("finetune", data, *SMALL, "--model", "ghostnet_050", "--test", "--out", tmp_path / "a")
    assert "test top-1" in shown.out
    shown = lightcars(
        "finetune", data, *SMALL, "--model", "ghostnet_050", "--select-on", "test", "--out", tmp_path / "b"
    )
    assert "test (chosen on test: too good) top-1" in shown.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--recipe", "c-99"), "there is no recipe 'c-99'"),
        (("--recipe", "nowhere.yaml"), "nowhere.yaml cannot be read"),
        (("--set", "optimizer.lrr=1"), "--set optimizer.lrr=1: optimizer.lrr: there is no such setting"),
        (("--set", "optimizer.lr"), "write key=value"),
        (("--recipe", "c-50", "--set", "epochs=many"), "epochs: input should be a valid integer"),
        (("--select-on", "train"), "input should be 'val' or 'test'"),
    ],
)
def test_recipes_that_cannot_be(lightcars, cars, tmp_path, arguments, text):
    assert text in lightcars("finetune", cars, *arguments, "--out", tmp_path / "run").error
    assert not (tmp_path / "run").exists()
