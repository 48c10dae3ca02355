"""Every benchmark starts: its imports are there, its options parse."""

import importlib
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from lightcars.data.drawn_cars import draw_cars

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("*.py") if "def main()" in path.read_text())


@pytest.mark.parametrize("name", SCRIPTS)
def test_help(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(name).main()
    assert stop.value.code == 0
    assert "usage" in capsys.readouterr().out


def test_a_fine_tunes_step_is_measured(tmp_path):
    command = [sys.executable, BENCHMARKS / "finetune_step.py", "--quick", "--out", tmp_path / "found.json"]
    command += ["--steps", "2", "--resolution", "32", "--workers", "0", "--patience", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "outside, %" in done.stdout
    measured = json.loads((tmp_path / "found.json").read_text())["results"]["workers=0"]
    assert measured["real_ms"] > 0 < measured["bare_ms"]


def test_a_teacher_is_trained_before_who_learns_from_it():
    from cars_search import in_turns

    turns = in_turns([("distilled", 1), ("start", 0), ("b0", 0)])
    assert [set(turn) for turn in turns] == [{("b0", 1), ("start", 0), ("b0", 0)}, {("distilled", 1)}]


def test_what_goes_on_comes_after_what_it_goes_on_from():
    from cars_search import in_turns

    turns = in_turns([("cars-last", 0), ("cars-longer", 0), ("start", 0)])
    assert [set(turn) for turn in turns] == [
        {("cars-scratch", 0), ("start", 0)},
        {("cars-longer", 0)},
        {("cars-last", 0)},
    ]


def test_every_trial_is_a_recipe(tmp_path):
    from cars_search import TRIALS, recipe_of

    recipes = {name: recipe_of(tmp_path, name, 3, ["workers=0"]) for name in TRIALS}
    assert {recipe.seed for recipe in recipes.values()} == {3}
    assert recipes["distilled"].distillation.teacher == str(tmp_path / "b0-s3")
    assert recipes["cars-longer"].model.weights == str(tmp_path / "cars-scratch-s3")
    assert recipes["steps"].schedule.name == "MultiStepLR"


def test_runs_of_earlier_results_stay_while_the_recipe_is_the_same(tmp_path, monkeypatch, capsys):
    import cars_search

    def figures(seed, top1):
        return {"seed": seed, "val_top1_percent": top1}

    out = tmp_path / "cars_search.json"
    given = Namespace(data=Path("cars"), runs=tmp_path / "runs", changes=[], out=out)
    same = cars_search.digest(cars_search.recipe_of(Path("elsewhere"), "start", 7, []))
    kept = {"says": "old words", "runs": [{**figures(seed, 50.0), "recipe": same} for seed in (0, 1)]}
    other = {"says": "other", "runs": [{**figures(0, 60.0), "recipe": "another"}]}
    write = {"data": "cars", "changes": [], "results": {"start": kept, "ema": other, "gone": kept}}
    out.write_text(json.dumps(write))
    (given.runs / "start-s1").mkdir(parents=True)
    (given.runs / "start-s1" / "metrics.json").touch()
    monkeypatch.setattr(cars_search, "run", lambda data, folder, recipe: figures(recipe.seed, 44.0))
    found = cars_search.collected(given)
    assert list(found) == ["start"]
    assert [run["val_top1_percent"] for run in found["start"]["runs"]] == [50.0, 44.0]
    assert found["start"]["val_top1_percent_mean"] == 47.0
    assert found["start"]["says"] != "old words"
    assert {run["recipe"] for run in found["start"]["runs"]} == {same}
    assert "another one now: ema, seed 0" in capsys.readouterr().out
    assert len({cars_search.digest(cars_search.recipe_of(tmp_path, n, 0, [])) for n in ("b0", "ema")}) == 2
    given.data = Path("other-cars")
    assert [run["val_top1_percent"] for run in cars_search.collected(given)["start"]["runs"]] == [44.0]


def test_the_weights_that_ship_are_trained_in_turn(tmp_path):
    from train_cars196 import described, hours_of, trained_in_turn

    data = draw_cars(tmp_path / "cars", train=2, val=1)
    tiny = ["resolution=32", "decode_resolution=32", "progressive=null", "epochs=1", "batch_size=16"]
    plain = [*tiny, "augment.tensors=[]", "precision=32-true", "workers=0", "model.name=ghostnet_050"]
    given = Namespace(
        data=data, runs=tmp_path / "runs", recipes=["cars-scratch", "cars-longer"], changes=plain
    )
    first, second = trained_in_turn(given)
    assert (first.name, second.name) == ("1-cars-scratch", "2-cars-longer")
    assert json.loads((second / "run.json").read_text())["recipe"]["model"]["weights"] == str(first)
    before = (second / "metrics.csv").read_bytes()
    assert trained_in_turn(given) == [first, second]
    assert (second / "metrics.csv").read_bytes() == before
    recipe = described([first, second])
    assert recipe["optimizer.lr"] == 0.008
    assert {recipe[f"run 2: {key}"] for key in ("name", "optimizer.lr", "model.weights")} == {
        "cars-longer",
        0.005,
        "of run 1",
    }
    assert "run 2: epochs" not in recipe
    assert 0 < hours_of(second) < 1


def test_the_smallest_resolution_that_is_as_good_is_taken():
    from train_cars196 import Choice, chosen

    tops = {(128, False): 80.9, (144, False): 84.2, (144, True): 82.5, (160, True): 84.6}
    tried = [Choice(side=side, anew=anew, top1_percent=top1) for (side, anew), top1 in tops.items()]
    assert chosen(tried, 968) == tried[1]
    assert chosen(tried, 100_000).side == 160


def test_hours_leave_out_that_a_run_was_stopped():
    from cars_recipes import hours

    assert hours([30.0, 40.0, 3000.0, 40.0, 50.0]) * 3600 == 200.0


def test_the_search_still_knows_the_recipes_of_its_results(tmp_path):
    """Renamed keys must not make recorded runs those of another recipe."""
    import cars_search

    recorded = json.loads((cars_search.RESULTS / "cars_search.json").read_text())
    for name, found in recorded["results"].items():
        for run in found["runs"]:
            recipe = cars_search.recipe_of(tmp_path, name, run["seed"], recorded["changes"])
            assert cars_search.digest(recipe) == run["recipe"], (name, run["seed"])
