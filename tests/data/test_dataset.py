"""Decoding once, augmenting by seed alone, and an order that a resumed run repeats."""

import errno
import os
import tempfile
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from lightcars.augmentation.image import augmentation
from lightcars.data import dataset
from lightcars.data.dataset import DecodedImages, ImageDataset, SeededSampler, decode
from lightcars.data.layouts import Sample, find_data
from lightcars.data.stanford_cars import GRAY_MEAN, GRAY_STD, RGB_MEAN, RGB_STD
from lightcars.errors import DataError
from lightcars.models.images import read_image
from lightcars.models.preprocessing import Preprocessing
from lightcars.models.transforms import fit_square
from lightcars.recipes.recipe import AugmentRecipe

RGB = Preprocessing(resolution=16, mean=RGB_MEAN, std=RGB_STD)
GRAY = Preprocessing(resolution=16, mean=GRAY_MEAN, std=GRAY_STD)


@pytest.fixture
def samples(tmp_path) -> list[Sample]:
    """Nine images of three classes, each of its own noise and shape."""
    chance = np.random.default_rng(0)
    made = []
    for position in range(9):
        path = tmp_path / f"{position}.png"
        Image.fromarray(chance.integers(0, 256, (20 + position, 30, 3), dtype=np.uint8)).save(path)
        made.append(Sample(path, position % 3))
    return made


@pytest.fixture
def photos(samples) -> DecodedImages:
    return decode(samples, RGB)


@pytest.fixture
def little_memory(monkeypatch) -> None:
    """No share of the memory for images: they have to go to a file."""
    monkeypatch.setattr(dataset, "MEMORY_SHARE", 0)


@pytest.mark.parametrize("preprocessing", [RGB, GRAY], ids=["color", "gray"])
def test_decoding_reads_and_scales_in_order(samples, preprocessing):
    channels = len(preprocessing.mean)
    decoded = decode(samples, preprocessing)
    assert decoded.pixels.shape == (9, 16, 16, channels)
    assert decoded.labels.tolist() == [0, 1, 2] * 3
    assert decoded.broken == ()
    for position, sample in enumerate(samples):
        expected = fit_square(preprocessing)(read_image(sample.path, channels))
        assert decoded.image(position).tobytes() == expected.tobytes()


def test_broken_images_are_left_out_with_the_reason(samples):
    whole = decode(samples, RGB)
    samples[2].path.write_bytes(b"")
    samples[5].path.write_text("not a picture")
    decoded = decode(samples, RGB)
    good = [0, 1, 3, 4, 6, 7, 8]
    assert np.array_equal(decoded.pixels, whole.pixels[good])
    assert decoded.labels.tolist() == whole.labels[good].tolist()
    assert len(decoded.broken) == 2
    assert str(samples[2].path) in decoded.broken[0]
    assert "empty" in decoded.broken[0]
    assert str(samples[5].path) in decoded.broken[1]


def test_if_all_are_broken_the_first_is_named(samples):
    for sample in samples:
        sample.path.write_bytes(b"")
    with pytest.raises(DataError, match=f"{samples[0].path} is empty"):
        decode(samples, RGB)


def test_decoding_on_many_threads_leaves_the_warning_filters(drawn):
    samples = find_data(drawn).split("train")
    before = list(warnings.filters)
    for _ in range(10):
        decode(samples, RGB)
        assert list(warnings.filters) == before


def test_warnings_about_readable_images_are_nobodys_business(samples, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20 * 30 - 1)  # Pillow warns up to twice as many
    assert decode(samples, RGB).broken == ()


def test_nothing_to_decode():
    with pytest.raises(DataError, match="no images in val"):
        decode([], RGB, name="val")


@pytest.mark.usefixtures("little_memory")
def test_beyond_the_memory_images_go_to_a_file(samples, photos, monkeypatch):
    decoded = decode(samples, RGB)
    assert isinstance(decoded.pixels, np.memmap)
    monkeypatch.undo()
    assert np.array_equal(decode(samples, RGB).pixels, decoded.pixels)
    assert ImageDataset(decoded)[3][0].shape == (3, 16, 16)


@pytest.mark.usefixtures("little_memory")
def test_a_broken_image_does_not_bring_the_file_back_into_memory(samples):
    samples[2].path.write_bytes(b"")
    decoded = decode(samples, RGB)
    assert len(ImageDataset(decoded)) == 8
    owner = decoded.pixels
    while owner.base is not None and not isinstance(owner, np.memmap):
        owner = owner.base
    assert isinstance(owner, np.memmap)


