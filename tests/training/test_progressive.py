"""Images that grow over the epochs: the recipe, the sizes of batches, and going on after a stop."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader

from lightcars import finetune
from lightcars.augmentation.image import ImageAugmentation, augmentation, scaled_down
from lightcars.data import dataset, regions
from lightcars.data.dataset import Draw, ImageDataset, SeededSampler, decode
from lightcars.data.layouts import find_data
from lightcars.errors import ConfigError
from lightcars.models import images
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.files import parse_recipe, recipe_from
from lightcars.recipes.recipe import AugmentRecipe, ModelRecipe, ProgressiveRecipe, Recipe
from lightcars.training import trainer as training
from tests.training.tiny_settings import TINY_MODEL, TINY_RECIPE

GROWING = replace(
    TINY_RECIPE,
    epochs=4,
    resolution=64,
    progressive=ProgressiveRecipe(start_resolution=32, full_from=1.0, multiple_of=8),
)
SIZES = [32, 40, 48, 64]
CROPS = AugmentRecipe(images=({"RandomResizedCrop": {"scale": [0.5, 1.0]}}, {"RandomHorizontalFlip": {}}))


@pytest.fixture
def seen(monkeypatch):
    """Shapes of what the model is trained on and validated on: (epoch, shape)."""
    found = {"training": [], "validation": []}

    def spied(kind):
        original = getattr(training.ClassifierModule, f"{kind}_step")

        def step(self, batch, batch_idx):
            found[kind].append((self.current_epoch, tuple(batch[0].shape)))
            return original(self, batch, batch_idx)

        return step

    for kind in found:
        monkeypatch.setattr(training.ClassifierModule, f"{kind}_step", spied(kind))
    return found


# The recipe


def test_sizes_rise_evenly_from_the_first_to_the_full_one():
    growth = ProgressiveRecipe(start_resolution=64)
    assert Recipe(epochs=9, resolution=112, progressive=growth).resolutions(0)[:] == (
        *(64, 64, 80, 80, 96, 96, 112, 112, 112),
    )
    assert Recipe(epochs=30, resolution=227, progressive=growth).resolutions(0)[-9:] == (208, *(227,) * 8)


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 30, 200])
@pytest.mark.parametrize("full_from", [0.01, 0.5, 1.0])
@pytest.mark.parametrize("resolution", [65, 112, 227])
def test_whatever_the_numbers_they_keep_their_promise(epochs, full_from, resolution):
    growth = ProgressiveRecipe(start_resolution=64, full_from=full_from)
    sizes = Recipe(epochs=epochs, resolution=resolution, progressive=growth).resolutions(0)
    assert len(sizes) == epochs
    assert sizes[-1] == resolution
    assert sizes[0] == (64 if epochs > 1 else resolution)
    assert list(sizes) == sorted(sizes)
    assert all(size % 16 == 0 for size in sizes if size != resolution)
    assert all(size == resolution for size in sizes[round(full_from * (epochs - 1)) + 1 :])


def test_the_first_epoch_of_each_size():
    growth = ProgressiveRecipe(start_resolution=64)
    sizes = Recipe(epochs=9, resolution=112, progressive=growth).resolutions(0)
    assert sizes.changes() == {1: 64, 3: 80, 5: 96, 7: 112}
    assert Recipe(epochs=9, resolution=112).resolutions(0).changes() == {1: 112}


def test_a_run_of_very_many_epochs_is_no_list_of_them():
    growth = ProgressiveRecipe(start_resolution=64, full_from=0.5)
    sizes = Recipe(epochs=10**9, resolution=112, progressive=growth).resolutions(0)
    assert (len(sizes), sizes[0], sizes[-1], sizes[10**8]) == (10**9, 64, 112, 64)
    assert list(sizes.changes().values()) == [64, 80, 96, 112]
    assert len(Recipe(epochs=10**9, resolution=112).resolutions(0)) == 10**9


def test_without_growth_the_size_is_the_same_throughout():
    assert Recipe(epochs=3, resolution=96).resolutions(224)[:] == (96,) * 3
    assert Recipe(epochs=3).resolutions(224)[:] == (224,) * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "progressive:\n  start_resolution: 16",
            "here, line 2: progressive.start_resolution: start_resolution",
        ),
        (
            "progressive:\n  start_resolution: 40",
            "line 2: progressive.start_resolution: start_resolution must be",
        ),
        (
            "progressive: {start_resolution: 64, full_from: 0}",
            "line 1: progressive.full_from: full_from must be",
        ),
        ("progressive:\n  start_resolution: 64\n  full_from: 1.5", "here, line 3: progressive.full_from"),
        ("progressive:\n  start_resolution: 64\n  multiple_of: 0", "here, line 3: progressive.multiple_of"),
        ("progressive: {}", "here, line 1: progressive.start_resolution: it is missing."),
        ("progressive: 3", "here, line 1: progressive: input should be an object"),
        (
            "progressive:\n  start_resolutoin: 64",
            "here, line 2: progressive.start_resolutoin: there is no such setting. Did you mean",
        ),
        (
            "resolution: 64\nprogressive:\n  start_resolution: 64",
            "here, line 3: progressive.start_resolution: progressive.start_resolution must be less than the"
            " resolution (64), not 64.",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_its_line(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_recipe(text, "here")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_can_be_set_on_the_command_line_and_comes_back_from_plain_data():
    recipe = parse_recipe("progressive: null", "here", ["progressive.start_resolution=48"])
    assert recipe.progressive == ProgressiveRecipe(start_resolution=48)
    assert recipe_from(json.loads(json.dumps(recipe.to_dict())), "here") == recipe
    assert "progressive.start_resolution None -> 48" in " ".join(Recipe().differences(recipe))


def test_a_models_own_resolution_counts_too(drawn, tiny, tmp_path):
    recipe = replace(GROWING, resolution=None, progressive=ProgressiveRecipe(start_resolution=256))
    with pytest.raises(ConfigError, match=r"must be less than the resolution \(224\), not 256"):
        tiny(drawn, tmp_path / "run", recipe=recipe)
    assert not (tmp_path / "run").exists()


# What the model sees


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augment": CROPS, "decode_resolution": 72},
        {"augment": AugmentRecipe(images=())},
        {"augment": AugmentRecipe(batches=({"MixUp": {}}, {"CutMix": {}}), tensors=({"RandomErasing": {}},))},
        {"model": ModelRecipe(name="ghostnet_050", settings={**TINY_MODEL, "img_channels": 1})},
        {"workers": 1},
    ],
    ids=["as-c-50", "crops", "plain", "mixed", "gray", "worker"],
)
def test_each_epochs_batches_have_the_promised_size(drawn, tiny, tmp_path, seen, changes):
    recipe = replace(GROWING, **changes)
    tiny(drawn, tmp_path / "run", recipe=recipe)
    channels = recipe.model.settings.get("img_channels", 3)
    assert sorted(set(seen["training"])) == [(e, (8, channels, size, size)) for e, size in enumerate(SIZES)]
    assert {shape[1:] for _, shape in seen["validation"]} == {(channels, 64, 64)}


def test_where_it_grows_is_in_run_json_and_in_the_report(drawn, tiny, finished, tmp_path):
    tiny(drawn, tmp_path / "run", recipe=GROWING)
    description = json.loads((tmp_path / "run" / "run.json").read_text())
    assert description["training_resolutions"] == {"1": 32, "2": 40, "3": 48, "4": 64}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "training resolution (px)" in page
    assert re.search(r"<td[^>]*>training_resolutions\.3</td><td[^>]*>48</td>", page)
    assert "training_resolutions" not in (finished.run / "run.json").read_text()
    assert "training resolution" not in (finished.run / "report.html").read_text()


def test_a_stopped_run_goes_on_at_the_size_of_its_epoch(
    drawn, tiny, tmp_path, monkeypatch, seen, table, same_weights
):
    whole = tiny(drawn, tmp_path / "whole", recipe=GROWING)
    seen["training"].clear()
    original = training.ClassifierModule.training_step

    def stop(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (2, 3):
            raise KeyboardInterrupt
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(training.ClassifierModule, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            tiny(drawn, tmp_path / "run", recipe=GROWING)
    assert seen["training"][-1] == (2, (8, 3, 48, 48))
    seen["training"].clear()
    result = finetune(drawn, out=tmp_path / "run", resume=True)
    assert seen["training"][0] == (2, (8, 3, 48, 48))
    assert table(tmp_path / "run") == table(tmp_path / "whole")
    assert same_weights(result.model, whole.model)
    assert result.metrics == whole.metrics


def test_each_image_is_opened_once_in_a_run_of_several_epochs(drawn, tiny, tmp_path, monkeypatch):
    opened = []

    def read_image(path, channels):
        opened.append(path)
        return images.read_image(path, channels)

    monkeypatch.setattr(regions, "read_image", read_image)
    tiny(drawn, tmp_path / "run", recipe=GROWING)
    assert sorted(opened) == sorted(path for path in drawn.rglob("*.png"))
    assert len(opened) == 72


TWO_DEVICES = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from cars.test_progressive import GROWING
from lightcars import finetune
from lightcars.training.trainer import ClassifierModule

step = ClassifierModule.training_step

def training_step(self, batch, batch_idx):
    with (Path(sys.argv[2]).parent / f"seen-{self.global_rank}").open("a") as file:
        print(self.current_epoch, batch[0].shape[-1], file=file)
    return step(self, batch, batch_idx)

ClassifierModule.training_step = training_step

if __name__ == "__main__":
    torch.set_num_threads(1)
    recipe = replace(GROWING, batch_size=4, accelerator="cpu", devices=2)
    finetune(sys.argv[1], recipe=recipe, out=sys.argv[2])
"""


