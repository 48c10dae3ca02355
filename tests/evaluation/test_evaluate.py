"""Evaluation: evaluated counted by hand, one split at a time, and models that do not fit the data."""

import json
import math
import shutil

import pytest
import torch
import torch.nn.functional as F

from lightcars import evaluate, ghostnet, save
from lightcars.data.dataset import decode
from lightcars.data.layouts import find_data
from lightcars.data.pixels import normalize
from lightcars.errors import CheckpointError, DataError, DeviceError, LightcarsError
from lightcars.evaluation.evaluate import _metrics
from lightcars.weights.checkpoint import read_card
from tests.training.tiny_settings import TINY_MODEL

CLASSES = tuple("abcdefgh")


def test_metrics_counted_by_hand():
    logits = torch.tensor(
        [
            [9.0, 1, 2, 3, 4, 5, 6, 7],  # a: first
            [9.0, 5, 6, 7, 8, 1, 2, 3],  # b: fifth
            [9.0, 5, 6, 7, 8, 4, 2, 3],  # f: sixth
            [1.0, 9, 2, 3, 4, 5, 6, 7],  # b: first
        ]
    )
    labels = torch.tensor([0, 1, 5, 1])
    evaluated = _metrics("val", logits, labels, CLASSES, ("x.jpg is empty",))
    assert (evaluated.num_images, evaluated.top1_percent, evaluated.top5_percent) == (4, 50.0, 75.0)
    assert evaluated.loss == pytest.approx(F.cross_entropy(logits, labels).item())
    assert [(row.name, row.num_images, row.top1_percent) for row in evaluated.per_class] == [
        ("a", 1, 100.0),
        ("b", 2, 50.0),
        ("f", 1, 0.0),
    ]
    assert evaluated.broken == ("x.jpg is empty",)


def test_with_fewer_than_five_classes_all_are_in_the_top_five():
    evaluated = _metrics("val", torch.eye(3), torch.tensor([2, 1, 0]), CLASSES[:3], ())
    assert (evaluated.top1_percent, evaluated.top5_percent) == (pytest.approx(100 / 3), 100.0)


def test_it_is_what_the_model_says(finished):
    card = read_card(finished.run / "best")
    photos = decode(find_data(finished.data).split("val"), card.preprocessing)
    pixels = torch.from_numpy(photos.pixels).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = finished.result.model(normalize(pixels, card.preprocessing))
    labels = torch.from_numpy(photos.labels)
    evaluated = evaluate(finished.run, finished.data)
    assert evaluated.top1_percent == pytest.approx((logits.argmax(1) == labels).double().mean().item() * 100)
    assert evaluated.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)


def test_classes_add_up_to_the_whole(finished):
    evaluated = evaluate(finished.run, finished.data)
    assert [row.name for row in evaluated.per_class] == list(find_data(finished.data).classes)
    assert sum(row.num_images for row in evaluated.per_class) == evaluated.num_images == 24
    hits = sum(row.num_images * row.top1_percent for row in evaluated.per_class)
    assert hits / evaluated.num_images == pytest.approx(evaluated.top1_percent)


@pytest.mark.parametrize(("split", "number"), [("val", 24), ("train", 48)])
def test_splits(finished, split, number):
    evaluated = evaluate(finished.run, finished.data, split=split)
    assert (evaluated.split, evaluated.num_images) == (split, number)


def test_the_test_split_is_evaluated_when_asked_for(finished, drawn_copy):
    (drawn_copy / "val").rename(drawn_copy / "test")
    ours, test = evaluate(finished.run, finished.data), evaluate(finished.run, drawn_copy, split="test")
    assert (test.split, test.top1_percent, test.loss) == ("test", ours.top1_percent, pytest.approx(ours.loss))


def test_the_batch_size_changes_nothing(finished):
    one, all_at_once = (evaluate(finished.run, finished.data, batch_size=size) for size in (5, 64))
    assert one.top1_percent == all_at_once.top1_percent
    assert one.loss == pytest.approx(all_at_once.loss, rel=1e-5)


def test_a_checkpoint_folder_will_do(finished):
    assert evaluate(finished.run / "best", finished.data) == evaluate(finished.run, finished.data)


def test_the_last_model_can_be_evaluated_too(finished):
    assert evaluate(finished.run / "last", finished.data).num_images == 24


def test_as_json(finished):
    evaluated = evaluate(finished.run, finished.data)
    content = json.loads(evaluated.to_json())
    assert content["top1_percent"] == evaluated.top1_percent
    assert content["num_images"] == 24
    assert content["per_class"][0].keys() == {"name", "num_images", "top1_percent"}
    assert math.isfinite(content["loss"])


def test_broken_images_do_not_count_and_are_named(finished, drawn_copy):
    path = drawn_copy / "val" / "Bus" / "0001.png"
    path.unlink()
    path.write_bytes(b"")
    evaluated = evaluate(finished.run, drawn_copy)
    assert evaluated.num_images == 23
    assert [str(path) in text for text in evaluated.broken] == [True]


def test_it_writes_nothing(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.run.rglob("*")}
    evaluate(finished.run, finished.data)
    assert {path: path.stat().st_mtime_ns for path in finished.run.rglob("*")} == before


def fails(run, data, error: type[LightcarsError], **settings) -> str:
    with pytest.raises(error) as caught:
        evaluate(run, data, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_split_that_is_not_there(finished):
    assert "has no split 'test'; it has train, val." in fails(
        finished.run, finished.data, DataError, split="test"
    )


def test_data_of_other_classes(finished, drawn_copy):
    classes = drawn_copy / "classes.txt"
    names = classes.read_text().split()
    classes.unlink()
    classes.write_text("\n".join([*names, "Tram"]))
    text = fails(finished.run, drawn_copy, DataError)
    assert "has other classes (9, first Sedan) than the model (8, first Sedan)" in text


def test_no_such_run(finished, tmp_path):
    assert "there is no run or checkpoint folder" in fails(tmp_path / "x", finished.data, CheckpointError)


def test_a_folder_without_a_run(finished, tmp_path):
    assert f"{tmp_path} holds no run" in fails(tmp_path, finished.data, LightcarsError)


def test_a_run_without_a_finished_epoch(finished, tmp_path):
    (tmp_path / "run.json").write_bytes((finished.run / "run.json").read_bytes())
    assert "has no finished epoch yet" in fails(tmp_path, finished.data, CheckpointError)


def test_a_checkpoint_that_does_not_say_its_classes(finished, tmp_path):
    save(ghostnet(num_classes=8, **TINY_MODEL), tmp_path)
    assert "does not say its class names and preprocessing" in fails(tmp_path, finished.data, CheckpointError)


def test_weights_of_another_model(finished, tmp_path):
    copy = tmp_path / "best"
    shutil.copytree(finished.run / "best", copy)
    save(ghostnet(num_classes=3, **TINY_MODEL), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(copy / "model.safetensors")
    text = fails(copy, finished.data, CheckpointError)
    assert f"the weights in {copy} do not fit the model; mis-shaped:" in text
    assert "classifier.weight (3, 16) for (8, 16)" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_gpu_that_is_not_there(finished):
    assert "no CUDA device" in fails(finished.run, finished.data, DeviceError, device="cuda")
