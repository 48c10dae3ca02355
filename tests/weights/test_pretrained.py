"""`weights=`: what is found, what is fitted to the model, what is reported, and what is refused."""

import argparse
import json
import warnings

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import lightcars
from lightcars import create_model, ghostnet
from lightcars.errors import CheckpointError, ConfigError, DownloadError, UnknownWeightsError
from lightcars.models.preprocessing import Preprocessing
from lightcars.weights import availability
from lightcars.weights import locate as locating
from lightcars.weights.adapt import fit_image_channels
from lightcars.weights.catalog import list_weights

SMALL = {"width": 0.25}
PREPROCESSING = Preprocessing(resolution=64, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))


@pytest.fixture
def trained(randomize_norms):
    """A GhostNet of width 0.25 for five classes."""
    model = ghostnet(num_classes=5, out_channels=32, **SMALL)
    randomize_norms(model)
    return model.eval()


@pytest.fixture
def folder(trained, tmp_path):
    classes = ["a", "b", "c", "d", "e"]
    return lightcars.save(trained, tmp_path / "ours", classes=classes, preprocessing=PREPROCESSING)


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """But for the last bit: a mapped file's tensors lie elsewhere in memory, and round otherwise."""
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


def logits(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(x)


# What is not said is the weights' own


def test_nothing_said(folder, trained):
    model = ghostnet(weights=folder, **SMALL)
    assert model.config == trained.config
    assert not model.training
    assert model.classes == ("a", "b", "c", "d", "e")
    assert model.preprocessing == PREPROCESSING
    x = torch.randn(2, 3, 64, 64)
    assert_same(logits(model, x), logits(trained, x))


def test_origin_tells_what_was_done(folder):
    origin = ghostnet(weights=folder, img_channels=1, num_classes=7, **SMALL).origin
    assert origin.source == "lightcars"
    assert origin.weights == str(folder)
    assert origin.adapted == ("stem.conv.weight",)
    assert origin.initialized == ("classifier.weight", "classifier.bias")
    assert origin.kept == len(ghostnet(**SMALL).state_dict()) - 3
    assert "adapted: stem.conv.weight; reinitialized: classifier.weight, classifier.bias" in str(origin)


@pytest.mark.parametrize("place", ["file", "pth"])
def test_a_file_alone(trained, tmp_path, place):
    if place == "file":
        path = tmp_path / "weights.safetensors"
        save_file(trained.state_dict(), path)
    else:
        path = tmp_path / "weights.pth"
        torch.save(
            {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in trained.state_dict().items()}}, path
        )
    model = ghostnet(weights=path, **SMALL)
    assert model.config == trained.config
    assert model.preprocessing is None
    x = torch.randn(1, 3, 64, 64)
    assert_same(logits(model, x), logits(trained, x))


def test_the_file_inside_a_folder_of_ours_is_the_folder(folder):
    assert ghostnet(weights=folder / "model.safetensors", **SMALL).preprocessing == PREPROCESSING


# Changing the model around the weights


def test_other_classes_keep_everything_else(folder, trained):
    model = ghostnet(weights=folder, num_classes=7, **SMALL)
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        mine, theirs = model.forward_head(model.forward_features(x), pre_logits=True), None
        theirs = trained.forward_head(trained.forward_features(x), pre_logits=True)
    assert_same(mine, theirs)
    assert model(x).shape == (1, 7)
    assert model.classes is None
    assert model.preprocessing == PREPROCESSING


