"""`lightcars compare`: table, JSON, Ctrl-C and errors."""

import json

import pytest

from lightcars.training import comparing

SHORT = ("--epochs", "1", "--resolution", "32", "--set", "batch_size=16", "--set", "decode_resolution=null")


@pytest.fixture(autouse=True)
def short_timings(monkeypatch):
    monkeypatch.setattr(comparing, "LATENCY_S", 0.01)


def test_table_and_json_of_the_same_comparison(lightcars, drawn, tmp_path):
    arguments = ("compare", "ghostnet_050", "--data", drawn, "--out", tmp_path / "out", *SHORT)
    shown = lightcars(*arguments)
    assert shown.code == 0
    head, _, row, last = shown.out.splitlines()
    assert head.split() == ["model", "top-1", "top-5", "parameters", "FLOPs", "latency", "training"]
    assert row.startswith("ghostnet_050 ")
    assert last == f"page: {tmp_path / 'out' / 'comparison.html'}"
    again = json.loads(lightcars(*arguments, "--json").out)
    assert f"{again['models'][0]['top1_percent']:.2f} %" in row


def test_ctrl_c_says_that_the_same_command_resumes_it(lightcars, drawn, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(comparing, "finetune", stopped)
    ended = lightcars("compare", "ghostnet_050", "--data", drawn, "--out", tmp_path / "out", *SHORT)
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.splitlines()[-1] == "stopped; the same command resumes it"


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["ghostnet_55"], "no model named 'ghostnet_55'"),
        (["ghostnet_050", "ghostnet_050"], "name at least one model, and each only once"),
    ],
)
def test_errors_are_one_line(lightcars, drawn, tmp_path, models, message):
    ended = lightcars("compare", *models, "--data", drawn, "--out", tmp_path / "out", *SHORT)
    assert message in ended.error
