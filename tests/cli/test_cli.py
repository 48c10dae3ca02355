"""The command line: results on stdout, all else on stderr, one line and exit code 2 for bad input."""

import json
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import get_type_hints

import pytest
import torch
from PIL import Image
from typer.main import get_command

import lightcars as library
from lightcars.benching.choosing import SORT_KEYS
from lightcars.cli import demo as demonstration
from lightcars.cli.finetune import finetune
from lightcars.cli.list_models import SortKey
from lightcars.cli.main import app
from lightcars.cli.recipe_options import KEYS, choices_of, field_of
from lightcars.counters.latency import Latency
from lightcars.models.registry import MODELS
from lightcars.recipes.recipe import Recipe, flat
from lightcars.training import finetune as finetuning
from lightcars.training import trainer as training

DEMO_EPOCHS = f"{demonstration.SYNTHETIC_RECIPE.epochs}, or {demonstration.IMAGES_RECIPE.epochs} with --data"
COMMANDS = (
    "list",
    "info",
    "bench",
    "compare",
    "export",
    "optimize",
    "finetune",
    "evaluate",
    "predict",
    "report",
    "recipes",
    "weights",
    "convert",
    "demo",
)
SMALL = (
    "--model",
    "ghostnet_050",
    "--width",
    0.1,
    "--out-channels",
    16,
    "--resolution",
    32,
    "--batch-size",
    8,
    "--precision",
    "32-true",
    "--memory-format",
    "channels_last",
)