@pytest.mark.slow
def test_two_processes_train_at_the_same_size(drawn, tmp_path, table, run_script):
    run = tmp_path / "run"
    run_script(TWO_DEVICES, drawn, run)
    first, second = ((tmp_path / f"seen-{rank}").read_text().splitlines() for rank in (0, 1))
    assert first == second
    assert sorted(set(first)) == [f"{epoch} {size}" for epoch, size in enumerate(SIZES)]
    assert len(table(run)) == 4


# The pieces


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("side", [32, 49, 96])
def test_scaled_down_is_pillows_up_to_rounding(mode, side):
    pixels = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    ours, theirs = scaled_down(image, side), image.resize((side, side), Image.Resampling.BILINEAR)
    assert (ours.size, ours.mode) == ((side, side), mode)
    assert np.abs(np.asarray(ours, dtype=int) - np.asarray(theirs, dtype=int)).max() <= 1


def test_a_smaller_image_is_changed_as_a_larger_one():
    """Scaled down first, or changed at full size and scaled down then: apart by less than a pixel's step."""
    smooth = ImageOps.invert(Image.radial_gradient("L").resize((96, 96))).convert("RGB")
    photo = augmentation(AugmentRecipe(), 96, 8).image

    def apart(seed, other):
        torch.manual_seed(seed)
        small = photo(smooth, 48)
        torch.manual_seed(other)
        large = photo(smooth).resize((48, 48), Image.Resampling.BILINEAR)
        return np.abs(np.asarray(small, dtype=int) - np.asarray(large, dtype=int)).mean()

    assert max(apart(seed, seed) for seed in range(8)) < 6
    assert np.mean([apart(seed, seed + 1) for seed in range(8)]) > 20


