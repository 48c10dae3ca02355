"""predictions.csv: what the best model says, as `evaluate` and `predict` say it, and ways to be damaged."""

import csv
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from lightcars import evaluate, predict
from lightcars.data.layouts import find_data
from lightcars.errors import CheckpointError, DataError, RunError
from lightcars.evaluation.predictions import predict_run, read_predictions, write_predictions
from lightcars.runs.folder import RunFolder
from lightcars.weights.checkpoint import read_card


@pytest.fixture
def classes(finished):
    return read_card(finished.run / "best").classes


@pytest.fixture
def stored(finished, classes):
    return read_predictions(RunFolder(finished.run), classes)


@pytest.fixture
def copy(finished, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(finished.run / "predictions.csv", run)
    return RunFolder(run)


def test_one_row_for_each_validation_image(finished, stored):
    samples = find_data(finished.data).split("val")
    assert [finished.data / path for path in stored.paths] == [sample.path for sample in samples]
    assert stored.labels.tolist() == [sample.label for sample in samples]
    with (finished.run / "predictions.csv").open(newline="") as file:
        head = next(csv.reader(file))
    assert head[:4] == ["path", "class", "guess_1", "probability_1"]
    assert len(head) == 12


def test_they_are_the_metrics_of_the_run(finished, stored):
    evaluated = evaluate(finished.run, finished.data)
    assert stored.top1_percent == pytest.approx(evaluated.top1_percent)
    assert stored.top5_percent == pytest.approx(evaluated.top5_percent)
    assert stored.top1_percent == pytest.approx(finished.result.metrics["val_top1_percent"], abs=1e-3)
    assert stored.top5_percent == pytest.approx(finished.result.metrics["val_top5_percent"], abs=1e-3)


def test_they_are_what_predict_says(finished, stored, classes):
    said = predict(finished.run, [finished.data / path for path in stored.paths[:5]])
    for position, prediction in enumerate(said):
        for rank, guess in enumerate(prediction.guesses):
            assert guess.name == classes[stored.guesses[position, rank]]
            assert guess.probability == pytest.approx(stored.probabilities[position, rank], abs=1e-5)


def test_computed_again_they_are_the_same(finished, stored):
    again, broken = predict_run(finished.run, finished.data)
    assert broken == ()
    assert again.paths == stored.paths
    assert np.array_equal(again.guesses, stored.guesses)
    assert np.allclose(again.probabilities, stored.probabilities, atol=1e-5)


def test_written_and_read_they_are_the_same(stored, tmp_path):
    write_predictions(stored, tmp_path / "predictions.csv")
    again = read_predictions(RunFolder(tmp_path), stored.classes)
    assert again.paths == stored.paths
    assert np.array_equal(again.guesses, stored.guesses)
    assert np.array_equal(again.probabilities, stored.probabilities)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


def test_names_that_a_spreadsheet_would_run_and_bytes_that_are_not_utf8(stored, tmp_path):
    classes = ("=1+1", "@SUM(A1)", "+A", "-B", "'=C", *stored.classes[5:])
    paths = ("=a/b.png", os.fsdecode(b"val/caf\xe9.png"), *stored.paths[2:])
    write_predictions(replace(stored, classes=classes, paths=paths), tmp_path / "predictions.csv")
    text = (tmp_path / "predictions.csv").read_text(encoding="utf-8")
    cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+", "-"))]
    again = read_predictions(RunFolder(tmp_path), classes)
    assert again.paths == paths
    assert np.array_equal(again.guesses, stored.guesses)


def test_broken_images_are_left_out_and_named(finished, drawn_copy):
    path = drawn_copy / "val" / "Bus" / "0001.png"
    path.unlink()
    path.write_bytes(b"")
    again, broken = predict_run(finished.run, drawn_copy)
    assert len(again.paths) == 23
    assert "val/Bus/0001.png" not in again.paths
    assert [str(path) in text for text in broken] == [True]


def test_a_run_without_any(tmp_path):
    assert read_predictions(RunFolder(tmp_path), ("a",)) is None


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda text: "", "is not a table of predictions"),
        (lambda text: text.splitlines()[0], "is not a table of predictions"),
        (lambda text: text.replace("guess_2", "guess_x"), "is not a table of predictions"),
        (lambda text: text.replace(",Sedan,", ",Tram,", 1), "row 2: unknown class 'Tram'"),
        (lambda text: text.rsplit(",", 1)[0], "row 25: 11 values, not 12"),
        (lambda text: text.rsplit(",", 1)[0] + ",much\n", "row 25: could not convert"),
        (lambda text: text.rsplit(",", 1)[0] + ",1.5\n", "row 25: 1.5 is not a probability"),
        (lambda text: text.rsplit(",", 1)[0] + ",nan\n", "row 25: nan is not a probability"),
        (lambda text: text + "\n\n", "row 26: "),
    ],
)
def test_a_damaged_table_is_one_line_that_names_the_row(copy, classes, spoil, text):
    copy.predictions.write_text(spoil(copy.predictions.read_text()))
    with pytest.raises(RunError) as caught:
        read_predictions(copy, classes)
    assert text in str(caught.value)
    assert str(copy.predictions) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(copy, classes):
    copy.predictions.write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(RunError, match="cannot be read"):
        read_predictions(copy, classes)


def test_data_of_other_classes(finished, drawn_copy):
    names = (drawn_copy / "classes.txt").read_text().split()
    (drawn_copy / "classes.txt").unlink()
    (drawn_copy / "classes.txt").write_text("\n".join([*names, "Tram"]))
    with pytest.raises(DataError, match="has other classes"):
        predict_run(finished.run, drawn_copy)


def test_a_run_without_a_finished_epoch(finished, tmp_path):
    shutil.copy(finished.run / "run.json", tmp_path)
    with pytest.raises(CheckpointError, match="has no finished epoch yet"):
        predict_run(tmp_path, finished.data)