def python(*arguments: object, **settings) -> subprocess.CompletedProcess[str]:
    """Another Python with the library that is tested here."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def plain(text: str) -> str:
    """Without the line breaks of a help page."""
    return re.sub(r"\s+", " ", text)


# Help


def test_help_names_every_command(lightcars):
    shown = lightcars("--help")
    assert shown.code == 0
    assert all(re.search(rf"^\W*{command} +\w", shown.out, re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_each_command_explains(lightcars, command, flag):
    shown = lightcars(command, flag)
    assert shown.code == 0
    assert shown.err == ""
    assert len(plain(shown.out)) > 250
    assert f"Examples: lightcars {command}" in plain(shown.out)
    assert all(len(line) <= 100 for line in shown.out.splitlines())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_with_a_result_gives_json(lightcars, command):
    assert "--json" in lightcars(command, "--help").out


@pytest.mark.parametrize(
    ("command", "texts"),
    [
        (
            "finetune",
            [
                *("30", "the model's", "0.001", "0.05", "0.1", "cosine", "15", "auto", "runs/<model>-<time>"),
                "tensorboard",
            ],
        ),
        ("info", ["the model's", "1000", "3"]),
        (
            "bench",
            [
                *("all installed except compile", "fp32, and bf16 if supported", "1", "imagenet"),
                *("the weights' own", "PyTorch's own number", "cpu", "2.0"),
            ],
        ),
        ("evaluate", ["cuda if available", "val", "64", "10"]),
        ("predict", ["cuda if available", "5"]),
        (
            "report",
            [
                "report.html in the run folder, for a single run",
                "the one that the run was trained on",
                "cuda if available",
            ],
        ),
        ("convert", ["the names stay", "identified"]),
        ("demo", [DEMO_EPOCHS, "runs/demo-<time>"]),
    ],
)
def test_help_tells_the_defaults(lightcars, command, texts):
    shown = plain(lightcars(command, "--help").out)
    for text in texts:
        assert re.search(rf"\[default: {re.escape(text)}[\];]", shown), text


def test_every_option_of_finetune_is_checked_against_the_recipe(lightcars):
    """Each one that sets a key of the recipe has its type, its default and its choices."""
    own = {"data", "recipe", "settings", "trackers", "out", "resume", "augment", "test", "as_json"}
    options = {option.name: option for option in get_command(app).commands["finetune"].params}
    assert options.keys() - own - {"help"} == KEYS.keys()
    shown = plain(lightcars("finetune", "--help").out)
    types = get_type_hints(finetune)
    for name, key in KEYS.items():
        hint, default = field_of(key)
        option = options[name]
        assert option.default is None, "what is not given is left to the recipe"
        if default is not None:
            assert types[name] == type(default) | None, name
            text = f"{default:g}" if isinstance(default, float) else str(default)
            if isinstance(default, bool):
                text = ("" if default else "no-") + name.replace("_", "-")
            assert f"[default: {text}]" in option.help.replace("\\[", "["), name
        assert all(choice in option.help for choice in choices_of(hint)), name
        flag = "device" if name == "accelerator" else name.replace("_", "-")
        assert re.search(rf"--{flag} ", shown), name


def test_keys_of_the_options_are_keys_of_recipes():
    for key in KEYS.values():
        if not key.startswith("model.settings."):
            assert key in flat(Recipe().to_dict()), key
    assert field_of("optimizer.lr") == (float, 0.001)
    assert choices_of(field_of("select_on")[0]) == ("val", "test")
    assert choices_of(field_of("epochs")[0]) == ()


def test_version(lightcars):
    assert lightcars("--version").out == f"{library.__version__}\n"


def test_without_arguments_it_helps(lightcars):
    shown = lightcars()
    assert all(f" {command} " in shown.out + shown.err for command in COMMANDS)


# list and info


def test_list_shows_every_model(lightcars):
    shown = lightcars("list")
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert lines[0].split() == ["model", "parameters", "FLOPs", "input", "top-1", "paper"]
    assert [line.split()[0] for line in lines[2:]] == list(MODELS)
    assert re.search(r"ghostnet_100 +5\.18 M +141 M +224 px +74\.0 % +arXiv 1911\.11907", shown.out)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_table_fits_the_terminal(lightcars, terminal, columns):
    terminal(columns)
    shown = lightcars("list")
    assert max(map(len, shown.out.splitlines())) <= columns
    assert columns < 80 or all(name in shown.out for name in MODELS)


def test_list_takes_a_pattern(lightcars):
    assert [row["name"] for row in json.loads(lightcars("list", "ghostnet_1*", "--json").out)] == [
        "ghostnet_100",
        "ghostnet_130",
    ]


def test_list_as_json(lightcars):
    shown = lightcars("list", "--json")
    rows = json.loads(shown.out)
    assert shown.err == ""
    assert [row["name"] for row in rows] == list(MODELS)
    assert rows[0] == {
        "name": "efficientnet_b0",
        "family": "efficientnet",
        "num_params": 5_288_548,
        "flops": 385_814_752,
        "resolution": 224,
        "paper": "arXiv 1905.11946",
        "top1_percent": 78.572,
        "top1_tag": "timm/efficientnet_b0.ra4_e3600_r224_in1k",
        "licenses": ["Apache", "apache-2.0"],
        "latency_ms": None,
    }


def test_every_sort_key_is_an_option():
    assert {key.value for key in SortKey} == set(SORT_KEYS)


def test_list_filters_and_sorts(lightcars):
    options = ("--max-flops", "0.2G", "--max-params", "5.5M", "--sort", "flops", "--json")
    rows = json.loads(lightcars("list", *options).out)
    assert [row["flops"] for row in rows] == sorted(row["flops"] for row in rows)
    assert "ghostnet_100" in [row["name"] for row in rows]
    assert all(row["flops"] <= 200e6 and row["num_params"] <= 5.5e6 for row in rows)


def test_list_measures_latencies(lightcars, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path))
    monkeypatch.setattr("lightcars.benching.latencies._measure", lambda name: float(len(name)))
    shown = lightcars("list", "ghostnet_*", "--sort", "latency").out
    assert re.search(r"ghostnet_thesis .*15\.0 ms", shown.splitlines()[-1])
    quick = json.loads(lightcars("list", "ghostnet_*", "--max-latency", 12, "--json").out)
    assert [row["name"] for row in quick] == ["ghostnet_050", "ghostnet_100", "ghostnet_130"]
    assert "no model takes at most 1 ms" in lightcars("list", "ghostnet_*", "--max-latency", 1).error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--max-flops", "much"), "--max-flops takes a number such as 5M, 300M or 1.5G, not 'much'."),
        (("--max-params", "-3"), "--max-params takes a number such as 5M, 300M or 1.5G, not '-3'."),
        (("--min-top1", "99"), "no model matches these options; leave one out, or see `lightcars list`."),
        (("--family", "ghosts"), "no family named 'ghosts'. Did you mean ghostnet"),
    ],
)
def test_list_with_wrong_options(lightcars, arguments, message):
    assert message in lightcars("list", *arguments).error


def test_list_imports_nothing_heavy():
    program = (
        "import sys; sys.argv = ['lightcars', 'list']\n"
        "from lightcars.cli.main import run\n"
        "try: run()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "heavy = {'torch', 'torchvision', 'lightning', 'scipy', 'matplotlib', 'numpy', 'PIL', 'fvcore'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    ended = python("-c", program)
    assert ended.returncode == 0, ended.stderr
    assert "efficientnet_b7" in ended.stdout


def test_info_as_json_needs_no_data(lightcars):
    shown = lightcars("info", "efficientnet_b3", "--json")
    content = json.loads(shown.out)
    assert (shown.code, shown.err) == (0, "")
    assert content["name"] == "efficientnet_b3"
    assert content["config"]["resolution"] == 300
    assert MODELS["efficientnet_b3"].num_params in content.values()
    assert MODELS["efficientnet_b3"].flops in content.values()


def test_info_takes_settings(lightcars):
    arguments = (
        "info",
        "ghostnet_100",
        "--num-classes",
        196,
        "--img-channels",
        1,
        "--resolution",
        96,
        "--json",
    )
    config = json.loads(lightcars(*arguments).out)["config"]
    assert (config["num_classes"], config["img_channels"], config["resolution"]) == (196, 1, 96)


def test_info_as_text_and_markdown(lightcars):
    text, markdown = lightcars("info", "ghostnet_050"), lightcars("info", "ghostnet_050", "--markdown")
    assert text.out.startswith("ghostnet_050\n")
    assert "2,587,292" in text.out
    assert "|" in markdown.out
    assert (text.err, markdown.err) == ("", "")


def test_info_of_a_run_and_of_published_weights(lightcars, finished):
    run = json.loads(lightcars("info", finished, "--json").out)
    assert run["config"]["num_classes"] == 8
    assert json.loads(lightcars("info", "cars196", "--json").out)["config"]["num_classes"] == 196
    shown = lightcars("info", finished, "--num-classes", 3)
    assert (shown.code, len(shown.err.splitlines())) == (2, 1)
    assert "has its own resolution, classes and channels" in shown.err


def test_info_measures_latency_when_asked(lightcars, monkeypatch):
    measured = []

    def latency(model, given, *, macs, backward):
        measured.append((model.training, next(model.parameters()).device.type, given.shapes, macs, backward))
        return Latency(
            device="cpu",
            threads=1,
            calls=20,
            median_ms=2.0,
            p95_ms=3.0,
            images_per_second=500.0,
            macs_per_second=1e9,
            peak_macs_per_second=4e9,
            peak_share_percent=25.0,
        )

    monkeypatch.setattr("lightcars.counters.profile.measure_latency", latency)
    shown = lightcars("info", "ghostnet_050", "--resolution", 96, "--latency")
    assert (shown.code, shown.err) == (0, "")
    assert "2 ms (20 calls on cpu, 1 threads)" in shown.out
    assert "1 G, 25 % of 4 G for large matrix products" in shown.out
    ((_, device, shapes, macs, backward),) = measured
    assert (device, shapes, backward) == ("cpu", ((1, 3, 96, 96),), False)
    content = json.loads(lightcars("info", "ghostnet_050", "--resolution", 96, "--latency", "--json").out)
    assert content["latency"]["p95_ms"] == 3.0
    assert content["flops"] == macs
    assert json.loads(lightcars("info", "ghostnet_050", "--json").out)["latency"] is None
    assert len(measured) == 2


# finetune, evaluate, predict


def test_finetune_as_json(lightcars, cars, tmp_path):
    shown = lightcars(
        "finetune", cars, *SMALL, "--epochs", 1, "--seed", 3, "--out", tmp_path / "run", "--json"
    )
    assert shown.code == 0, shown.err
    content = json.loads(shown.out)
    assert content["run"] == str(tmp_path / "run")
    assert {key: content[key] for key in content if key != "run"} == json.loads(
        (tmp_path / "run" / "metrics.json").read_text()
    )
    assert "epoch 1/1" in shown.err
    recipe = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert (recipe["epochs"], recipe["seed"], recipe["resolution"], recipe["batch_size"]) == (1, 3, 32, 8)


def test_nothing_but_progress_is_said_on_stderr(lightcars, cars, tmp_path):
    shown = lightcars("finetune", cars, *SMALL, "--epochs", 2, "--out", tmp_path / "run")
    lines = shown.err.splitlines()
    assert lines[0].startswith(f"run folder: {tmp_path / 'run'}")
    assert lines[1] == "ghostnet_050 starts from random weights", "it has no published ones"
    assert [line[:9] for line in lines[2:5]] == ["images: a", "epoch 1/2", "epoch 2/2"]
    assert [line.split()[0] for line in lines[5:]] == ["trained"]


def test_what_was_measured_is_said_in_a_line(lightcars, cars, tmp_path):
    options = ("--epochs", 1, "--precision", "fastest", "--gradient-checkpointing", "--no-compile")
    shown = lightcars(
        "finetune", cars, *SMALL, *options, "--memory-format", "fastest", "--out", tmp_path / "run"
    )
    lines = shown.err.splitlines()
    assert lines[1] == "ghostnet_050 starts from random weights"
    assert lines[2].startswith("training in ")
    assert lines[2].rstrip(")").endswith("of 32 px, forward and backward")
    recipe = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert f"training in {recipe['precision']} {recipe['memory_format']}: " in lines[2]
    assert (recipe["gradient_checkpointing"], recipe["compile"]) == (True, False)


def test_finetune_with_a_tracker_that_is_not_to_be_had(lightcars, cars, tmp_path):
    shown = lightcars("finetune", cars, *SMALL, "--tracker", "wandbb", "--out", tmp_path / "run")
    assert "there is no tracker 'wandbb'. Did you mean wandb?" in shown.error
    shown = lightcars("finetune", cars, *SMALL, "--tracker", "neptune", "--out", tmp_path / "run")
    assert "Neptune ended its service" in shown.error
    assert not (tmp_path / "run").exists()


def test_finetune_resumes_with_its_trackers_after_a_worker_died(lightcars, cars, tmp_path, monkeypatch):
    run, step = tmp_path / "run", training.ClassifierModule.training_step

    def training_step(self, batch, batch_idx):
        if self.current_epoch == 1:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(training.ClassifierModule, "training_step", training_step)
        arguments = ("--epochs", 2, "--workers", 1, "--tracker", "csv", "--out", run)
        shown = lightcars("finetune", cars, *SMALL, *arguments)
    assert shown.code == 2
    assert shown.err.splitlines()[-1].startswith("error: a data loader worker died")
    assert "Traceback" not in shown.err
    assert lightcars("finetune", cars, "--out", run, "--resume", "--workers", 0).code == 0
    assert json.loads((run / "run.json").read_text())["trackers"] == ["csv"]
    assert not (run / "tensorboard").exists()


def test_finetune_says_what_to_do_next(lightcars, cars, tmp_path):
    shown = lightcars("finetune", cars, *SMALL, "--epochs", 1, "--no-augment", "--out", tmp_path / "run")
    assert re.match(r"best epoch 1 of 1: val top-1 \d+\.\d\d %, top-5 \d+\.\d\d %\n", shown.out)
    assert f"report: {tmp_path / 'run' / 'report.html'}\n" in shown.out
    assert f"next: lightcars predict {tmp_path / 'run'} IMAGE..." in shown.out
    assert json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["augment"]["images"] == []


def test_model_settings_reach_the_model(lightcars, cars, tmp_path):
    arguments = (*SMALL, "--img-channels", 1, "--dropout", 0.4, "--epochs", 1, "--out", tmp_path / "run")
    assert lightcars("finetune", cars, *arguments).code == 0
    config = json.loads((tmp_path / "run" / "run.json").read_text())["model"]["config"]
    assert (config["img_channels"], config["dropout"], config["width"], config["out_channels"]) == (
        1,
        0.4,
        0.1,
        16,
    )


def test_a_warning_is_one_line_on_stderr(lightcars, cars, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(cars, data)
    (data / "train" / "Bus" / "0000.png").write_bytes(b"")
    shown = lightcars("finetune", data, *SMALL, "--epochs", 1, "--out", tmp_path / "run", "--json")
    assert shown.code == 0
    assert json.loads(shown.out)
    warned = [line for line in shown.err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 1
    assert warned[0].startswith("warning: 1 images of train left out: ")
    assert "Bus/0000.png is empty" in warned[0]


def test_evaluate_as_json(lightcars, cars, finished):
    shown = lightcars("evaluate", finished, cars, "--split", "val", "--json")
    content = json.loads(shown.out)
    assert (shown.code, shown.err) == (0, "")
    metrics = json.loads((finished / "metrics.json").read_text())
    assert content["top1_percent"] == pytest.approx(metrics["val_top1_percent"], abs=1e-3)
    assert content["top5_percent"] == pytest.approx(metrics["val_top5_percent"], abs=1e-3)
    assert (content["split"], content["num_images"], len(content["per_class"])) == ("val", 16, 8)


def test_evaluate_shows_the_worst_classes(lightcars, cars, finished):
    shown = lightcars("evaluate", finished, cars, "--split", "train", "--worst", 3)
    assert shown.out.startswith("train: 40 images, top-1 ")
    listed = shown.out.split("worst classes\n")[1].splitlines()
    assert len(listed) == 5
    accuracies = [float(line.split()[-2]) for line in listed[2:]]
    assert accuracies == sorted(accuracies)
    assert "worst" not in lightcars("evaluate", finished, cars, "--worst", 0).out


def test_evaluate_warns_of_broken_images(lightcars, cars, finished, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(cars, data)
    (data / "val" / "Bus" / "0000.png").write_bytes(b"")
    shown = lightcars("evaluate", finished, data, "--json")
    assert json.loads(shown.out)["num_images"] == 15
    assert shown.err.startswith("warning: skipped: ")
    assert len(shown.err.splitlines()) == 1


def test_predict_as_json(lightcars, cars, finished):
    photos = [cars / "val" / kind / "0000.png" for kind in ("Bus", "Van")]
    shown = lightcars("predict", finished, *photos, "--top", 3, "--json")
    content = json.loads(shown.out)
    assert (shown.code, shown.err) == (0, "")
    assert [row["image"] for row in content] == [str(photo) for photo in photos]
    assert all(len(row["guesses"]) == 3 for row in content)
    assert content[0]["guesses"][0].keys() == {"name", "probability"}
    assert content[0]["guesses"][0]["probability"] >= content[0]["guesses"][1]["probability"]


def test_predict_as_table_with_a_picture(lightcars, cars, finished, tmp_path):
    photo, picture = cars / "val" / "Bus" / "0000.png", tmp_path / "picture.png"
    shown = lightcars("predict", finished, photo, "--top", 2, "--picture", picture)
    lines = shown.out.splitlines()
    assert lines[0] == str(photo)
    assert lines[1].split() == ["probability", "class"]
    assert len(lines) == 5
    with Image.open(picture) as image:
        assert image.format == "PNG"


def test_predict_takes_images_alone(lightcars, cars):
    photos = [cars / "val" / kind / "0000.png" for kind in ("Bus", "Van")]
    shown = lightcars("predict", *photos, "--json", "--top", 2)
    content = json.loads(shown.out)
    assert [row["image"] for row in content] == [str(photo) for photo in photos]
    assert all(isinstance(row["familiar"], bool) for row in content)
    assert json.loads(lightcars("predict", "cars196", *photos, "--json", "--top", 2).out) == content


def test_predict_says_what_it_does_not_know(lightcars, cars, tmp_path):
    noise = tmp_path / "noise.png"
    Image.effect_noise((200, 150), 120).convert("RGB").save(noise)
    lines = lightcars("predict", noise).out.splitlines()
    assert lines[0] == str(noise)
    assert lines[1].startswith("no car found")


def test_predict_without_an_image(lightcars, finished):
    assert lightcars("predict", "nothing.jpg").error == "there is no image nothing.jpg."
    assert lightcars("predict", "nothing").error == "there is no image nothing."
    assert f"name images too: lightcars predict {finished} IMAGE" in lightcars("predict", finished).error
    assert "name images too" in lightcars("predict", "cars196").error
    assert lightcars("predict", "a.jpg", finished).error == f"{finished} must come before the images."


def test_predict_minds_no_folder_of_the_data_sets_name(lightcars, cars, tmp_path, monkeypatch):
    (tmp_path / "cars196").mkdir()
    monkeypatch.chdir(tmp_path)
    photo = cars / "val" / "Bus" / "0000.png"
    alone = lightcars("predict", photo, "--json")
    assert (alone.code, alone.err) == (0, "")
    assert lightcars("predict", "cars196", photo, "--json").out == alone.out


def test_predict_draws_an_activation_map(lightcars, cars, finished, tmp_path):
    photo, cam = cars / "val" / "Bus" / "0000.png", tmp_path / "cam.png"
    shown = lightcars("predict", finished, photo, "--cam", cam, "--picture", tmp_path / "picture.png")
    assert (shown.code, shown.err) == (0, "")
    for path in (cam, tmp_path / "picture.png"):
        with Image.open(path) as image:
            assert image.format == "PNG"


def test_report_of_one_run(lightcars, finished):
    (finished / "report.html").unlink()
    shown = lightcars("report", finished)
    assert (shown.code, shown.err) == (0, "")
    metrics = json.loads((finished / "metrics.json").read_text())
    assert (
        f"best epoch {metrics['best_epoch']} of 2, val top-1 {metrics['val_top1_percent']:.2f} %" in shown.out
    )
    assert shown.out.splitlines()[-1] == f"report: {finished / 'report.html'}"
    assert (finished / "report.html").is_file()


def test_report_of_several_runs_as_json(lightcars, finished, tmp_path):
    second = tmp_path / "second"
    shutil.copytree(finished, second)
    (second / "metrics.json").unlink()
    shown = lightcars("report", finished, second, "--out", tmp_path / "both.html", "--json")
    content = json.loads(shown.out)
    assert shown.code == 0
    assert content["report"] == str(tmp_path / "both.html")
    assert [run["run"] for run in content["runs"]] == [str(finished), str(second)]
    assert [run["finished"] for run in content["runs"]] == [True, False]
    metrics = json.loads((finished / "metrics.json").read_text())
    assert content["runs"][0]["val_top1_percent"] == metrics["val_top1_percent"]
    assert content["comparison"] is None
    assert shown.err.startswith("note: The run is not finished")
    assert len(shown.err.splitlines()) == len(content["notes"]) == 2


def test_a_run_s_own_report_is_written_again_by_force(lightcars, finished):
    page = finished / "report.html"
    assert "already exists" in lightcars("report", finished, "--out", page).error
    assert lightcars("report", finished, "--out", page, "--force").code == 0


def test_report_counts_what_runs_have_in_common(lightcars, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "second")
    arguments = ("report", finished, tmp_path / "second", "--out", tmp_path / "both.html")
    numbers = json.loads(lightcars(*arguments, "--json").out)["comparison"]
    assert numbers["right_in_every_run"] + numbers["wrong_in_every_run"] == numbers["num_images"] == 16
    assert numbers["right_in_one_run_only"] == [0, 0]
    shown = lightcars(*arguments, "--force")
    assert f"every run gets {numbers['right_in_every_run']} right" in shown.out


# Bad input


def test_reports_that_cannot_be(lightcars, finished, tmp_path):
    assert "holds no run" in lightcars("report", tmp_path).error
    assert "needs a path for the page (--out)" in lightcars("report", finished, tmp_path / "x").error
    assert "is given twice" in lightcars("report", finished, finished, "--out", tmp_path / "x.html").error
    missing = lightcars("report", finished, "--data", tmp_path / "x", "--out", tmp_path / "x.html").error
    assert f"there is no folder {tmp_path / 'x'}" in missing
    assert list(tmp_path.iterdir()) == []


def copied(cars, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(cars, data)
    return data


def test_unknown_model(lightcars, cars, tmp_path):
    for arguments in (("info", "efficientnet_b9"), ("finetune", cars, "--model", "efficientnet_b9")):
        assert "no model named 'efficientnet_b9'. Did you mean efficientnet_b" in lightcars(*arguments).error


def test_no_model_matches(lightcars):
    assert "no model matches 'resnet*'" in lightcars("list", "resnet*").error


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--epochs", 0), "epochs must be a whole number of at least 1, not 0."),
        (("--resolution", 31), "resolution must be a whole number of at least 32, not 31."),
        (("--learning-rate", "nan"), "optimizer.lr: input should be a valid number, not 'NaN'."),
        (("--learning-rate", "1e38"), "lr must be a positive number up to 1e+12, not 1e+38."),
        (("--dropout", 1), "dropout must be a number from 0 up to, but not including, 1"),
        (("--width", -1), "width must be a positive number"),
        (("--img-channels", 2), "have 1 or 3 channels, the model takes 2."),
        (("--schedule", "step"), "schedule.name: input should be 'cosine', 'constant',"),
        (("--precision", "8"), "precision: input should be 'auto', 'fastest', '32-true',"),
        (("--seed", 10**20), "seed must be"),
        (("--device", "cpuu"), "cpuu"),
    ],
)
def test_settings_that_cannot_be(lightcars, cars, tmp_path, arguments, text):
    assert text in lightcars("finetune", cars, "--out", tmp_path / "run", *arguments).error
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_gpu_that_is_not_there(lightcars, cars, finished, tmp_path):
    photo = cars / "val" / "Bus" / "0000.png"
    for arguments in (
        ("finetune", cars, "--device", "gpu", "--out", tmp_path / "run"),
        ("evaluate", finished, cars, "--device", "cuda"),
        ("predict", finished, photo, "--device", "cuda:0"),
    ):
        assert "has no CUDA device" in lightcars(*arguments).error


def test_a_device_that_is_none(lightcars, cars, finished):
    assert "'gpu7' is not a device" in lightcars("evaluate", finished, cars, "--device", "gpu7").error


def test_missing_and_empty_data(lightcars, tmp_path):
    assert (
        "there is no folder" in lightcars("finetune", tmp_path / "nowhere", "--out", tmp_path / "run").error
    )
    (tmp_path / "empty").mkdir()
    assert "it contains nothing" in lightcars("finetune", tmp_path / "empty", "--out", tmp_path / "run").error


def test_a_class_that_is_none(lightcars, cars, tmp_path):
    data = copied(cars, tmp_path)
    (data / "train" / "Bus").rename(data / "train" / "Buss")
    error = lightcars("finetune", data, "--out", tmp_path / "run").error
    assert f"{data}/train/Buss" in error
    assert "Did you mean Bus?" in error


def test_a_half_copied_folder(lightcars, cars, tmp_path):
    data = copied(cars, tmp_path)
    for path in (data / "train" / "Bus").iterdir():
        path.unlink()
    error = lightcars("finetune", data, "--out", tmp_path / "run").error
    assert f"{data}/train/Bus contains no images" in error
    for split in ("train", "val"):
        shutil.rmtree(data / split / "Bus")
    error = lightcars("finetune", data, "--out", tmp_path / "run").error
    assert "of 7 of 8 classes (first missing: Bus)" in error
    assert "list them in" in error


def test_a_run_folder_that_is_taken(lightcars, cars, finished):
    before = (finished / "metrics.csv").read_bytes()
    assert "already holds a run" in lightcars("finetune", cars, "--out", finished).error
    assert (finished / "metrics.csv").read_bytes() == before


def test_resuming_what_cannot_be_resumed(lightcars, cars, finished, tmp_path):
    assert "holds no run" in lightcars("finetune", cars, "--out", tmp_path, "--resume").error
    changed = lightcars("finetune", cars, "--out", finished, "--resume", "--seed", 5).error
    assert "was started with another recipe" in changed
    assert "seed 0 -> 5" in changed


def test_resuming_names_only_the_settings_that_were_given(lightcars, cars, finished):
    error = lightcars("finetune", cars, "--out", finished, "--resume", "--epochs", 5).error
    assert "(epochs 2 -> 5)" in error
    assert lightcars("finetune", cars, "--out", finished, "--resume", "--epochs", 2).code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--model", "efficientnet_b0"), "model.name ghostnet_050 -> efficientnet_b0"),
        (("--width", 0.2), "model.settings.width 0.1 -> 0.2"),
    ],
)
def test_resuming_with_another_model(lightcars, cars, finished, arguments, text):
    assert f"({text})" in lightcars("finetune", cars, "--out", finished, "--resume", *arguments).error
    same = ("--model", "ghostnet_050", "--width", 0.1)
    assert lightcars("finetune", cars, "--out", finished, "--resume", *same).code == 0


def test_resuming_needs_the_run_folder(lightcars, cars):
    assert "resuming needs the run folder" in lightcars("finetune", cars, "--resume").error


def test_bad_images(lightcars, cars, finished, tmp_path):
    good, bad = cars / "val" / "Bus" / "0000.png", tmp_path / "bad.jpg"
    assert f"there is no image {bad}" in lightcars("predict", finished, bad).error
    bad.write_bytes(b"")
    assert f"{bad} is empty" in lightcars("predict", finished, bad, "--json").error
    bad.write_bytes(b"not a picture")
    assert f"{bad} cannot be read as an image" in lightcars("predict", finished, bad).error
    shown = lightcars("predict", finished, good, bad, "--json")
    assert (shown.code, [row["image"] for row in json.loads(shown.out)]) == (1, [str(good)])
    assert shown.err.startswith(f"warning: skipped: {bad} cannot be read as an image")
    assert len(shown.err.splitlines()) == 1


def test_one_picture_for_one_image(lightcars, cars, finished, tmp_path):
    photos = [cars / "val" / "Bus" / f"000{i}.png" for i in range(2)]
    error = lightcars("predict", finished, *photos, "--picture", tmp_path / "picture.png").error
    assert "--picture plots one image, not 2" in error
    assert not (tmp_path / "picture.png").exists()
    error = lightcars("predict", finished, *photos, "--cam", tmp_path / "cam.png").error
    assert "--cam plots one image, not 2" in error
    both = ("--cam", tmp_path / "one.png", "--picture", tmp_path / "one.png")
    assert "cannot be both" in lightcars("predict", finished, photos[0], *both).error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--picture", "--cam"])
def test_a_picture_never_takes_the_images_place(lightcars, cars, finished, tmp_path, option):
    photo = tmp_path / "car.png"
    photo.write_bytes((cars / "val" / "Bus" / "0000.png").read_bytes())
    before = photo.read_bytes()
    error = lightcars("predict", finished, photo, option, tmp_path / ".." / tmp_path.name / "car.png").error
    assert "car.png is an input of the command and is never replaced" in error
    assert photo.read_bytes() == before
    error = lightcars("predict", finished, photo, option, tmp_path / "drawn.jpg").error
    assert "a plot is a PNG file; its name must end in .png" in error
    assert list(tmp_path.iterdir()) == [photo]


def test_what_is_no_image(lightcars, finished):
    assert "image is empty" in lightcars("predict", "").error
    address = "ftp://example.org/car.jpg"
    assert f"{address} is neither a file nor an http:// or" in lightcars("predict", finished, address).error


@pytest.mark.parametrize(
    ("weights", "advice"),
    [
        ("cars197", "Did you mean cars196?"),
        ("Cars196", "Did you mean cars196?"),
        ("imagnet", "Did you mean imagenet?"),
    ],
)
def test_misspelt_weights(lightcars, cars, weights, advice):
    photo = cars / "val" / "Bus" / "0000.png"
    error = lightcars("predict", weights, photo).error
    assert f"there is no run or checkpoint folder {weights}." in error
    assert advice in error


def test_runs_and_checkpoints_that_are_none(lightcars, cars, finished, tmp_path):
    error = lightcars("evaluate", "ghostnet_100", cars).error
    assert "there is no run or checkpoint folder ghostnet_100." in error
    assert "`lightcars weights ghostnet_100` lists" in error
    assert "there is no run or checkpoint folder" in lightcars("evaluate", tmp_path / "x", cars).error
    assert "holds no run" in lightcars("evaluate", tmp_path, cars).error
    broken = tmp_path / "broken"
    shutil.copytree(finished / "best", broken)
    (broken / "model.safetensors").write_bytes(b"12345678")
    assert "model.safetensors cannot be read" in lightcars("evaluate", broken, cars).error
    (broken / "config.json").write_text("{}")
    assert "is not a lightcars config" in lightcars("evaluate", broken, cars).error


def test_a_split_that_is_not_there(lightcars, cars, finished):
    assert (
        "has no split 'test'; it has train, val."
        in lightcars("evaluate", finished, cars, "--split", "test").error
    )


def test_a_missing_extra(lightcars, cars, monkeypatch, tmp_path):
    monkeypatch.setattr(finetuning, "find_spec", lambda _: None)
    error = lightcars("finetune", cars, "--out", tmp_path / "run").error
    assert error.endswith("pip install 'lightcars[cars]'")


@pytest.mark.parametrize(
    "arguments",
    [("finetun",), ("info",), ("info", "ghostnet_100", "--depht", 3), ("finetune", "x", "--epochs", "many")],
)
def test_a_mistyped_command_is_exit_code_2_too(lightcars, arguments):
    ended = lightcars(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err


def test_the_module_is_the_command(cars, finished):
    ended = python("-m", "lightcars", "predict", finished, cars / "nothing.jpg")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"error: there is no image {cars / 'nothing.jpg'}.\n"


# Ctrl-C


def test_ctrl_c_says_how_to_go_on_even_with_spaces_in_names(lightcars, monkeypatch, tmp_path):
    def stopped(*_, out, **__):
        out.mkdir()
        (out / "run.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(finetuning, "finetune", stopped)
    arguments = ("my cars", "--model", "ghostnet_050", "--out", tmp_path / "run 1")
    ended = lightcars("finetune", *arguments)  # without a model, the data decides which
    assert (ended.code, ended.out) == (130, "")
    line = ended.err.splitlines()[-1].removeprefix("stopped; resume with: ")
    assert shlex.split(line) == [
        "lightcars",
        "finetune",
        "my cars",
        "--out",
        str(tmp_path / "run 1"),
        "--resume",
    ]


STALLED = """
import signal, sys, threading
from pathlib import Path
import torch
from lightcars.training import trainer as training
from lightcars.cli.main import run

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs are started without
torch.set_num_threads(1)
step, marker = training.ClassifierModule.training_step, Path(sys.argv.pop())

