"""A run that selected its epoch on the test split, as the theses did: all output with its metrics says so."""

import csv
import io
import json
import re
import shutil
from dataclasses import replace

import pytest

from lightcars import finetune, load, save_pretrained
from lightcars.recipes.recipe import ModelRecipe, Recipe
from lightcars.reports import pictures
from lightcars.runs.selection import CHOSEN_ON_TEST
from lightcars.sharing import Training
from lightcars.training.callbacks.progress import EpochBar

RECIPE = Recipe(
    model=ModelRecipe(name="ghostnet_050", settings={"width": 0.1, "out_channels": 16}),
    epochs=2,
    resolution=32,
    batch_size=8,
    precision="32-true",
    memory_format="channels_last",
    select_on="test",
    test=True,
)


def text_of(page):
    """The words of a page, without tags."""
    text = re.sub(r"<style>.*?</style>", "", page.read_text(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


@pytest.fixture(scope="module")
def data(cars, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "classes.txt").write_text((cars / "classes.txt").read_text())
    for ours, theirs in (("train", "train"), ("val", "val"), ("test", "val")):
        (folder / ours).symlink_to(cars / theirs, target_is_directory=True)
    return folder


@pytest.fixture(scope="module")
def chosen(data, tmp_path_factory):
    """The result, and what the pictures of the run say."""
    said = []

    def legends(figure, path):
        for axes in figure.axes:
            said.extend(axes.get_legend_handles_labels()[1])
        return original(figure, path)

    original = pictures.write_figure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "write_figure", legends)
        result = finetune(data, recipe=RECIPE, out=tmp_path_factory.mktemp("chosen") / "run")
    return result, said


@pytest.fixture(scope="module")
def honest(data, tmp_path_factory):
    """The same with the validation split."""
    recipe = replace(RECIPE, select_on="val", test=False)
    return finetune(data, recipe=recipe, out=tmp_path_factory.mktemp("honest") / "run").run


def test_the_files_of_the_run_say_it(chosen, honest):
    result, legends = chosen
    run = result.run
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["selected_on"], metrics["note"]) == ("test", CHOSEN_ON_TEST)
    assert metrics == result.metrics
    for name in ("metrics.csv", "predictions.csv"):
        rows = list(csv.DictReader(io.StringIO((run / name).read_text())))
        assert {row["note"] for row in rows} == {CHOSEN_ON_TEST}
        assert "note" not in (honest / name).read_text()
    assert json.loads((run / "run.json").read_text())["recipe"]["select_on"] == "test"
    assert legends == ["train", f"test ({CHOSEN_ON_TEST})", "best epoch, 1"] * 2
    assert "note" not in (honest / "metrics.json").read_text()


def test_lines_and_bars_while_it_runs_say_it(lightcars, data, tmp_path):
    setting = ("--set", "model.settings.width=0.1", "--set", "model.settings.out_channels=16")
    small = ("--epochs", 1, "--resolution", 32, "--batch-size", 8)
    command = ("finetune", data, "--model", "ghostnet_050", *setting, *small)
    shown = lightcars(*command, "--select-on", "test", "--test", "--out", tmp_path / "run")
    assert f"  |  test ({CHOSEN_ON_TEST}) loss " in shown.err
    assert f"epoch 1 of 1: test ({CHOSEN_ON_TEST}) top-1 " in shown.out
    assert f"\ntest ({CHOSEN_ON_TEST}) top-1 " in shown.out


def test_the_bar_names_the_split(monkeypatch):
    class Module:
        recipe = RECIPE

    monkeypatch.setattr(EpochBar.__mro__[1], "get_metrics", lambda *_: {"v_num": 1, "val_top1_percent": 2.0})
    assert EpochBar().get_metrics(None, Module()) == {
        "v_num": 1,
        f"test ({CHOSEN_ON_TEST})_top1_percent": 2.0,
    }
    Module.recipe = Recipe()
    assert "val_top1_percent" in EpochBar().get_metrics(None, Module())


@pytest.mark.parametrize("checkpoint", ["", "best", "last"])
def test_evaluate_says_it_of_the_test_split_alone(lightcars, chosen, honest, data, checkpoint):
    run = chosen[0].run / checkpoint
    shown = lightcars("evaluate", run, data, "--split", "test")
    assert shown.out.startswith(f"test ({CHOSEN_ON_TEST}): 16 images, top-1 ")
    assert f"worst classes ({CHOSEN_ON_TEST})" in shown.out
    evaluated = json.loads(lightcars("evaluate", run, data, "--split", "test", "--json").out)
    assert (evaluated["selected_on"], evaluated["note"]) == ("test", CHOSEN_ON_TEST)
    train = json.loads(lightcars("evaluate", run, data, "--split", "train", "--json").out)
    assert (train["selected_on"], train["note"]) == ("test", None)
    for split in ("val", "test"):
        other = json.loads(lightcars("evaluate", honest / checkpoint, data, "--split", split, "--json").out)
        assert (other["selected_on"], other["note"]) == ("val", None)
    assert CHOSEN_ON_TEST not in lightcars("evaluate", honest / checkpoint, data, "--split", "test").out


