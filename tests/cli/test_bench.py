"""`lightcars bench`: what it measures, prints and draws, and mistakes in one line."""

import json
import sys

import pytest

from lightcars import ghostnet, save
from lightcars.benching.process import ProcessResult
from lightcars.benching.settings import known_engines

TIMINGS = {"calls": 20, "latency_ms": 4.0, "p95_ms": 5.0, "memory_mib": 30.0}
SET_UP = {"setup_s": 2.0, "difference": 1e-6, "problem": None}
FRESH = ("--weights", "fresh", "--precision", "fp32", "--threads", 1)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def answers(monkeypatch):
    """Replaces processes; a test may change the results."""
    made = {
        "set_up": ProcessResult(SET_UP, None),
        "predict": ProcessResult(TIMINGS, None),
        "train": ProcessResult(TIMINGS, None),
    }

    def call(target, _task, *, environment):
        answer = made[target.rpartition(":")[2]]
        return answer() if callable(answer) else answer

    monkeypatch.setattr("lightcars.benching.run.call_in_process", call)
    return made


def test_a_table(lightcars, elsewhere, answers):
    arguments = ("bench", "ghostnet_050", *FRESH, "--engines", "eager,torch", "--batch-size", "1,8")
    shown = lightcars(*arguments)
    assert (shown.code, shown.err) == (0, "")
    lines = [line.split() for line in shown.out.splitlines()]
    assert shown.out.splitlines()[0].endswith("; 1 thread")
    assert [*lines[2:4], *lines[5:7]] == [
        ["ghostnet_050,", "1", "x", "224", "px"],
        ["ms", "p95", "ms", "images/s", "MiB", "set-up", "s", "differs", "by"],
        ["eager", "fp32", "4.00", "5.00", "250.0", "30"],
        ["torch", "fp32", "4.00", "5.00", "250.0", "30", "2.0", "1e-06"],
    ]
    assert lines[8] == ["ghostnet_050,", "8", "x", "224", "px"]
    assert list(elsewhere.iterdir()) == []


def test_options_may_be_repeated(lightcars, elsewhere, answers):
    repeated = ("--engines", "eager", "--engines", "torch", "--batch-size", "2", "--batch-size", "4")
    rows = json.loads(lightcars("bench", "ghostnet_050", *FRESH, *repeated, "--json").out)["rows"]
    assert {(row["engine"], row["batch"]) for row in rows} == {
        *(("eager", 2), ("eager", 4), ("torch", 2), ("torch", 4))
    }


def test_names_and_folders_together(lightcars, elsewhere, answers):
    save(ghostnet("050", num_classes=3, resolution=32), "mine")
    shown = lightcars("bench", "ghostnet_050", "mine", "mine", *FRESH, "--engines", "eager", "--json")
    assert shown.code == 0, shown.err
    rows = json.loads(shown.out)["rows"]
    assert [(row["model"], row["resolution"]) for row in rows] == [("ghostnet_050", 224), ("mine", 32)]


def test_a_name_needs_no_extra(lightcars, elsewhere, answers, monkeypatch):
    for module in ("yaml", "lightning", "matplotlib", "scipy", "lightcars.runs.folder"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "lightcars.runs.accuracy", raising=False)
    shown = lightcars("bench", "ghostnet_050", *FRESH, "--engines", "eager")
    assert shown.code == 0, shown.err


def test_a_run_with_its_accuracy_and_the_plot(lightcars, finished, elsewhere, answers):
    arguments = ("--engines", "eager", "--precision", "fp32", "--plot", "new/speed.png", "--json")
    shown = lightcars("bench", finished, *arguments)
    assert shown.code == 0, shown.err
    assert shown.err == "plot: new/speed.png\n"
    assert (elsewhere / "new" / "speed.png").read_bytes().startswith(b"\x89PNG")
    (row,) = json.loads(shown.out)["rows"]
    recorded = json.loads((finished / "metrics.json").read_text())["val_top1_percent"]
    assert row["accuracy"] == {"top1_percent": recorded, "data": "val of cars", "resolution": 32}