def test_the_full_size_is_what_it_was_without_growth():
    photo, image = ImageAugmentation(AugmentRecipe().images[:2], 64), Image.effect_noise((64, 64), 80)
    torch.manual_seed(0)
    one = photo(image)
    torch.manual_seed(0)
    assert photo(image, 64).tobytes() == one.tobytes()


def test_the_size_travels_with_each_draw_into_workers_that_live_on(drawn):
    like = Preprocessing(resolution=64, mean=(0.5,) * 3, std=(0.5,) * 3)
    photos = decode(find_data(drawn).split("train")[:8], like)
    sampler = SeededSampler(8, 0, SIZES)
    data = ImageDataset(photos, augmentation(AugmentRecipe(), 64, 8).image)
    loader = DataLoader(data, 4, sampler=sampler, num_workers=1, persistent_workers=True)
    for epoch, size in enumerate([*SIZES, 64]):
        sampler.set_epoch(epoch)
        batches = [images for images, _ in loader]
        assert [tuple(batch.shape) for batch in batches] == [(4, 3, size, size)] * 2
        alone = torch.stack([data[draw][0] for draw in sampler])
        assert torch.equal(torch.cat(batches), alone)
    assert isinstance(next(iter(sampler)), Draw)
    assert dataset.Draw(3) == (3, None, None)
