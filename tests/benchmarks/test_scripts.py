"""Every script starts: its imports work, its options parse; and what the scripts compute."""

import argparse
import ast
import importlib
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import lightcars
from benchmarks.cars import choices, search
from benchmarks.harness import finding
from benchmarks.harness.finetunes import digest, hours
from benchmarks.harness.levels import levels
from benchmarks.harness.record import RESULTS, command_of, of_weights, out_of, records
from benchmarks.harness.record import SCRIPTS as SCRIPT_OF
from lightcars.data.class_matching import folder_name
from lightcars.data.drawn_cars import SILHOUETTES, draw_cars
from lightcars.data.layouts import find_data
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.models.preprocessing import Preprocessing
from lightcars.runs.trained import TrainedModel, load_trained
from lightcars.weights import measured
from scripts import car_weights, train_cars196
from scripts.car_weights import CAR_WEIGHTS

ROOT = Path(__file__).parents[2]
FILES = [
    path.relative_to(ROOT)
    for folder in ("benchmarks", "scripts")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
SCRIPTS = {
    ".".join(path.with_suffix("").parts) for path in FILES if "__main__" in (ROOT / path).read_text()
} - {"benchmarks.harness.peers"}


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_help(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(name).main()
    assert stop.value.code == 0
    assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_script_is_imported_and_the_search_path_is_left_alone(path):
    tree = ast.parse((ROOT / path).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert not imported & SCRIPTS
    assert "sys.path" not in ast.unparse(tree)


def test_every_result_names_its_script():
    assert {(ROOT / path).is_file() for path in SCRIPT_OF.values()} == {True}
    assert {record["benchmark"] for record in records().values()} <= set(SCRIPT_OF)
    for name, path in SCRIPT_OF.items():
        assert f'"{name}"' in (ROOT / path).read_text()
        assert command_of(name).removeprefix("python -m ") in SCRIPTS


def test_kept_results_of_the_search_are_of_the_recipes_of_today():
    for name, trial in records()["cars_search"]["results"].items():
        assert trial["says"] == search.TRIALS[name].says
        for run in trial["runs"]:
            recipe = search.recipe_of(Path("elsewhere"), name, run["seed"], [])
            assert digest(recipe) == run["recipe"], name


def test_a_fine_tunes_step_is_measured(tmp_path):
    command = [
        sys.executable,
        "-m",
        "benchmarks.speed.finetune_step",
        "--quick",
        "--out",
        tmp_path / "found.json",
    ]
    command += ["--steps", "2", "--resolution", "32", "--workers", "0", "--patience", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "outside, %" in done.stdout
    measured = json.loads((tmp_path / "found.json").read_text())["results"]["workers=0"]
    assert measured["real_ms"] > 0 < measured["bare_ms"]


def test_a_teacher_is_trained_before_its_student():
    turns = search.in_turns([("distilled", 1), ("start", 0), ("b0", 0)])
    assert [set(turn) for turn in turns] == [{("b0", 1), ("start", 0), ("b0", 0)}, {("distilled", 1)}]


def test_a_trial_comes_after_the_one_whose_weights_it_starts_from():
    turns = search.in_turns([("cars-last", 0), ("cars-longer", 0), ("start", 0)])
    assert [set(turn) for turn in turns] == [
        {("cars-scratch", 0), ("start", 0)},
        {("cars-longer", 0)},
        {("cars-last", 0)},
    ]


def test_every_trial_is_a_recipe(tmp_path):
    recipes = {name: search.recipe_of(tmp_path, name, 3, ["workers=0"]) for name in search.TRIALS}
    assert {recipe.seed for recipe in recipes.values()} == {3}
    assert recipes["distilled"].distillation.teacher == str(tmp_path / "b0-s3")
    assert recipes["cars-longer"].model.weights == str(tmp_path / "cars-scratch-s3")
    assert recipes["steps"].schedule.name == "MultiStepLR"


def test_the_sides_of_the_choices_differ_in_the_optimizer_or_the_teacher(tmp_path):
    start, teacher = tmp_path / "start", tmp_path / "teacher"
    recipes = {name: choices.recipe_of(name, start, teacher, ["workers=0"]) for name in choices.SIDES}
    assert recipes["distilled"].model.weights == recipes["labels"].model.weights == str(start)
    assert recipes["distilled"].distillation.teacher == str(teacher)
    assert recipes["labels"].distillation is None
    assert {key.partition(".")[0] for key in recipes["distilled"].differences(recipes["labels"])} == {
        "distillation"
    }
    assert recipes["adamw"].differences(recipes["muon"]) == ["optimizer.name AdamW -> Muon"]
    sgd = recipes["adamw"].differences(recipes["sgd"])
    assert sgd[0] == "optimizer.name AdamW -> SGD"
    assert all(change.startswith("optimizer.") for change in sgd)
    assert recipes["adamw"].model.weights == "imagenet"
    with pytest.raises(SystemExit, match="distilled needs --start and --teacher; --only selects others"):
        choices.recipe_of("distilled", start)


def test_measured_choices_are_of_the_sides_of_today():
    results = records()["cars_choices"]["results"]
    assert list(results) == list(choices.SIDES)
    for name, row in results.items():
        recipe = choices.recipe_of(name, Path("start"), Path("teacher"))
        assert row["says"] == choices.SIDES[name].says
        assert row["recipe"] == digest(recipe), name
        shape = (recipe.model.name, recipe.resolution, recipe.epochs)
        assert (row["model"], row["resolution"], row["epochs"]) == shape


def test_choices_train_and_keep_earlier_results(tmp_path, monkeypatch, capsys):
    data, runs, out = tmp_path / "cars", tmp_path / "runs", tmp_path / "choices.json"
    for split in ("train", "val"):
        for name in ("first", "second"):
            folder = data / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                color = (90 * number, 40, 200 if name == "first" else 0)
                Image.new("RGB", (40, 32), color).save(folder / f"{number}.png")
    small = ["model.name=ghostnet_100", "model.weights=null", "model.settings={width: 0.2}"]
    small += ["epochs=1", "schedule.warmup_epochs=0", "precision=32-true", "workers=0"]
    small += ["resolution=48", "decode_resolution=64"]
    command = ["choices", "--data", str(data), "--runs", str(runs), "--out", str(out)]
    command += [f"--set={change}" for change in small]
    loaded = []
    monkeypatch.setattr(choices, "load_trained", lambda folder: loaded.append(folder) or load_trained(folder))
    for name in ("muon", "adamw"):
        monkeypatch.setattr(sys, "argv", [*command, "--only", name])
        choices.main()
    assert loaded == [runs / "muon" / "last", runs / "adamw" / "last"]
    results = json.loads(out.read_text())["results"]
    assert list(results) == ["adamw", "muon"]
    assert [last["resolution"] for last in results["muon"]["last_epoch"]] == [48, 64]
    by_epoch = (runs / "muon" / "metrics.csv").read_text().splitlines()[-1].split(",")
    assert results["muon"]["last_epoch"][0]["val_top1_percent"] == float(by_epoch[4])
    assert "(64 px)" in capsys.readouterr().out
    results["muon"]["recipe"] = "another"
    out.write_text(json.dumps({**json.loads(out.read_text()), "results": results}))
    choices.main()
    assert list(json.loads(out.read_text())["results"]) == ["adamw"]
    assert "left out, because its recipe has changed: muon" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*command, "--only", "muon", "--set=epochs=2"])
    with pytest.raises(SystemExit, match="has a run of another recipe: epochs"):
        choices.main()


def test_runs_of_earlier_results_stay_while_the_recipe_is_the_same(tmp_path, monkeypatch, capsys):
    def metrics(seed, top1):
        return {"seed": seed, "val_top1_percent": top1}

    out = tmp_path / "cars_search.json"
    given = Namespace(data=Path("cars"), runs=tmp_path / "runs", changes=[], out=out)
    same = digest(search.recipe_of(Path("elsewhere"), "start", 7, []))
    kept = {
        "says": "an old description",
        "runs": [{**metrics(seed, 50.0), "recipe": same} for seed in (0, 1)],
    }
    other = {"says": "other", "runs": [{**metrics(0, 60.0), "recipe": "another"}]}
    write = {"data": "cars", "changes": [], "results": {"start": kept, "ema": other, "gone": kept}}
    out.write_text(json.dumps(write))
    (given.runs / "start-s1").mkdir(parents=True)
    (given.runs / "start-s1" / "metrics.json").touch()
    monkeypatch.setattr(search, "finetuned", lambda data, folder, recipe: metrics(recipe.seed, 44.0))
    found = search.collected(given)
    assert list(found) == ["start"]
    assert [run["val_top1_percent"] for run in found["start"]["runs"]] == [50.0, 44.0]
    assert found["start"]["val_top1_percent_mean"] == 47.0
    assert found["start"]["says"] != "an old description"
    assert {run["recipe"] for run in found["start"]["runs"]} == {same}
    assert "has changed: ema, seed 0" in capsys.readouterr().out
    assert len({digest(search.recipe_of(tmp_path, n, 0, [])) for n in ("b0", "ema")}) == 2
    given.data = Path("other-cars")
    assert [run["val_top1_percent"] for run in search.collected(given)["start"]["runs"]] == [44.0]


def test_the_shipped_weights_are_trained_in_turn(tmp_path):
    data = draw_cars(tmp_path / "cars", train=2, val=1)
    tiny = ["resolution=32", "decode_resolution=32", "progressive=null", "epochs=1", "batch_size=16"]
    plain = [*tiny, "augment.tensors=[]", "precision=32-true", "workers=0", "model.name=ghostnet_050"]
    given = Namespace(
        data=data,
        runs=tmp_path / "runs",
        recipes=["cars-scratch", "cars-longer"],
        changes=plain,
        teacher=None,
    )
    first, second = train_cars196.trained_in_turn(given)
    assert (first.name, second.name) == ("1-cars-scratch", "2-cars-longer")
    assert json.loads((second / "run.json").read_text())["recipe"]["model"]["weights"] == str(first)
    before = (second / "metrics.csv").read_bytes()
    assert train_cars196.trained_in_turn(given) == [first, second]
    assert (second / "metrics.csv").read_bytes() == before
    recipe = train_cars196.described([first, second])
    assert recipe["optimizer.lr"] == 0.008
    assert {recipe[f"run 2: {key}"] for key in ("name", "optimizer.lr", "model.weights")} == {
        "cars-longer",
        0.005,
        "of run 1, best epoch",
    }
    assert "run 2: epochs" not in recipe
    own = train_cars196.of_training([first, second], {})
    assert (own["epochs"], [run["recipe"] for run in own["runs"]]) == (2, ["cars-scratch", "cars-longer"])
    after = train_cars196.of_training([second], {"epochs": 300, "hours": 3.0})
    assert (after["epochs"], len(after["runs"])) == (301, 1)
    assert 3 <= after["hours"] < 4
    assert 0 < train_cars196.hours_of(second) < 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:(there is no test|train and val have 392)")
def test_finishing_writes_what_ships(tmp_path, monkeypatch):
    """Weights, card and results of a tiny run; the catalog's file as it is written from them."""
    data, names = tmp_path / "cars", list(map(folder_name, CLASS_NAMES))
    for number, path in enumerate(data / split / name for split in ("train", "val") for name in names):
        path.mkdir(parents=True)
        Image.effect_noise((32, 32), 10 + number % 196).convert("RGB").save(path / "0.png")
    tiny = ["resolution=32", "decode_resolution=32", "progressive=null", "epochs=1", "precision=32-true"]
    plain = [*tiny, "augment.tensors=[]", "workers=0", "model.name=ghostnet_050", "model.weights=null"]
    weights = CAR_WEIGHTS["ghostnet_thesis"]
    monkeypatch.setattr(car_weights, "SHIPPED", tmp_path)
    monkeypatch.setattr(train_cars196, "RESULTS", tmp_path)
    monkeypatch.setattr(train_cars196, "write_measured", lambda: None)
    arguments = ["--data", data, "--runs", tmp_path / "runs", "--model", "ghostnet_thesis"]
    changes = [part for each in [*plain, "model.settings={width: 0.1}"] for part in ("--set", each)]
    recipes = ["--recipes", "cars-scratch"]
    monkeypatch.setattr("sys.argv", ["", *map(str, [*arguments, *recipes, *changes])])
    train_cars196.main()
    record = json.loads((tmp_path / "train_cars196_ghostnet.json").read_text())
    assert set(record["val_top1_percent_by_resolution"]["taken anew"]) == {"32", "48"}
    assert all(0 <= record[f"val_{level}_top1_percent"] <= 100 for level in ("make", "model"))
    assert record["photographs"] == {"train": 196, "val": 196}
    assert [(run["recipe"], len(run["val_top1_percent_by_epoch"])) for run in record["runs"]] == [
        ("cars-scratch", 1)
    ]
    card = (weights.folder / "README.md").read_text()
    assert f"| val_make_top1_percent | {record['val_make_top1_percent']} |" in card
    assert "val_correct_of_every_8th" not in card
    model = lightcars.load(weights.folder)
    assert model.temperature == pytest.approx(record["temperature"])
    assert (model.config.resolution, model.familiarity is not None) == (record["resolution"], True)


def test_probabilities_are_summed_at_each_level():
    """A name that is right may have the wrong make, and the other way round."""
    names = ("Audi S4 Sedan 2012", "Audi S4 Sedan 2007", "Audi TT Hatchback 2011", "BMW M3 Coupe 2012")
    columns = torch.tensor([CLASS_NAMES.index(name) for name in names])
    labels = columns[[0, 0, 3, 2, 2]]
    percent = torch.zeros(5, len(CLASS_NAMES))
    percent[:, columns] = torch.tensor(
        [[20.0, 60, 10, 10], [20, 60, 10, 10], [20, 15, 25, 40], [10, 60, 20, 10], [20, 20, 35, 25]]
    )
    trained = Namespace(classes=CLASS_NAMES, probabilities=lambda logits: logits / 100)
    found = levels(trained, {"val": (percent, labels)})
    assert found == {"make": {"val": 80.0}, "model": {"val": 60.0}, "full": {"val": 40.0}}


def test_the_catalog_has_what_was_measured():
    assert Path(measured.__file__).read_text() == car_weights.measured_text()


def test_statistics_of_training_and_re_estimated_ones_are_both_tried(tmp_path):
    cars = find_data(draw_cars(tmp_path / "cars", train=2, val=1))
    like = Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    model = lightcars.ghostnet("050", num_classes=8, width=0.1).eval()
    trained = TrainedModel(model, tuple(SILHOUETTES), like, torch.device("cpu"))
    with torch.no_grad():
        next(m for m in model.stem.modules() if isinstance(m, nn.Conv2d)).weight[0] *= 1e-7
    finishing = train_cars196.Finishing(trained, cars, CAR_WEIGHTS["ghostnet_thesis"])
    copies, silenced = finishing.settled(64)
    own = dict(trained.model.named_buffers())
    kept, reestimated = (dict(copies[kind].model.named_buffers()) for kind in (False, True))
    assert all(torch.equal(own[name], kept[name]) for name in own)
    assert not torch.equal(own["stem.norm.running_mean"], reestimated["stem.norm.running_mean"])
    dead = [
        sum(int((m.weight == 0).sum()) for m in each.model.modules() if isinstance(m, nn.BatchNorm2d))
        for each in copies.values()
    ]
    assert dead[0] == dead[1] >= silenced >= 1
    assert copies[True].preprocessing.resolution == 64


def test_results_of_weights_that_do_not_ship_need_a_place(capsys):
    options = argparse.ArgumentParser()
    for weights, file in (
        ("cars196", "whole_photographs"),
        ("cars196-ghostnet", "whole_photographs_ghostnet"),
    ):
        found = out_of(options, Namespace(weights=weights, out=None), "whole_photographs")
        assert (found.parent, found.stem) == (RESULTS, file)
    assert out_of(options, Namespace(weights="runs/a", out=Path("b.json")), "any") == Path("b.json")
    with pytest.raises(SystemExit):
        out_of(options, Namespace(weights="runs/a", out=None), "whole_photographs")
    assert "give --out" in capsys.readouterr().err


def test_only_a_recipe_with_a_teacher_takes_another_one(tmp_path, monkeypatch):
    seen = []

    def finetune(data, recipe, out, **_):
        seen.append(recipe)

    monkeypatch.setattr(lightcars, "finetune", finetune)
    given = Namespace(data=tmp_path, runs=tmp_path, recipes=["cars-last", "cars-distilled"], changes=[])
    train_cars196.trained_in_turn(Namespace(**vars(given), teacher=tmp_path / "lite"))
    train_cars196.trained_in_turn(Namespace(**vars(given), teacher=None))
    assert [recipe.distillation and recipe.distillation.teacher for recipe in seen] == [
        None,
        str(tmp_path / "lite"),
        None,
        "cars196",
    ]


def test_a_run_may_start_from_the_last_weights_of_the_run_before(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(lightcars, "finetune", lambda data, recipe, out, **_: seen.append(recipe))
    recipes = ["cars-lite", "cars-lite-longer", "cars-lite-blurred", "cars-lite-last"]
    assert CAR_WEIGHTS["efficientnet_lite2"].recipes == tuple(recipes)
    given = Namespace(data=tmp_path, runs=tmp_path, recipes=recipes, changes=[], teacher=None)
    train_cars196.trained_in_turn(given, CAR_WEIGHTS["efficientnet_lite2"].from_last)
    assert [recipe.model.weights for recipe in seen] == [
        "imagenet",
        str(tmp_path / "1-cars-lite"),
        str(tmp_path / "2-cars-lite-longer"),
        str(tmp_path / "3-cars-lite-blurred" / "last"),
    ]


def test_the_best_resolution_is_chosen():
    tops = {(128, False): 80.9, (144, False): 84.6, (144, True): 82.5, (160, True): 84.6}
    tried = [
        train_cars196.Choice(side=side, reestimated=reestimated, top1_percent=top1)
        for (side, reestimated), top1 in tops.items()
    ]
    assert train_cars196.chosen(tried) == tried[1]
    assert train_cars196.chosen(tried[::-1]) == tried[1]
    assert train_cars196.chosen([tried[0], tried[2]]) == tried[2]


def test_hours_leave_out_interruptions():
    assert hours([30.0, 40.0, 3000.0, 40.0, 50.0]) * 3600 == 200.0


def test_the_search_still_knows_the_recipes_of_its_results(tmp_path):
    """Renamed keys must not make recorded runs those of another recipe."""
    recorded = json.loads((search.RESULTS / "cars_search.json").read_text())
    for name, found in recorded["results"].items():
        for run in found["runs"]:
            recipe = search.recipe_of(tmp_path, name, run["seed"], recorded["changes"])
            assert digest(recipe) == run["recipe"], (name, run["seed"])


def test_the_shipped_way_is_what_predict_does(monkeypatch):
    image = Image.new("RGB", (100, 50))
    cars = [Namespace(box=(10, 20, 91, 40)), Namespace(box=(0, 0, 5, 5))]
    monkeypatch.setattr(finding, "find_cars", lambda finder, seen: cars)
    (box,) = finding.finder_box(None, image)
    assert finding.crop(image, box).size == (81, 20)
    cars.clear()
    assert finding.finder_box(None, image) == [finding.WHOLE]


@pytest.mark.parametrize("tag", ["cars196", "cars196-ghostnet"])
def test_accuracies_with_the_finder_agree(tag):
    results = records()[of_weights("whole_photographs", tag)]["results"]
    shipped = results["ways"][finding.SHIPPED_WAY]
    assert {kind: shipped[kind]["top1_percent"] for kind in ("composites", "whole")} == {
        kind: results["levels"]["full"][kind] for kind in ("composites", "whole")
    }
