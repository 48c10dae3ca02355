"""What a run folder tells of its model's accuracy, and when it tells nothing."""

import json

import pytest

from lightcars import Preprocessing, Recipe, ghostnet, save
from lightcars.errors import RunError
from lightcars.runs.accuracy import recorded_accuracy
from lightcars.runs.folder import RunFolder
from tests.runs.descriptions import description_of


@pytest.fixture
def run(tmp_path):
    """A finished run, as far as its accuracy goes."""

    def make(select_on: str = "val", resolution: int | None = 48):
        folder = tmp_path / "run"
        known = None
        if resolution is not None:
            known = Preprocessing(resolution=resolution, mean=(0.5,) * 3, std=(0.5,) * 3)
        for name in ("best", "last"):
            save(ghostnet("050", width=0.1), folder / name, preprocessing=known)
        RunFolder(folder).write(description_of(Recipe(select_on=select_on), root="/images/cars196"))
        (folder / "metrics.json").write_text(json.dumps({"val_top1_percent": 45.87}))
        return folder

    return make


def test_the_best_model_of_a_run(run):
    folder = run()
    found = recorded_accuracy(folder)
    assert (found.top1_percent, found.data, found.resolution) == (45.87, "val of cars196", 48)
    assert recorded_accuracy(folder / "best") == found
    assert recorded_accuracy(f"{folder}/best/../best/") == found


def test_where_the_test_split_chose_the_epoch(run):
    assert recorded_accuracy(run(select_on="test")).data == "test (chosen on test: too good) of cars196"


def test_what_tells_nothing(run, tmp_path):
    folder = run()
    assert recorded_accuracy(folder / "last") is None, "the figures are the best model's"
    assert recorded_accuracy(tmp_path) is None
    assert recorded_accuracy("timm/ghostnet_100.in1k") is None
    (folder / "metrics.json").unlink()
    assert recorded_accuracy(folder) is None, "not finished"


def test_without_preprocessing_the_size_is_not_known(run):
    assert recorded_accuracy(run(resolution=None)) is None


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", "[" * 100_000, '{"val_top1_percent": null}', '{"val_top1_percent": NaN}']
)
def test_a_damaged_file(run, text):
    folder = run()
    (folder / "metrics.json").write_text(text)
    with pytest.raises(RunError, match=r"metrics\.json"):
        recorded_accuracy(folder)
