"""The comparison of counters: outcomes, explanations, resuming, and the table."""

import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.harness.arithmetic import Arithmetic
from benchmarks.speed import counting_zoo
from benchmarks.tables.counting import EXPLANATIONS, zoo


class Attention(nn.Module):
    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x)


class Chooses(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


MODELS = {
    "a": (nn.Linear(4, 5), (1, 4)),
    "b": (Attention(), (1, 3, 4)),
    "c": (Chooses(), (1, 4)),
    "d": (nn.Linear(400, 500), (1, 400)),
}


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setattr(counting_zoo, "BUILDERS", {"toy": MODELS.__getitem__})
    monkeypatch.setattr(counting_zoo, "listed", lambda: [f"toy {name}" for name in MODELS])
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    out = tmp_path / "counting_zoo.json"

    def run(*options):
        monkeypatch.setattr(
            "sys.argv", ["counting_zoo", "--out", str(out), "--fvcore-gmacs", "1e-4", *options]
        )
        counting_zoo.main()
        return json.loads(out.read_text())

    return run


def test_outcomes(run):
    results = run()["results"]
    assert results["macs"] == {"toy a": 20, "toy b": 72, "toy d": 200_000}
    assert list(results["failed"]) == ["toy c"]
    assert results["unlike_arithmetic"] == {}
    assert results["fvcore"]["equal"] == ["toy a"]
    assert results["fvcore"]["different"] == {
        "toy b": {"macs": 72, "fvcore": 0, "because": "fused attention"}
    }


def test_a_run_continues_where_it_was_stopped(run, monkeypatch):
    class StoppedError(Exception):
        pass

    counted = []
    add = counting_zoo.Comparison.add

    def stop_at_the_second(self, name):
        if len(counted) == 1:
            raise StoppedError
        counted.append(name)
        add(self, name)

    monkeypatch.setattr(counting_zoo, "MODELS_PER_WRITE", 1)
    monkeypatch.setattr(counting_zoo.Comparison, "add", stop_at_the_second)
    with pytest.raises(StoppedError):
        run()
    monkeypatch.setattr(
        counting_zoo.Comparison, "add", lambda self, name: (counted.append(name), add(self, name))
    )
    assert list(run()["results"]["macs"]) == ["toy a", "toy b", "toy d"]
    assert counted == ["toy a", "toy b", "toy c", "toy d"]


def test_explanations():
    with Arithmetic() as arithmetic:
        Attention()(torch.zeros(1, 3, 4))
        torch.zeros(3, 4) @ torch.zeros(2, 4, 5)
    assert counting_zoo.explanation(arithmetic, 72) == "fused attention"
    assert (
        counting_zoo.explanation(arithmetic, 60 + 72)
        == "fused attention and matmul with a broadcast first operand"
    )
    assert counting_zoo.explanation(arithmetic, 71) == "unexplained"


def test_table(run):
    text = zoo({"counting_zoo": run()})
    assert "Of 4 classifiers of torchvision and timm, 3 were counted, 1 could not be. 0 counts differ" in text
    assert "1 equal, 1 different" in text
    assert f"| {EXPLANATIONS['fused attention']} | `toy b` | 1 |" in text
    stopped = run()
    del stopped["results"]["macs"]["toy a"]
    assert "2 were counted, 1 could not be, 1 have not been counted yet." in zoo({"counting_zoo": stopped})
    assert zoo({}).startswith("Not measured yet: run `python -m benchmarks.speed.counting_zoo`")