def test_a_new_classifier_follows_the_generator(folder):
    first, second, again = (
        torch.manual_seed(seed) and ghostnet(weights=folder, num_classes=7, **SMALL).classifier.weight
        for seed in (1, 2, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_no_classifier(folder):
    assert ghostnet(weights=folder, num_classes=0, **SMALL)(torch.randn(1, 3, 64, 64)).shape == (1, 32)


def test_gray_sees_what_three_equal_channels_would_give(folder, trained):
    """The sum over the colors, so a gray image gives the same logits as the same image in RGB."""
    gray = torch.randn(2, 1, 64, 64)
    model = ghostnet(weights=folder, img_channels=1, **SMALL)
    wanted = logits(trained, gray.expand(-1, 3, -1, -1))
    assert_same(logits(model, gray), wanted)
    assert model.preprocessing.mean == pytest.approx((0.2,))
    assert model.classes is not None


@pytest.mark.parametrize("img_channels", [2, 4, 7])
def test_more_channels_repeat_in_turn_and_keep_the_sum(img_channels):
    weight = torch.randn(8, 3, 3, 3)
    fitted = fit_image_channels(weight, img_channels)
    assert fitted.shape == (8, img_channels, 3, 3)
    for channel in range(img_channels):
        torch.testing.assert_close(fitted[:, channel], weight[:, channel % 3] * 3 / img_channels)
    gray = fit_image_channels(weight, 1)
    torch.testing.assert_close(fit_image_channels(gray, 3).sum(1, keepdim=True), gray)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("ghostnet_100", "neck"), ("efficientnet_b0", "head"), ("ghostnet_thesis", "neck")],
)
def test_another_width_before_the_classifier(name, layer, tmp_path):
    model = create_model(name, **SMALL)
    lightcars.save(model, tmp_path / "m")
    other = create_model(name, weights=tmp_path / "m", out_channels=24, **SMALL)
    assert other.config.head_channels == 24
    assert {name.partition(".")[0] for name in other.origin.initialized} == {layer, "classifier"}
    assert other(torch.randn(2, 3, 64, 64)).isfinite().all()
    expected = model.state_dict()
    for key, tensor in other.state_dict().items():
        if key not in other.origin.initialized:
            assert torch.equal(tensor, expected[key])
    assert not any(tensor.is_meta for tensor in other.state_dict().values())


def test_dropout_and_resolution_are_the_models(folder):
    model = ghostnet(weights=folder, dropout=0.5, resolution=96, **SMALL)
    assert (model.config.dropout, model.config.resolution, model.dropout.p) == (0.5, 96, 0.5)
    assert model.origin.initialized == ()


def test_a_backbone_needs_to_know_its_classes(trained, tmp_path):
    backbone = {k: v for k, v in trained.state_dict().items() if not k.startswith("classifier")}
    save_file(backbone, tmp_path / "backbone.safetensors")
    with pytest.raises(CheckpointError, match="has no classifier; give num_classes"):
        ghostnet(weights=tmp_path / "backbone.safetensors", **SMALL)
    model = ghostnet(weights=tmp_path / "backbone.safetensors", num_classes=9, **SMALL)
    assert model.origin.initialized == ("classifier.weight", "classifier.bias")


@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16, torch.float64])
def test_precision(trained, tmp_path, dtype):
    halved = {k: v.half() if v.is_floating_point() else v for k, v in trained.state_dict().items()}
    save_file(halved, tmp_path / "half.safetensors")
    model = ghostnet(weights=tmp_path / "half.safetensors", num_classes=7, dtype=dtype, **SMALL)
    wanted = dtype or torch.float32
    assert {t.dtype for t in model.state_dict().values()} == {wanted, torch.int64}
    assert create_model("ghostnet_100", dtype=dtype, **SMALL).classifier.weight.dtype == wanted


