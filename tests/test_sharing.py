"""Files of `save_pretrained` in the layout of the Hub, and the entry points of `torch.hub`."""

from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

import lightcars
from lightcars import Preprocessing, Training, count_flops, count_params, ghostnet
from lightcars.errors import CheckpointError, DownloadError

ROOT = Path(__file__).parent.parent


@pytest.fixture
def model():
    return ghostnet(width=0.1, out_channels=16, num_classes=3)


def test_the_hub_parses_the_card(model, tmp_path):
    training = Training(
        data="eight drawn cars",
        recipe={"epochs": 3},
        metrics={"val_top1_percent": 91.5},
        license="apache-2.0",
        notes="For tests.",
    )
    folder = lightcars.save_pretrained(
        model,
        tmp_path / "m",
        training=training,
        classes=["Bus", "Van", "Cab"],
        preprocessing=Preprocessing(resolution=64, mean=(0.5,) * 3, std=(0.25,) * 3),
    )
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.library_name == "lightcars"
    for text in (
        f"| parameters | {count_params(model):,} |",
        f"| FLOPs at 64 px (multiply-accumulates) | {count_flops(model, 64):,} |",
        "| classes | 3 |",
        "Bus, Van, Cab.",
        "| resolution | 64 |",
        "| epochs | 3 |",
        "| val_top1_percent | 91.5 |",
        "For tests.",
    ):
        assert text in card.text, text


def test_the_license_of_the_weights_is_kept(tmp_path):
    ours = lightcars.ghostnet(weights="cars196")
    assert ours.origin.license == "non-commercial"
    ours.reset_classifier(3)
    card = ModelCard.load(lightcars.save_pretrained(ours, tmp_path / "m") / "README.md")
    assert (card.data.license, card.data.license_name) == ("other", "non-commercial")
    assert "for non-commercial research only" in card.text
    training = Training(license="mit")
    card = ModelCard.load(lightcars.save_pretrained(ours, tmp_path / "m", training=training) / "README.md")
    assert (card.data.license, card.data.license_name) == ("mit", None)


def test_a_card_says_the_temperature(model, tmp_path):
    model.temperature = 0.61234
    text = (lightcars.save_pretrained(model, tmp_path / "m") / "README.md").read_text()
    assert "by the temperature 0.6123 before the softmax" in text


def test_a_card_leaves_out_what_is_unknown(model, tmp_path):
    card = ModelCard.load(lightcars.save_pretrained(model, tmp_path / "m") / "README.md")
    assert card.data.license is None
    assert "Not stated." in card.text
    for section in ("## Classes", "## Metrics", "## Training recipe", "## Data", "## Calibration", "None"):
        assert section not in card.text


def test_only_some_of_many_classes_are_listed(tmp_path):
    model = ghostnet(width=0.1, out_channels=16, num_classes=30)
    folder = lightcars.save_pretrained(model, tmp_path / "m", classes=[f"c{n}" for n in range(30)])
    assert "c9, and 20 more in config.json." in (folder / "README.md").read_text()


def test_saved_models_load_again(model, tmp_path):
    again = lightcars.from_pretrained(lightcars.save_pretrained(model, tmp_path / "m"))
    assert again.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


def test_missing_sources(tmp_path):
    with pytest.raises(DownloadError, match="neither a folder nor a repository"):
        lightcars.from_pretrained("no such thing")
    with pytest.raises(CheckpointError, match="it holds none"):
        lightcars.from_pretrained(tmp_path)


def test_an_unknown_timm_architecture(model, tmp_path):
    lightcars.save(model, tmp_path)
    (tmp_path / "config.json").write_text(
        '{"architecture": "resnet18", "pretrained_cfg":'
        ' {"input_size": [3, 224, 224], "mean": [0, 0, 0], "std": [1, 1, 1]}}'
    )
    with pytest.raises(CheckpointError, match="architecture 'resnet18', which this library does not have"):
        lightcars.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("entry", "arguments"),
    [("ghostnet", ()), ("efficientnet", ("b0",)), ("create_model", ("ghostnet_050",))],
)
def test_torch_hub(entry, arguments, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = torch.hub.load(str(ROOT), entry, *arguments, source="local", num_classes=4)
    assert model.config.num_classes == 4