def training_step(self, batch, batch_idx):
    if self.current_epoch == 1 and batch_idx == 2:
        marker.touch()
        threading.Event().wait(60)
    return step(self, batch, batch_idx)

training.ClassifierModule.training_step = training_step
run()
"""


@pytest.mark.parametrize(
    "pauses_s",
    [(), (0.02,), pytest.param((0.0, 0.02, 0.3), marks=pytest.mark.slow)],
    ids=["once", "twice", "often"],
)
def test_ctrl_c_stops_and_resume_finishes(lightcars, cars, tmp_path, pauses_s):
    run, reference, marker = tmp_path / "run", tmp_path / "reference", tmp_path / "in-the-second-epoch"
    arguments = ["finetune", cars, *SMALL, "--epochs", 3]
    process = subprocess.Popen(
        [sys.executable, "-c", STALLED, *map(str, [*arguments, "--out", run, marker])],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(1000):
            if marker.exists() or process.poll() is not None:
                break
            threading.Event().wait(0.1)
        process.send_signal(signal.SIGINT)
        for pause_s in pauses_s:
            threading.Event().wait(pause_s)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    line = f"stopped; resume with: lightcars finetune {cars} --out {run} --resume"
    assert err.splitlines()[-1] == line

    program, *rest = shlex.split(line.split(": ", 1)[1])
    assert program == "lightcars"
    assert lightcars(*rest).code == 0
    assert lightcars(*arguments, "--out", reference).code == 0
    assert (run / "metrics.json").read_text() == (reference / "metrics.json").read_text()


# Completion


def complete(words: str, position: int) -> list[str]:
    program = "import sys; sys.argv = ['lightcars']; from lightcars.cli.main import run; run()"
    settings = {"_LIGHTCARS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    return python("-c", program, **settings).stdout.split()


def test_tab_completes_model_names():
    assert complete("lightcars info ghost", 2) == [name for name in MODELS if name.startswith("ghost")]


def test_tab_completes_trackers():
    assert complete("lightcars finetune data --tracker t", 4) == ["tensorboard"]


def test_tab_completes_the_model_of_a_finetune():
    words = complete("lightcars finetune data --model efficientnet_b", 4)
    assert words == [name for name in MODELS if name.startswith("efficientnet_b")]


def test_tab_completes_commands():
    assert sorted(complete("lightcars ", 1)) == sorted([*COMMANDS, "data", "serve"])


# demo


def test_demo_on_drawn_cars(lightcars, monkeypatch, tmp_path):
    monkeypatch.setattr(demonstration, "SYNTHETIC_TRAIN", 2)
    monkeypatch.setattr(demonstration, "SYNTHETIC_VAL", 1)
    monkeypatch.setattr(demonstration, "SYNTHETIC_RECIPE", Recipe(epochs=2, resolution=32, batch_size=8))
    shown = lightcars("demo", "--out", tmp_path / "demo", "--epochs", 1)
    assert shown.code == 0, shown.err
    assert len(list((tmp_path / "demo" / "cars").rglob("*.png"))) == 24
    assert "best epoch 1 of 1" in shown.out
    assert re.search(r"\d\.\d% +\w+", shown.out)
    for picture in ("prediction.png", "run/curves.png"):
        assert str(tmp_path / "demo" / picture) in shown.out
        with Image.open(tmp_path / "demo" / picture) as image:
            assert image.format == "PNG"


def test_demo_on_images_of_your_own(lightcars, cars, monkeypatch, tmp_path):
    monkeypatch.setattr(demonstration, "IMAGES_RECIPE", Recipe(epochs=1, resolution=32, batch_size=8))
    shown = lightcars("demo", "--data", cars, "--out", tmp_path / "demo")
    assert shown.code == 0, shown.err
    assert not (tmp_path / "demo" / "cars").exists()
    assert str(cars / "val") in shown.out
    assert (tmp_path / "demo" / "run" / "best").is_dir()


def test_demo_as_json_passes_over_a_broken_image(lightcars, cars, monkeypatch, tmp_path):
    monkeypatch.setattr(demonstration, "IMAGES_RECIPE", Recipe(epochs=1, resolution=32, batch_size=8))
    data = copied(cars, tmp_path)
    first, second = sorted((data / "val").rglob("*.png"))[:2]
    first.unlink()
    first.write_bytes(b"")
    shown = lightcars("demo", "--data", data, "--out", tmp_path / "demo", "--json")
    result = json.loads(shown.out)
    assert result["prediction"]["image"] == str(second)
    assert len(result["prediction"]["guesses"]) == 3
    assert result["epochs"] == 1
    assert all(Path(picture).is_file() for picture in result["pictures"])


def test_demo_with_bad_data(lightcars, tmp_path):
    assert (
        "there is no folder" in lightcars("demo", "--data", tmp_path / "x", "--out", tmp_path / "demo").error
    )
