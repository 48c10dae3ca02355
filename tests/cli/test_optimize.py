"""`lightcars optimize`: the table of engines, the choice, and mistakes in one line."""

import json

import pytest

from lightcars.deploy import measuring
from lightcars.deploy.runners import ENGINES


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(measuring, "TURNS", 1)
    monkeypatch.setattr(measuring, "TURN_S", 0.0)
    return tmp_path


def test_a_run(lightcars, finished):
    arguments = ("optimize", finished, "--engine", "torch", "--precision", "fp32", "--batch-size", 2)
    done = lightcars(*arguments)
    assert (done.code, done.err) == (0, "")
    title, head, _rule, row, _, choice = done.out.splitlines()
    assert title == f"{finished}, 2 x 32 px, 1 thread"
    assert head.split() == ["engine", "precision", "ms", "per", "batch", "difference", "eager", "error"]
    assert row.split()[:2] == ["torch", "fp32"]
    assert choice.startswith("fastest: torch in fp32, ")
    assert "ms per batch (eager PyTorch: " in choice
    assert lightcars(*arguments).out.splitlines()[0].endswith(", cached")


def test_json(lightcars, finished):
    done = lightcars("optimize", finished / "best", "--precision", "fp32", "--resolution", 48, "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert (content["batch"], content["resolution"], content["untrained"]) == (1, 48, False)
    assert {row["engine"] for row in content["measurements"]} == {"torch", "onnxruntime", "openvino"}
    assert content["engine"] == content["measurements"][0]["engine"]
    assert content["latency_ms"] == content["measurements"][0]["latency_ms"]


def test_untrained_weights_are_noted(lightcars):
    arguments = ("--weights", "fresh", "--engine", "torch", "--precision", "fp32", "--resolution", 32)
    done = lightcars("optimize", "ghostnet_050", *arguments)
    assert done.code == 0, done.err
    assert done.err.startswith("note: the weights are untrained")


MISTAKES = {
    "misspelt model": (["ghostnet_10"], "ghostnet_10 is neither a folder here nor a model. Did you mean"),
    "engine": (["RUN", "--engine", "openvin"], "there is no engine 'openvin'. Did you mean openvino?"),
    "precision": (["RUN", "--precision", "fp3"], "there is no precision 'fp3'. Did you mean fp32?"),
    "batch 0": (["RUN", "--batch-size", "0"], "batch must be a whole number of at least 1, not 0"),
    "size": (["RUN", "--resolution", "31"], "resolution must be a whole number of at least 32, not 31"),
    "threads": (["RUN", "--threads", "100000"], "threads must be at most"),
    "no images": (["RUN", "--calibration", "nowhere"], "there is no folder nowhere to calibrate with"),
    "int8 alone": (["RUN", "--precision", "int8"], "int8 is calibrated on images"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(lightcars, finished, arguments, message):
    done = lightcars("optimize", *[finished if word == "RUN" else word for word in arguments])
    assert message in done.error


def test_ctrl_c(lightcars, finished, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lightcars.deploy.optimize.Reference.of", interrupt)
    done = lightcars("optimize", finished)
    assert (done.code, done.out, done.err) == (130, "", "\nstopped; nothing was cached\n")


def test_help_names_the_engines(lightcars):
    shown = lightcars("optimize", "--help").out
    assert all(engine in shown for engine in ENGINES)