def test_training_steps(lightcars, elsewhere, answers):
    shown = lightcars("bench", "ghostnet_050", *FRESH, "--train")
    assert shown.code == 0, shown.err
    assert "ghostnet_050, 16 x 224 px, training step\n" in shown.out
    assert "fp32 channels_last" in shown.out


def test_problems_are_told_after_the_table(lightcars, elsewhere, answers):
    answers["set_up"] = ProcessResult(None, "its process crashed (SIGSEGV)")
    shown = lightcars("bench", "ghostnet_050", *FRESH, "--engines", "eager,torch")
    assert shown.code == 0
    assert shown.err == "ghostnet_050, torch fp32, batch 1: its process crashed (SIGSEGV)\n"


def test_where_nothing_could_be_measured(lightcars, elsewhere, answers):
    answers["set_up"] = ProcessResult(None, "its process crashed (SIGSEGV)")
    shown = lightcars("bench", "ghostnet_050", *FRESH, "--engines", "torch", "--plot", "a.png")
    assert shown.code == 1
    assert "SIGSEGV" in shown.err
    assert list(elsewhere.iterdir()) == []


def test_ctrl_c(lightcars, elsewhere, answers):
    def interrupt() -> ProcessResult:
        raise KeyboardInterrupt

    answers["predict"] = interrupt
    shown = lightcars("bench", "ghostnet_050", *FRESH, "--engines", "eager")
    assert (shown.code, shown.out, shown.err) == (130, "", "\nstopped; nothing was written\n")


MISTAKES = {
    "misspelt model": (["ghostnet_10"], "ghostnet_10 is neither a folder here nor a model. Did you mean"),
    "no run": (["some/where/else"], "there is no run or checkpoint folder"),
    "misspelt engine": (
        ["RUN", "--engines", "openvin"],
        "there is no engine 'openvin'. Did you mean openvino?",
    ),
    "misspelt precision": (["RUN", "--precision", "fp3"], "there is no precision 'fp3'. Did you mean fp32?"),
    "batch 0": (["RUN", "--batch-size", "0"], "batch must be a whole number of at least 1, not 0"),
    "no number": (
        ["RUN", "--batch-size", "1,two"],
        "--batch-size takes whole numbers, such as 1,16, not 1,two.",
    ),
    "threads": (["RUN", "--threads", "100000"], "threads must be at most"),
    "no such device": (["RUN", "--device", "tpu"], "'tpu' is not a device"),
    "resolution": (["RUN", "--resolution", "31"], "resolution must be a whole number of at least 32, not 31"),
    "seconds": (["RUN", "--seconds", "0"], "seconds must be a positive number"),
    "engines in training": (
        ["RUN", "--train", "--engines", "torch"],
        "training steps are measured in PyTorch",
    ),
    "weights of a run": (["RUN", "--weights", "imagenet"], "--weights is for names from `lightcars list`"),
    "no such weights": (["ghostnet_050", "--weights", "nowhere"], "nowhere"),
    "no weights": (["ghostnet_thesis"], "Random weights need no file: --weights fresh."),
    "no picture": (["RUN", "--plot", "a.jpg"], "a plot is a PNG file; its name must end in .png, not a.jpg."),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(lightcars, finished, elsewhere, arguments, message):
    done = lightcars("bench", *[finished if word == "RUN" else word for word in arguments])
    assert message in done.error
    assert list(elsewhere.iterdir()) == []


def test_what_this_machine_lacks_is_said_before_anything_is_loaded(lightcars, elsewhere, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "no CUDA device" in lightcars("bench", "ghostnet_thesis", "--device", "cuda").error
    monkeypatch.setitem(sys.modules, "openvino", None)
    error = lightcars("bench", "ghostnet_thesis", "--engines", "openvino").error
    assert error.endswith("pip install 'lightcars[deploy]'")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    error = lightcars("bench", "ghostnet_thesis", "--plot", "a.png").error
    assert error.endswith("pip install 'lightcars[cars]'")


def test_help_names_the_engines(lightcars):
    shown = lightcars("bench", "--help").out
    assert all(engine in shown for engine in known_engines())
