"""What a notebook and a Python shell show of results: short lines, and tables."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

import lightcars
from lightcars import Evaluation, Prediction, evaluate, ghostnet, predict, profile
from lightcars.benching.results import HEAD, BenchResult
from lightcars.deploy.measuring import Measurement, Measurements
from lightcars.errors import RunError
from lightcars.evaluation.evaluate import ClassMetrics
from lightcars.evaluation.guesses import Guess
from tests.reports.test_page import Page, opened

LONGEST = 200


def shown(result) -> Page:
    """What a notebook shows, taken apart."""
    return Page(result._repr_html_())


def test_a_profile():
    done = profile(ghostnet(), 64)
    assert repr(done) == (
        "Profile(GhostNet, input 1 x 3 x 64 x 64:"
        f" {done.num_params:,} parameters, {done.flops:,} FLOPs, {len(done.layers)} layers)"
    )
    assert "with the backward pass" in repr(profile(ghostnet(), 64, backward=True))
    page = shown(done)
    assert f"{done.flops:,} multiply-accumulates" in page.words
    assert "classifier" in page.words
    assert "aten" in page.words


def test_a_model():
    page = shown(ghostnet(num_classes=7))
    assert page.words.startswith("GhostNet parameters")
    assert "classes 7 input 3 x 224 x 224 weights random" in page.words
    assert "(classifier): Linear" in page.words


def test_an_evaluation(finished):
    done = evaluate(finished.run, finished.data)
    assert len(repr(done)) < LONGEST
    assert f"val, 24 images: top-1 {done.top1_percent:.2f} %, top-5 {done.top5_percent:.2f} %" in repr(done)
    words = shown(done).words
    rates = [words.index(f"{row.name} {row.num_images}") for row in done.per_class]
    assert rates, "all classes are in the table"
    hardest = min(done.per_class, key=lambda row: (row.top1_percent, row.name))
    assert words.index(f"{hardest.name} {hardest.num_images}") == min(rates)


def test_an_evaluation_of_few_classes_has_no_top5():
    done = Evaluation(
        split="test",
        num_images=2,
        broken=(),
        top1_percent=50.0,
        top5_percent=100.0,
        loss=0.5,
        per_class=(ClassMetrics("<b>", 2, 50.0),),
        note="chosen on test: too good",
    )
    assert repr(done) == (
        "Evaluation(test, 2 images: top-1 50.00 %, loss 0.500, note chosen on test: too good)"
    )
    assert "<b> 2 50.00 %" in shown(done).words


def test_a_prediction_is_a_picture_and_its_classes(finished):
    path = next((finished.data / "val").rglob("*.png"))
    done = predict(finished.run, path)[0]
    assert repr(done) == f"Prediction({path}: {done.guesses[0].name} {done.guesses[0].probability:.1%})"
    page = shown(done)
    assert opened(page.images[0]["src"]).format == "JPEG"
    for guess in done.guesses:
        assert f"{guess.name} {guess.probability:.1%}" in page.words


@pytest.mark.parametrize("path", [None, Path("/nowhere/<b>.jpg")])
def test_a_prediction_without_its_image(path):
    done = Prediction(path, (Guess("Bus", 0.75),), familiar=False)
    assert repr(done) == f"Prediction({path or 'image'}: Bus 75.0%, unfamiliar image)"
    page = shown(done)
    assert page.images == []
    assert "unfamiliar image class probability Bus 75.0%" in page.words
    assert (path is None) or "/nowhere/<b>.jpg" in page.words


def test_a_result_of_finetune(finished, monkeypatch):
    done = finished.result
    assert len(repr(done)) < LONGEST + len(str(done.run))
    assert f"best epoch {done.metrics['best_epoch']} of 3, val top-1" in repr(done)
    page = shown(done)
    assert opened(page.images[0]["src"]).size == (1200, 384)
    assert f"run folder {done.run}" in page.words
    seen = []
    monkeypatch.setattr(Image.Image, "show", lambda self: seen.append(self.size))
    done.show()
    assert seen == [(1200, 384)]
    displayed = SimpleNamespace(display=seen.append)
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", displayed)
    done.show()
    assert seen[1] is done


def test_a_result_whose_run_is_gone(finished, tmp_path):
    gone = type(finished.result)(finished.result.model, finished.result.metrics, tmp_path / "gone")
    assert shown(gone).images == []
    with pytest.raises(RunError, match=r"curves\.png cannot be read"):
        gone.show()


def test_measurements():
    rows = Measurements([Measurement(engine="torch", precision="fp32", latency_ms=1.5)])
    assert "torch fp32 1.50" in shown(rows).words


def test_a_bench():
    done = BenchResult(rows=(), train=False, machine="a <CPU>")
    assert repr(done) == "BenchResult(0 rows of forward passes: )"
    assert shown(done).words == "a <CPU>"
    assert HEAD[1] == "ms"


def test_published_weights_are_a_line_each():
    entries = lightcars.list_weights()
    assert max(len(repr(entry)) for entry in entries) < LONGEST
    assert all(entry.tag in repr(entry) for entry in entries)