def test_evaluate_of_a_checkpoint_outside_of_a_run_knows_of_no_split(lightcars, chosen, data, tmp_path):
    shutil.copytree(chosen[0].run / "best", tmp_path / "best")
    evaluated = json.loads(lightcars("evaluate", tmp_path / "best", data, "--split", "test", "--json").out)
    assert (evaluated["selected_on"], evaluated["note"]) == (None, None)


def test_the_report_of_one_run_says_it_everywhere(chosen, honest):
    words = text_of(chosen[0].run / "report.html")
    mark = f"({CHOSEN_ON_TEST})"
    for place in (
        *(f"top-1 {mark} {chosen[0].metrics['val_top1_percent']:.2f} %", f"top-5 {mark} "),
        *(f"best epoch {mark}", f"test loss {mark}", f"calibration error {mark}", "test images 16 "),
        *(f"Hardest classes {mark}", f"Confusion matrix {mark}", f"All classes {mark}"),
        *(f"Confident mistakes {mark}", f"Calibration {mark} "),
        *(f"train test {mark} ", f"test {mark} top-1 ", f"test {mark} top-5 "),
        *("on the test images.", "The test split selected the epoch"),
    ):
        assert place in words, place
    assert "validation" not in words.replace("validation_seed", "")
    assert CHOSEN_ON_TEST not in text_of(honest / "report.html")


def test_the_report_of_several_runs_says_it_of_that_run(lightcars, chosen, honest, tmp_path):
    run = chosen[0].run
    shutil.copytree(honest, tmp_path / "honest")
    page = tmp_path / "both.html"
    shown = lightcars("report", run, tmp_path / "honest", "--out", page)
    assert f"of 2, test ({CHOSEN_ON_TEST}) top-1 " in shown.out
    assert re.search(r"honest: ghostnet_050, best epoch \d of 2, val top-1 ", shown.out)
    words, mark = text_of(page), rf"\({CHOSEN_ON_TEST}\)"
    for figure in (r"top-1 [\d.]+ %", r"top-5 [\d.]+ %", r"validation loss [\d.]+", r"best epoch \d"):
        assert re.search(rf"{figure} {mark} \d", words), figure
    assert f"run test ({CHOSEN_ON_TEST})" in words
    assert "honest val" in words
    assert "or on its test images where that is noted" in words
    found = json.loads(lightcars("report", run, tmp_path / "honest", "--out", page, "--force", "--json").out)[
        "runs"
    ]
    assert [(one["selected_on"], one["note"]) for one in found] == [("test", CHOSEN_ON_TEST), ("val", None)]


def test_runs_that_were_evaluated_on_test_are_compared_as_such(lightcars, chosen, tmp_path):
    shutil.copytree(chosen[0].run, tmp_path / "second")
    page = tmp_path / "both.html"
    shown = lightcars("report", chosen[0].run, tmp_path / "second", "--out", page)
    assert re.search(rf"every run gets .* wrong \({CHOSEN_ON_TEST}\)", shown.out)
    words = text_of(page)
    assert f"Images that every run gets wrong ({CHOSEN_ON_TEST}) Of 16 test images" in words
    assert "One column for each test image" in words


def test_a_table_without_the_note_is_read_with_it(lightcars, chosen, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(chosen[0].run, run)
    table = (run / "predictions.csv").read_text().replace(",note", "").replace(f",{CHOSEN_ON_TEST}", "")
    (run / "predictions.csv").write_text(table)
    lightcars("report", run)
    assert f"Hardest classes ({CHOSEN_ON_TEST})" in text_of(run / "report.html")


def test_a_model_card_with_its_metrics_says_it(chosen, honest, tmp_path):
    result = chosen[0]
    for name, training in (
        ("metrics", Training(metrics=result.metrics)),
        ("recipe", Training(metrics={"top1_percent": 90.0}, recipe=RECIPE.to_dict())),
    ):
        card = save_pretrained(result.model, tmp_path / name, training=training) / "README.md"
        assert "The test split selected the epoch, so these m" in card.read_text()
    evaluated = json.loads((honest / "metrics.json").read_text())
    card = save_pretrained(load(honest / "best"), tmp_path / "x", training=Training(metrics=evaluated))
    assert "optimistically biased" not in (card / "README.md").read_text()