def test_training_goes_on_from_loaded_weights(folder):
    model = ghostnet(weights=folder, **SMALL).train()
    before = model.stem.conv.weight.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(4, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    assert not torch.equal(model.stem.conv.weight, before)
    assert torch.equal(ghostnet(weights=folder, **SMALL).stem.conv.weight, before)


def test_saving_again_keeps_classes_and_preprocessing(folder, tmp_path):
    lightcars.save(ghostnet(weights=folder, **SMALL), tmp_path / "again")
    again = lightcars.load(tmp_path / "again")
    assert again.classes == ("a", "b", "c", "d", "e")
    assert again.preprocessing == PREPROCESSING


# Padding and eps, which timm's names do not tell


@pytest.fixture
def timm_tensors():
    model = create_model("efficientnet_b0", num_classes=3)
    return lightcars.state_dict_for(model, "timm")


@pytest.mark.parametrize(
    ("file", "padding"), [("b0.safetensors", "symmetric"), ("tf_b0.safetensors", "same")]
)
def test_a_guess_is_said_aloud(timm_tensors, tmp_path, file, padding):
    save_file(timm_tensors, tmp_path / file)
    with pytest.warns(UserWarning, match="if it does not, give padding=") as caught:
        model = create_model("efficientnet_b0", weights=tmp_path / file)
    assert caught[0].filename == __file__
    assert model.config.padding == padding
    assert model.origin.guess is not None


def test_what_the_caller_says_is_no_guess(timm_tensors, tmp_path):
    save_file(timm_tensors, tmp_path / "b0.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = create_model(
            "efficientnet_b0", weights=tmp_path / "b0.safetensors", padding="same", batch_norm_eps=1e-3
        )
    assert (model.config.padding, model.config.batch_norm_eps) == ("same", 1e-3)
    assert model.origin.guess is None


@pytest.mark.parametrize(
    ("architecture", "padding", "eps"),
    [("efficientnet_b0", "symmetric", 1e-5), ("tf_efficientnet_b0", "same", 1e-3)],
)
@pytest.mark.parametrize("flat", [False, True])
def test_timms_config_tells(timm_tensors, tmp_path, architecture, padding, eps, flat):
    save_file(timm_tensors, tmp_path / "model.safetensors")
    cfg = {
        "input_size": [3, 224, 224],
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }
    content = {"architecture": architecture, **(cfg if flat else {"pretrained_cfg": cfg})}
    (tmp_path / "config.json").write_text(json.dumps(content))
    model = create_model("efficientnet_b0", weights=tmp_path)
    assert (model.config.padding, model.config.batch_norm_eps) == (padding, eps)
    assert model.preprocessing == Preprocessing(
        resolution=224,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        resize="crop",
        crop_fraction=0.9,
        interpolation="bicubic",
    )
    assert lightcars.from_pretrained(tmp_path).config == model.config
    with pytest.raises(CheckpointError, match="is for efficientnet_b0, not for efficientnet_b1"):
        create_model("efficientnet_b1", weights=tmp_path)


# What is refused


def test_everything_that_does_not_fit_is_listed(trained, tmp_path):
    state = dict(trained.state_dict())
    state["extra.weight"] = torch.zeros(1)
    del state["head.norm.weight"]
    state["blocks.3.expand.primary.conv.weight"] = torch.zeros(2, 2, 1, 1)
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(CheckpointError) as caught:
        ghostnet(weights=tmp_path / "odd.safetensors", **SMALL)
    message = str(caught.value)
    assert "missing: head.norm.weight;" in message
    assert "unexpected: extra.weight;" in message
    assert "mis-shaped: blocks.3.expand.primary.conv.weight (2, 2, 1, 1) for" in message
    assert "\n" not in message


def test_another_model_of_ours(folder, tmp_path):
    with pytest.raises(CheckpointError, match=r"holds a model with width 0\.25, unlike ghostnet_130"):
        create_model("ghostnet_130", weights=folder)
    with pytest.raises(CheckpointError, match="of the family GhostNet, not efficientnet_b0"):
        create_model("efficientnet_b0", weights=folder)
    with pytest.raises(CheckpointError, match="form official"):
        create_model("ghostnet_thesis", weights=folder, **SMALL)


def test_another_size_of_a_foreign_library(timm_tensors, tmp_path):
    save_file(timm_tensors, tmp_path / "x.safetensors")
    with (
        pytest.warns(UserWarning, match="is assumed to have"),
        pytest.raises(CheckpointError, match="do not fit the model; missing: "),
    ):
        create_model("efficientnet_b1", weights=tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"do not fit|does not exist"):
        create_model("ghostnet_100", weights=tmp_path / "x.safetensors")


def test_names_of_nobody(tmp_path):
    save_file({"layer1.weight": torch.zeros(3)}, tmp_path / "resnet.safetensors")
    with pytest.raises(CheckpointError, match=r"are not known \(first: layer1.weight\)"):
        ghostnet(weights=tmp_path / "resnet.safetensors")


@pytest.mark.parametrize("weights", ["imagnet", "nowhere/", "missing.safetensors", "../../nowhere", "a/../b"])
def test_unknown_weights(weights):
    with pytest.raises(UnknownWeightsError, match="ghostnet_100 has no weights") as caught:
        ghostnet(weights=weights)
    assert "\n" not in str(caught.value)


def test_weights_of_another_model():
    with pytest.raises(CheckpointError, match="is for efficientnet_b0, not for efficientnet_b1"):
        create_model("efficientnet_b1", weights="timm/efficientnet_b0.ra_in1k")


def test_a_misspelt_setting_is_found_before_anything_is_fetched():
    with pytest.raises(ConfigError, match="has no setting 'num_clases'"):
        ghostnet(weights="imagenet", num_clases=3)


def test_a_folder_without_and_with_too_many_weights(tmp_path):
    with pytest.raises(CheckpointError, match="it holds none"):
        ghostnet(weights=tmp_path)
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=r"it holds a\.pth, b\.pth"):
        ghostnet(weights=tmp_path)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"architecture": "ghostnet_100"}', '{"architecture": "ghostnet_100", "pretrained_cfg": 3}'],
)
def test_a_broken_config(trained, tmp_path, content):
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(content)
    if content == "[]":
        assert ghostnet(weights=tmp_path, **SMALL).preprocessing is None
        return
    with pytest.raises(CheckpointError, match=r"config\.json") as caught:
        ghostnet(weights=tmp_path, **SMALL)
    assert "\n" not in str(caught.value)