@pytest.mark.usefixtures("little_memory")
def test_no_room_in_the_temporary_folder_is_one_line(samples, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(DataError, match=r"GiB, more than memory .*No space left on device.*lower") as caught:
        decode(samples, RGB)
    assert "\n" not in str(caught.value)


def test_a_machine_that_does_not_tell_its_free_memory(samples, monkeypatch):
    def unknown(name):  # as on macOS
        raise ValueError(f"unrecognized configuration name: {name}")

    monkeypatch.setattr(os, "sysconf", unknown)
    assert len(decode(samples, RGB).labels) == 9


def test_a_dataset_gives_pixels_and_label(photos):
    data = ImageDataset(photos)
    image, label = data[4]
    assert len(data) == 9
    assert (image.shape, image.dtype, label) == ((3, 16, 16), torch.uint8, 1)
    assert torch.equal(image, torch.from_numpy(photos.pixels[4]).permute(2, 0, 1))


@pytest.mark.parametrize("preprocessing", [RGB, GRAY], ids=["color", "gray"])
def test_augmentation_depends_on_the_seed_alone(samples, preprocessing):
    data = ImageDataset(decode(samples, preprocessing), augmentation(AugmentRecipe(), 32, 8).image)
    torch.manual_seed(1)
    first, plain = data[4, 77][0], ImageDataset(data.images)[4][0]
    torch.manual_seed(2)
    torch.rand(5)
    assert torch.equal(data[4, 77][0], first)
    assert not torch.equal(data[4, 78][0], first)
    assert not torch.equal(first, plain)


def test_augmentation_leaves_the_random_state(photos):
    data = ImageDataset(photos, augmentation(AugmentRecipe(), 32, 8).image)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for seed in range(5):
        data[seed, seed]
    assert torch.equal(torch.get_rng_state(), before)


def test_augmentation_that_fails_leaves_the_random_state(photos):
    def fail(*_):
        torch.rand(3)
        raise RuntimeError

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError):
        ImageDataset(photos, fail)[0, 5]
    assert torch.equal(torch.get_rng_state(), before)


def test_augmentation_leaves_the_images(photos):
    before = photos.pixels.copy()
    data = ImageDataset(photos, augmentation(AugmentRecipe(), 32, 8).image)
    for seed in range(20):
        data[seed % 9, seed]
    assert np.array_equal(photos.pixels, before)


def drawn_order(sampler: SeededSampler, epoch: int) -> list[tuple[int, int]]:
    sampler.set_epoch(epoch)
    return [(draw.position, draw.seed) for draw in sampler]


def test_each_epoch_has_every_image_in_another_order():
    sampler = SeededSampler(20, 0)
    epochs = [drawn_order(sampler, epoch) for epoch in range(3)]
    positions = [[position for position, _ in order] for order in epochs]
    assert all(sorted(order) == list(range(20)) for order in positions)
    assert positions[0] != positions[1] != positions[2] != positions[0]
    assert len(sampler) == 20


def test_each_image_is_augmented_in_its_own_way():
    sampler = SeededSampler(20, 0)
    seeds = [seed for epoch in range(3) for _, seed in drawn_order(sampler, epoch)]
    assert len(set(seeds)) == 60


def test_order_and_seeds_come_from_seed_and_epoch_alone():
    torch.manual_seed(1)
    first = drawn_order(SeededSampler(20, 5), 2)
    torch.manual_seed(2)
    assert drawn_order(SeededSampler(20, 5), 2) == first
    assert drawn_order(SeededSampler(20, 6), 2) != first
    assert drawn_order(SeededSampler(20, 5), 3) != first


def test_seed_and_epoch_do_not_mix():
    assert drawn_order(SeededSampler(20, 1), 0) != drawn_order(SeededSampler(20, 0), 1)


def test_drawing_an_order_leaves_the_random_state():
    before = torch.get_rng_state()
    drawn_order(SeededSampler(20, 5), 2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_images(world_size):
    alone = dict(drawn_order(SeededSampler(20, 5), 1))
    parts = [
        drawn_order(SeededSampler(20, 5, rank=rank, world_size=world_size), 1) for rank in range(world_size)
    ]
    positions = [position for part in parts for position, _ in part]
    assert {len(part) for part in parts} == {20 // world_size}
    assert len(set(positions)) == len(positions)
    assert all(alone[position] == seed for part in parts for position, seed in part)
