"""Images on the training device: where they go, what each step gets, and runs that use them."""

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from lightcars import finetune
from lightcars.augmentation.batch import BatchAugmentation
from lightcars.augmentation.image import augmentation
from lightcars.data.dataset import Draw, SeededSampler, decode
from lightcars.data.layouts import find_data
from lightcars.errors import ConfigError, DeviceError
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.files import parse_recipe
from lightcars.recipes.recipe import THESIS_STEPS, AugmentRecipe, ModelRecipe, ProgressiveRecipe, Recipe
from lightcars.training import resident
from lightcars.training import trainer as training
from lightcars.training.job import resumed_job
from lightcars.training.loaders import ImageDataModule
from lightcars.training.resident import DeviceImages, Draws, place, together
from tests.training.tiny_settings import TINY_MODEL, TINY_RECIPE

CPU = torch.device("cpu")
CROPS = AugmentRecipe(
    images=(
        {"RandomResizedCrop": {"scale": [0.5, 1.0]}},
        {"RandomHorizontalFlip": {}},
        {"TrivialAugmentWide": {}},
        {"ColorJitter": {"brightness": 0.2, "hue": 0.1}},
    ),
    tensors=({"RandomErasing": {}}, {"GaussianBlur": {"kernel_size": 3}}),
    batches=({"MixUp": {}}, {"CutMix": {}}),
)
ALL_OF_IT = replace(
    TINY_RECIPE,
    epochs=2,
    resolution=48,
    decode_resolution=56,
    images_on_device=True,
    augment=CROPS,
    progressive=ProgressiveRecipe(start_resolution=32, full_from=1.0, multiple_of=8),
    ema_decay=0.9,
    precision="bf16-mixed",
    model=ModelRecipe(name="ghostnet_050", settings={**TINY_MODEL, "img_channels": 1, "dropout": 0.2}),
)


@pytest.fixture(scope="module")
def photos(drawn):
    like = Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    cars = find_data(drawn)
    return {split: decode(cars.split(split), like) for split in ("train", "val")}


def loaders(photos, recipe, *, rank=0, world_size=1) -> ImageDataModule:
    photo = augmentation(recipe.augment, 32, 8).image
    made = ImageDataModule(recipe, photos["train"], photos["val"], photo)
    made.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, accelerator=None)
    return made


def told_apart(batch) -> list[tuple[int, int]]:
    """Images by the sum of their pixels, with their labels."""
    return [(image.sum().item(), label.item()) for image, label in zip(*batch, strict=True)]


# Where images go


def test_the_setting_is_auto_true_or_false():
    assert Recipe().images_on_device == "auto"
    for text, value in (("true", True), ("false", False), ("auto", "auto")):
        assert repr(parse_recipe(f"images_on_device: {text}", "here").images_on_device) == repr(value)
    with pytest.raises(ConfigError, match="line 1: images_on_device: "):
        parse_recipe("images_on_device: cuda", "here")
    with pytest.raises(ConfigError, match="images_on_device must be auto, true or false, not 1"):
        Recipe(images_on_device=1)


