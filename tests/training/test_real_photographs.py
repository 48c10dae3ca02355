"""The real photographs, where they are: found as documented, labeled as the devkit says, and trained on."""

from dataclasses import replace

import pytest

from lightcars import evaluate
from lightcars.data.dataset import decode
from lightcars.data.layouts import find_data
from lightcars.data.stanford_cars import CLASS_NAMES, GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD
from lightcars.errors import DataError
from lightcars.models.preprocessing import Preprocessing
from tests.training.tiny_settings import TINY_RECIPE

FEW = (0, 77, 118, 195)


@pytest.fixture
def few_classes(shared, tmp_path):
    """Links to twelve and three photographs of four classes; "/" in a name is "-" in its folder's."""
    root = tmp_path / "few"
    for split, number in (("train", 12), ("val", 3)):
        for label in FEW:
            folder = CLASS_NAMES[label].replace("/", "-")
            (root / split / folder).mkdir(parents=True)
            for path in sorted((shared / split / folder).iterdir())[:number]:
                (root / split / folder / path.name).symlink_to(path)
    return root


def test_all_of_them_are_found(shared):
    data = find_data(shared)
    assert data.layout == "class folders"
    assert len(data.classes) == 196
    assert {split: len(samples) for split, samples in data.splits.items()} == {"train": 5541, "val": 968}
    assert {sample.label for sample in data.split("train")} == set(range(196))
    assert {sample.label for sample in data.split("val")} == set(range(196))


def test_folders_and_devkit_give_the_same_labels(shared):
    loadmat = pytest.importorskip("scipy.io").loadmat
    rows = loadmat(shared / "devkit" / "cars_train_annos.mat", squeeze_me=True)["annotations"]
    devkit = {str(row["fname"]).removesuffix(".jpg"): int(row["class"]) - 1 for row in rows}
    data = find_data(shared)
    assert all(devkit[s.path.stem] == s.label for split in data.splits for s in data.split(split))


@pytest.mark.parametrize(("mean", "std"), [(RGB_MEAN, RGB_STD), (GRAY_MEAN, GRAY_STD)])
def test_they_can_be_read(shared, mean, std):
    samples = find_data(shared).split("val")[::40]
    photos = decode(samples, Preprocessing(resolution=32, mean=mean, std=std))
    assert photos.broken == ()
    assert photos.pixels.shape == (len(samples), 32, 32, len(mean))
    assert 60 < photos.pixels.mean() < 180


def test_a_handful_of_classes_must_be_asked_for(few_classes, tiny, tmp_path):
    with pytest.raises(DataError, match="training images of 4 of 196 classes"):
        tiny(few_classes, tmp_path / "run")
    names = [CLASS_NAMES[label] for label in FEW]
    (few_classes / "classes.txt").write_text("\n".join(names), encoding="utf-8")
    result = tiny(few_classes, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1))
    assert result.model.config.num_classes == 4
    figures = evaluate(tmp_path / "run", few_classes)
    assert figures.num_images == 12
    assert [row.name for row in figures.per_class] == names
    assert figures.top1_percent == pytest.approx(result.metrics["val_top1_percent"], abs=1e-3)