# Memory


def test_weights_are_never_made_to_be_thrown_away(folder, monkeypatch):
    """Nothing is drawn when everything is loaded."""

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("weights were drawn")

    monkeypatch.setattr(torch.Tensor, "uniform_", forbidden)
    monkeypatch.setattr(torch.Tensor, "normal_", forbidden)
    ghostnet(weights=folder, **SMALL)
    lightcars.load(folder)


def test_scalars_where_layers_should_be_are_listed_too(trained, tmp_path):
    for name in ("classifier.weight", "neck.0.weight"):
        save_file({**trained.state_dict(), name: torch.tensor(1.0)}, tmp_path / "odd.safetensors")
        with pytest.raises(CheckpointError, match=r"mis-shaped: .*weight"):
            ghostnet(weights=tmp_path / "odd.safetensors", **SMALL)


def test_timms_squash_of_a_part(trained, tmp_path):
    timm = pytest.importorskip("timm")
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    cfg = {"input_size": [3, 64, 64], "crop_pct": 0.9, "crop_mode": "squash", "interpolation": "bicubic"}
    cfg |= {"mean": [0.5] * 3, "std": [0.5] * 3}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "ghostnet_100", "pretrained_cfg": cfg}))
    transform = lightcars.transforms_for(ghostnet(weights=tmp_path, **SMALL))
    theirs = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=cfg))
    image = Image.effect_noise((90, 130), 80).convert("RGB")
    torch.testing.assert_close(transform(image), theirs(image))


def test_a_training_checkpoint_with_its_arguments(trained, tmp_path):
    """As timm's and torchvision's scripts write them: a namespace holds values and runs nothing."""
    content = {"model": trained.state_dict(), "args": argparse.Namespace(lr=0.1, model="ghostnet_100")}
    torch.save(content, tmp_path / "checkpoint.pth")
    assert ghostnet(weights=tmp_path / "checkpoint.pth", **SMALL).config == trained.config