@pytest.mark.parametrize(
    ("device", "steps", "size_bytes", "chosen", "said"),
    [
        (
            "cpu",
            (),
            1,
            False,
            "augmented one at a time on the CPU (there is no CUDA device)",
        ),
        ("mps", (), 1, False, "(not supported on mps)"),
        (
            "cuda",
            THESIS_STEPS[:2],
            3 * 2**30,
            True,
            "3.0 GiB in the memory of cuda, augmented there in",
        ),
        ("cuda", ({"AugMix": {}},), 1, False, "(AugMix cannot be done in batches)"),
        ("cuda", (), 4 * 2**30, False, "(4.0 GiB exceed 30 % of the device memory (10.0 GiB))"),
    ],
)
def test_auto_takes_the_device_if_it_is_cuda_with_room_and_all_steps_have_batches(
    monkeypatch, device, steps, size_bytes, chosen, said
):
    monkeypatch.setattr(resident, "device_of", lambda recipe: torch.device(device))
    properties = SimpleNamespace(total_memory=10 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    recipe, line = place(Recipe(), steps, size_bytes)
    assert recipe == replace(Recipe(), images_on_device=chosen)
    assert said in line
    for named in (True, False):
        asked = Recipe(images_on_device=named)
        assert place(asked, steps, size_bytes)[0] == asked


def test_what_has_no_form_for_batches_is_named_where_the_device_was_asked_for():
    _, line = place(Recipe(images_on_device=True), ({"AugMix": {}}, THESIS_STEPS[0]), 2**20)
    assert line == "images: 1.0 MiB in the memory of cpu, augmented there in batches, AugMix one by one"


def test_a_device_that_is_too_small_is_one_line(photos, monkeypatch):
    def full(_tensor, _device):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(torch.Tensor, "to", full)
    with pytest.raises(DeviceError, match="do not fit into the memory of cpu; set images_on_device"):
        DeviceImages(photos["train"], CPU)


# What a step gets


def test_images_come_with_their_labels(photos):
    there = DeviceImages(photos["train"], CPU)
    pixels, labels = there.take(torch.tensor([5, 0]))
    assert torch.equal(pixels, torch.from_numpy(photos["train"].pixels[[5, 0]]).permute(0, 3, 1, 2))
    assert labels.tolist() == photos["train"].labels[[5, 0]].tolist()
    pixels.zero_()
    assert photos["train"].pixels[5].any()


def test_draws_become_one_batch():
    batch = together([Draw(3, 2**61, 32), Draw(1, 7, 32)])
    assert isinstance(batch, Draws)
    assert (batch.positions.tolist(), batch.seeds.tolist(), batch.resolution) == ([3, 1], [2**61, 7], 32)


@pytest.mark.parametrize("world_size", [1, 2])
def test_an_epoch_has_the_same_images_and_labels_as_without(photos, world_size):
    recipe = replace(TINY_RECIPE, augment=AugmentRecipe(images=()), workers=2)
    seen = []
    for on_device in (True, False):
        found = []
        for rank in range(world_size):
            made = loaders(
                photos,
                replace(recipe, images_on_device=on_device, workers=0),
                rank=rank,
                world_size=world_size,
            )
            for batch in made.train_dataloader():
                images, labels = made.transfer_batch_to_device(batch, CPU, 0)
                found += [
                    (rank, image.sum().item(), label)
                    for image, label in zip(images, labels.tolist(), strict=True)
                ]
        seen.append(found)
    assert seen[0] == seen[1]
    assert len(seen[0]) == 48
    assert loaders(photos, replace(recipe, images_on_device=True)).train_dataloader().num_workers == 0


@pytest.mark.parametrize(("number", "world_size"), [(24, 1), (24, 2), (23, 2), (1, 2), (2, 4)])
def test_each_validation_image_is_validated_once(photos, number, world_size):
    val = photos["val"]
    few = replace(val, pixels=val.pixels[:number], labels=val.labels[:number], samples=val.samples[:number])
    found = []
    for rank in range(world_size):
        recipe = replace(TINY_RECIPE, images_on_device=True, batch_size=5)
        made = loaders({**photos, "val": few}, recipe, rank=rank, world_size=world_size)
        batches = [made.transfer_batch_to_device(batch, CPU, 0) for batch in made.val_dataloader()]
        assert batches, "a device without a batch would not come to the end of the epoch"
        for pixels, labels in batches:
            assert pixels.shape[1:] == (3, 32, 32)
            assert len(pixels) == len(labels) <= 5
            found += [
                (image.sum().item(), label) for image, label in zip(pixels, labels.tolist(), strict=True)
            ]
    expected = [(int(p.sum()), int(label)) for p, label in zip(few.pixels, few.labels, strict=True)]
    assert sorted(found) == sorted(expected)


def test_two_devices_augment_as_one_does(photos):
    """The images of a step, whichever device has them, are those of one device with twice the batch."""
    recipe = replace(TINY_RECIPE, images_on_device=True, batch_size=8)
    alone = loaders(photos, recipe)
    parts = [loaders(photos, replace(recipe, batch_size=4), rank=rank, world_size=2) for rank in (0, 1)]

    def images(made):
        return [made.transfer_batch_to_device(batch, CPU, 0)[0] for batch in made.train_dataloader()]

    draws = together([*SeededSampler(48, recipe.seed, (32,))][:8])
    there = DeviceImages(photos["train"], CPU).take(draws.positions)[0]
    own_seeds = BatchAugmentation(augmentation(recipe.augment, 32, 8).image)(there, draws.seeds, 32)
    assert torch.equal(images(alone)[0], own_seeds)
    for whole, first, second in zip(images(alone), images(parts[0]), images(parts[1]), strict=True):
        assert torch.equal(whole[0::2], first)
        assert torch.equal(whole[1::2], second)


# Runs


def test_a_run_has_the_promised_sizes_and_says_where_its_images_are(
    drawn, tiny, tmp_path, monkeypatch, capsys
):
    seen, step = [], training.ClassifierModule.training_step

    def spied(self, batch, batch_idx):
        seen.append((self.current_epoch, tuple(batch[0].shape), batch[0].dtype))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(training.ClassifierModule, "training_step", spied)
    tiny(drawn, tmp_path / "run", recipe=ALL_OF_IT, progress=True)
    sizes = list(enumerate([32, 48]))
    assert sorted(set(seen), key=str) == [(e, (8, 1, size, size), torch.uint8) for e, size in sizes]
    told = capsys.readouterr().err
    assert "images: 0.2 MiB in the memory of cpu, augmented there in batches\n" in told
    assert told.count(" images/s") == 3
    waiting = re.search(r"trained .* images/s, (.*) % of the time waiting for images", told)
    assert 0 < int(waiting[1]) < 100
    assert json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["images_on_device"] is True


def test_what_auto_chose_is_kept(drawn, finished):
    assert json.loads((finished.run / "run.json").read_text())["recipe"]["images_on_device"] is False


def test_a_stopped_run_ends_as_one_that_was_not(drawn, tiny, tmp_path, monkeypatch, table, same_weights):
    whole = tiny(drawn, tmp_path / "whole", recipe=ALL_OF_IT)
    step = training.ClassifierModule.training_step

    def stop(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (1, 3):
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(training.ClassifierModule, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "run", recipe=ALL_OF_IT)
    result = finetune(drawn, out=tmp_path / "run", resume=True)
    assert table(tmp_path / "run") == table(tmp_path / "whole")
    assert same_weights(result.model, whole.model)
    assert result.metrics == whole.metrics


def test_a_run_from_before_there_was_a_choice_goes_on_as_it_was(drawn, finished, tmp_path):
    shutil.copytree(finished.run, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    content = json.loads(path.read_text())
    del content["recipe"]["images_on_device"]
    path.write_text(json.dumps(content))
    assert resumed_job(drawn, None, tmp_path / "run").recipe.images_on_device is False


TWO_DEVICES = """
import sys
from dataclasses import replace
import torch
from tests.training.tiny_settings import TINY_RECIPE
from lightcars import finetune

if __name__ == "__main__":
    torch.set_num_threads(1)
    recipe = replace(TINY_RECIPE, batch_size=4, accelerator="cpu", devices=2, images_on_device=True)
    finetune(sys.argv[1], recipe=recipe, out=sys.argv[2])
"""


@pytest.mark.slow
def test_two_processes_train_together(drawn, tmp_path, table, run_script):
    run_script(TWO_DEVICES, drawn, tmp_path / "run")
    assert len(table(tmp_path / "run")) == 3
