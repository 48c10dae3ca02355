"""What is wrong with a data set is found and named; statistics are those of the pixels."""

import shutil

import numpy as np
import pytest
from PIL import Image

from lightcars.data.inspection import channel_statistics, inspect_data
from lightcars.data.layouts import Sample, find_data
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.errors import DataError
from lightcars.models.images import read_image
from tests.data.made_copies import RAM, RECORDS, SIZE, TRAIN, class_folders, put, thesis


def test_a_data_set_without_a_flaw(tmp_path):
    seen = inspect_data(class_folders(tmp_path), progress=True)
    assert (seen.layout, seen.num_classes, seen.root) == ("class folders", 196, str(tmp_path))
    evaluated = [
        (s.name, s.num_images, s.num_classes, s.num_boxes, s.num_gray, s.num_broken) for s in seen.splits
    ]
    assert evaluated == [("train", 9, 3, 0, 0, 0), ("test", 3, 3, 0, 0, 0)]
    assert (seen.broken, seen.duplicates, seen.leaks, seen.wrong_boxes, seen.notes) == ((), (), (), (), ())
    assert seen.width == (SIZE[0], SIZE[0], SIZE[0])
    assert seen.height == (SIZE[1], SIZE[1], SIZE[1])
    assert len(seen.absent_classes) == 193
    assert seen.thin_classes == {CLASS_NAMES[label]: 3 for label in (0, RAM, 195)}
    assert len(seen.mismatches) == 3


def test_sizes_are_least_median_and_most(tmp_path):
    folder = tmp_path / "train" / CLASS_NAMES[0]
    folder.mkdir(parents=True)
    for width, height in ((10, 50), (30, 20), (14, 21), (12, 20)):
        Image.new("RGB", (width, height), (width, height, 0)).save(folder / f"{width}.png")
    seen = inspect_data(tmp_path)
    assert seen.width == (10, 13, 30)
    assert seen.height == (20, 20.5, 50)


def test_broken_files_are_named(tmp_path):
    class_folders(tmp_path)
    first, second = (sample.path for sample in find_data(tmp_path).split("train")[:2])
    first.write_bytes(first.read_bytes()[:40])
    second.write_bytes(b"")
    seen = inspect_data(tmp_path)
    assert len(seen.broken) == 2
    assert str(first) in seen.broken[0]
    assert f"{second} is empty" in seen.broken[1]
    assert seen.splits[0].num_broken == 2
    assert seen.rgb.num_images == 7


def test_nothing_but_broken_files(tmp_path):
    put(tmp_path / "train" / CLASS_NAMES[0] / "a.jpg", b"")
    with pytest.raises(DataError, match=r"a\.jpg is empty"):
        inspect_data(tmp_path)


def test_a_split_of_broken_files_is_not_measured(tmp_path):
    class_folders(tmp_path)
    for sample in find_data(tmp_path).split("train"):
        sample.path.write_bytes(b"x")
    seen = inspect_data(tmp_path)
    assert seen.measured_split == "test"
    assert seen.rgb.num_images == 3


def test_duplicates_leaks_and_wrong_labels(tmp_path):
    class_folders(tmp_path)
    data = find_data(tmp_path)
    train, test = data.split("train"), data.split("test")
    other = next(sample for sample in train if sample.label != train[0].label)
    leaked = next(sample for sample in train if sample.label == test[0].label and sample != train[0])
    shutil.copy(train[0].path, train[0].path.with_name("again.jpg"))
    shutil.copy(leaked.path, test[0].path)
    shutil.copy(train[0].path, other.path)
    seen = inspect_data(tmp_path)
    groups = {group.splits: group for group in seen.duplicates}
    assert len(seen.duplicates) == 2
    assert len(groups["train",].paths) == 3
    assert set(groups["train",].classes) == {CLASS_NAMES[train[0].label], CLASS_NAMES[other.label]}
    assert seen.leaks == (groups["train", "test"],)
    assert all(not path.startswith("/") for group in seen.duplicates for path in group.paths)


def test_empty_files_are_broken_and_no_duplicates(tmp_path):
    class_folders(tmp_path)
    for sample in find_data(tmp_path).split("train")[:2]:
        sample.path.write_bytes(b"")
    assert inspect_data(tmp_path).duplicates == ()