def test_our_own_file_without_its_config_is_a_guess_too(tmp_path):
    model = create_model("efficientnet_b0", num_classes=3, padding="same", batch_norm_eps=1e-3)
    lightcars.save(model, tmp_path / "ours")
    alone = tmp_path / "alone.safetensors"
    (tmp_path / "ours" / "model.safetensors").rename(alone)
    with pytest.warns(UserWarning, match="is assumed to have"):
        assert create_model("efficientnet_b0", weights=alone).config.padding == "symmetric"
    told = create_model("efficientnet_b0", weights=alone, padding="same")
    assert (told.config.batch_norm_eps, told.config.batch_norm_momentum) == (1e-3, 0.01)
    assert told.origin.guess is None


def test_a_backbone_of_ours_stays_one(tmp_path):
    lightcars.save(ghostnet(num_classes=0, **SMALL), tmp_path / "backbone")
    assert ghostnet(weights=tmp_path / "backbone", **SMALL).config.num_classes == 0
    assert ghostnet(weights=tmp_path / "backbone", num_classes=3, **SMALL).classifier.weight.shape[0] == 3


def test_names_do_not_stay_on_a_classifier_that_was_reinitialized(folder):
    assert ghostnet(weights=folder, out_channels=24, **SMALL).classes is None


def test_a_misspelt_path_is_not_asked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(UnknownWeightsError, match="no such folder or file"):
        ghostnet(weights="runs/firts")


@pytest.mark.parametrize(("tag", "known"), [("in1k", True), ("cars", False)])
def test_imagenets_names_come_with_imagenets_weights_alone(trained, tmp_path, tag, known):
    model = ghostnet(**SMALL)
    save_file(lightcars.state_dict_for(model, "timm"), tmp_path / "model.safetensors")
    cfg = {"tag": tag, "input_size": [3, 64, 64], "mean": [0.5] * 3, "std": [0.5] * 3}
    content = {"architecture": "ghostnet_100", "num_classes": 1000, "pretrained_cfg": cfg}
    (tmp_path / "config.json").write_text(json.dumps(content))
    classes = ghostnet(weights=tmp_path, **SMALL).classes
    assert (classes is not None) == known
    assert not known or classes[0] == "tench"


# Weights that are on this machine already


def test_what_is_here_is_taken_before_a_download(monkeypatch):
    here, best = "torchvision/efficientnet_b1.imagenet1k_v1", "timm/efficientnet_b1.ra4_e3600_r240_in1k"
    monkeypatch.setattr(availability, "is_available", lambda entry: entry.tag == here)
    monkeypatch.setattr(locating, "_from_catalog", lambda entry: entry)
    with pytest.warns(UserWarning, match=f"using {here}, which is on this machine; {best} is better"):
        assert locating.locate("imagenet", "efficientnet_b1").tag == here
    monkeypatch.setattr(availability, "is_available", lambda entry: False)
    assert locating.locate("imagenet", "efficientnet_b1").tag == best


def test_a_failed_download_names_what_ships(monkeypatch):
    def offline(*_, **__):
        raise DownloadError("no connection.")

    monkeypatch.setattr(availability, "is_available", lambda entry: False)
    monkeypatch.setattr(locating, "_from_catalog", offline)
    with pytest.raises(DownloadError, match="Without a download, efficientnet_lite0 has ImageNet weights"):
        create_model("efficientnet_b0", weights="imagenet")
    with pytest.raises(DownloadError, match=r"^no connection\.$"):
        create_model("efficientnet_b0", weights="timm")


def test_availability_by_place(monkeypatch, tmp_path):
    lite1 = next(entry for entry in list_weights("efficientnet_lite1") if entry.package)
    monkeypatch.setattr(availability, "installed_path", lambda package, file: None)
    assert not availability.is_available(lite1)
    monkeypatch.setattr(availability, "installed_path", lambda package, file: tmp_path / file)
    assert availability.is_available(lite1)
    (v1, _) = [entry for entry in list_weights("efficientnet_b1") if entry.source == "torchvision"]
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert not availability.is_available(v1)
    target = tmp_path / "hub" / "checkpoints" / v1.url.rpartition("/")[2]
    target.parent.mkdir(parents=True)
    target.write_bytes(b"weights")
    assert availability.is_available(v1)