def test_gray_is_what_has_no_color_however_it_is_stored(tmp_path):
    folder = tmp_path / "train" / CLASS_NAMES[0]
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    gray = Image.fromarray(noise)
    gray.save(folder / "1.png")
    gray.convert("RGB").save(folder / "2.jpg", quality=80)
    gray.convert("RGB").save(folder / "3.webp", quality=80)
    gray.convert("P").save(folder / "4.png")
    Image.fromarray(np.stack([noise, noise, 255 - noise], axis=-1)).save(folder / "5.png")
    spot = np.stack([noise] * 3, axis=-1)
    spot[3:6, 3:6] = (255, 0, 0)
    Image.fromarray(spot).save(folder / "6.png")
    assert inspect_data(tmp_path).splits[0].num_gray == 4


def test_boxes_outside_are_named(tmp_path):
    thesis(tmp_path)
    table = tmp_path / "train_labels.csv"
    edge = TRAIN[2]
    row = f"{edge.number:06d}.jpg,{edge.label + 1},{','.join(map(str, edge.box))}"
    assert row in table.read_text()
    changed = f"{edge.number:06d}.jpg,{edge.label + 1},20,10,{SIZE[0] + 1},16"
    table.write_text(table.read_text().replace(row, changed))
    seen = inspect_data(tmp_path)
    assert seen.wrong_boxes == (f"{tmp_path}/train/000002.jpg: box 20, 10, 25, 16 in 24 x 16 pixels",)
    assert [split.num_boxes for split in seen.splits] == [9, 3]


# Statistics


@pytest.fixture
def photos(tmp_path) -> list[Sample]:
    """Noise of different brightness and size, with boxes."""
    chance = np.random.default_rng(0)
    samples = []
    for position in range(5):
        values = chance.integers(0, 60 + 40 * position, (20 + 9 * position, 30, 3), dtype=np.uint8)
        path = tmp_path / f"{position}.png"
        Image.fromarray(values).save(path)
        samples.append(Sample(path, 0, (3, 4, 12, 15)))
    return samples


@pytest.mark.parametrize("img_channels", [1, 3])
@pytest.mark.parametrize("region", ["whole", "box"])
def test_statistics_are_those_of_the_pixels(photos, img_channels, region):
    pixels = []
    for sample in photos:
        values = np.asarray(read_image(sample.path, img_channels), dtype=np.float64) / 255
        values = values[3:15, 2:12] if region == "box" else values
        pixels.append(values.reshape(-1, img_channels))
    mean = np.mean([each.mean(axis=0) for each in pixels], axis=0)
    std = np.sqrt(np.mean([((each - mean) ** 2).mean(axis=0) for each in pixels], axis=0))
    got = channel_statistics(photos, img_channels=img_channels, region=region)
    assert got.mean == pytest.approx(tuple(mean), abs=6e-5)
    assert got.std == pytest.approx(tuple(std), abs=6e-5)
    assert len(got.mean) == img_channels
    assert (got.num_images, got.broken) == (5, ())


def test_masked_statistics_are_nearly_white(photos):
    assert min(channel_statistics(photos, region="masked").mean) > 0.8


def test_inspection_gives_the_statistics_of_train(tmp_path):
    data = find_data(class_folders(tmp_path))
    seen = inspect_data(tmp_path)
    assert seen.rgb == channel_statistics(data.split("train"))
    assert seen.gray == channel_statistics(data.split("train"), img_channels=1)
    reds = [record.number / 255 for record in RECORDS if record.split == "train"]
    assert seen.rgb.mean[0] == pytest.approx(np.mean(reds), abs=6e-5)


def test_statistics_leave_out_what_is_broken(photos):
    whole = channel_statistics(photos[:4])
    photos[4].path.write_bytes(b"x")
    left = channel_statistics(photos)
    assert (left.mean, left.std, left.num_images) == (whole.mean, whole.std, 4)
    assert str(photos[4].path) in left.broken[0]


def test_statistics_of_nothing(photos):
    for sample in photos:
        sample.path.write_bytes(b"")
    with pytest.raises(DataError, match=r"0\.png is empty"):
        channel_statistics(photos)
    with pytest.raises(DataError, match="no images"):
        channel_statistics([])


def test_statistics_of_boxes_need_boxes(photos):
    with pytest.raises(DataError, match="1 of 6 images have no box"):
        channel_statistics([*photos, Sample(photos[0].path, 0)], region="box")
