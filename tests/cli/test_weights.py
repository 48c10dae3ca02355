"""`lightcars weights`, `lightcars convert`, and weights where other commands take them."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import lightcars as library
from lightcars.models.preprocessing import Preprocessing
from lightcars.weights.imagenet import imagenet_classes

SMALL = {"width": 0.1, "out_channels": 16}


@pytest.fixture
def b0(tmp_path):
    """A b0 of three classes under timm's names, in a PyTorch file."""
    model = library.efficientnet("b0", num_classes=3)
    path = tmp_path / "b0.pth"
    torch.save(library.state_dict_for(model, "timm"), path)
    return path


@pytest.mark.parametrize("columns", [80, 120])
def test_weights_fit_the_terminal(lightcars, terminal, columns):
    terminal(columns)
    shown = lightcars("weights")
    assert max(map(len, shown.out.splitlines())) <= columns
    assert "timm/tf_efficientnet_b7.ns_jft_in1k" in shown.out
    assert "unknown" in shown.out


def test_weights_of_a_run_and_of_a_tag(lightcars, finished, tmp_path):
    assert "no published weights of ghostnet_050;" in lightcars("weights", finished).out, "the run's model"
    assert lightcars("weights", "cars196").out == lightcars("weights", "efficientnet_lite2").out
    assert lightcars("weights", "cars196-ghostnet").out == lightcars("weights", "ghostnet_thesis").out
    shown = lightcars("weights", tmp_path)
    assert (shown.code, len(shown.err.splitlines())) == (2, 1)


def test_weights_of_one_model(lightcars):
    lines = lightcars("weights", "ghostnet_100").out.splitlines()
    assert len(lines) == 4
    row = ["timm/ghostnet_100.in1k", "74.0", "%", "224", "px", "unknown", "apache-2.0", "sha256", "8efbcf55"]
    assert lines[2].split() == row
    assert lines[3].split()[-2:] == ["sha256", "965143b0"]
    assert lightcars("weights", "repghostnet_050").out.splitlines()[-1].split()[-1] == "unpinned"
    assert "no published weights of ghostnet_050" in lightcars("weights", "ghostnet_050").out
    assert "Did you mean ghostnet_1" in lightcars("weights", "ghostnet_10").error


def test_weights_as_json(lightcars):
    entries = json.loads(lightcars("weights", "efficientnet_b1", "--json").out)
    v2 = next(entry for entry in entries if entry["tag"] == "torchvision/efficientnet_b1.imagenet1k_v2")
    assert v2["preprocessing"]["interpolation"] == "bilinear"
    assert (v2["sha256"], v2["pin"]) == ("c27df63c", "sha256 c27df63c")
    assert {entry["model"] for entry in entries} == {"efficientnet_b1"}


def test_convert_changes_the_format_only(lightcars, b0, tmp_path):
    shown = lightcars("convert", b0, tmp_path / "b0.safetensors")
    assert shown.code == 0, shown.err
    before, after = torch.load(b0), load_file(tmp_path / "b0.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert "360 tensors" in shown.out


def test_convert_from_one_library_to_another(lightcars, b0, tmp_path):
    target = tmp_path / "torchvision.safetensors"
    shown = lightcars("convert", b0, target, "--to", "torchvision", "--native", "--json")
    assert json.loads(shown.out) == {
        "target": str(target),
        "tensors": 360,
        "model": "efficientnet_b0",
        "to": "torchvision",
    }
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.efficientnet_b0(num_classes=3)
    theirs.load_state_dict(load_file(target), strict=True)


def test_convert_says_where_the_other_model_differs(lightcars, b0, tmp_path):
    to_torchvision = lightcars("convert", b0, tmp_path / "tv.pth", "--to", "torchvision", "--tensorflow")
    assert "padding same and eps 0.001 become symmetric and 1e-05 there" in to_torchvision.err
    to_lukemelas = lightcars("convert", b0, tmp_path / "l.pth", "--to", "lukemelas", "--native")
    assert "become same and 0.001 there" in to_lukemelas.err
    to_timm = lightcars("convert", b0, tmp_path / "t.pth", "--to", "timm", "--tensorflow")
    assert to_timm.err == ""
    assert "with the names of timm (tf_efficientnet)" in to_timm.out


def test_convert_says_what_it_assumes(lightcars, b0, tmp_path):
    shown = lightcars("convert", b0, tmp_path / "ours", "--to", "lightcars")
    assert shown.code == 0
    assert "warning: b0.pth is assumed to have PyTorch's own form" in shown.err
    assert library.load(tmp_path / "ours").config.padding == "symmetric"
    shown = lightcars("convert", b0, tmp_path / "tf", "--to", "lightcars", "--tensorflow")
    assert shown.err == ""
    config = library.load(tmp_path / "tf").config
    assert (config.padding, config.batch_norm_eps, config.batch_norm_momentum) == ("same", 1e-3, 0.01)


def test_convert_of_our_own_folder_of_any_size(lightcars, tmp_path):
    model = library.ghostnet(num_classes=3, **SMALL)
    library.save(model, tmp_path / "ours")
    shown = lightcars("convert", tmp_path / "ours", tmp_path / "huawei.pth", "--to", "huawei")
    assert shown.code == 0, shown.err
    written = torch.load(tmp_path / "huawei.pth")
    assert torch.equal(written["conv_stem.weight"], model.stem.conv.weight)


def test_convert_reads_the_file_that_is_named(lightcars, tmp_path):
    first, second = (library.ghostnet(num_classes=3, **SMALL) for _ in range(2))
    library.save(first, tmp_path / "ours")
    save_file(second.state_dict(), tmp_path / "ours" / "ema.safetensors")
    assert (
        lightcars("convert", tmp_path / "ours" / "ema.safetensors", tmp_path / "x.pth", "--to", "timm").code
        == 0
    )
    assert torch.equal(torch.load(tmp_path / "x.pth")["conv_stem.weight"], second.stem.conv.weight)
    folder = (tmp_path / "ours", tmp_path / "y.pth", "--to", "timm")
    assert "already specifies its model" in lightcars("convert", *folder, "--model", "ghostnet_050").error


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nowhere.pth", "x.safetensors"), "there is no file or folder nowhere.pth"),
        (("{b0}", "x.onnx"), "must end in .safetensors or .pth"),
        (("{b0}", "x.pth", "--to", "lightcars"), "give a folder, not the file"),
        (("{b0}", "folder", "--to", "timm"), "must end in .safetensors or .pth"),
        (("{b0}", "x.pth", "--to", "keras", "--native"), "only with those of lightcars, timm"),
        (
            ("{b0}", "x.pth", "--to", "torchvision", "--model", "efficientnet_b1", "--native"),
            "do not fit the model",
        ),
        (("{b0}", "x.pth", "--to", "timm", "--model", "efficientnet_b9"), "no model named"),
        (("{b0}", "x.pth", "--tensorflow"), "give it too"),
    ],
)
def test_invalid_conversions(lightcars, b0, tmp_path, arguments, text):
    source, target, *options = arguments
    target = tmp_path / target
    assert text in lightcars("convert", source.format(b0=b0), target, *options).error
    assert not target.exists()


def test_convert_refuses_code(lightcars, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "marker"), "w"))

    torch.save({"x": Evil()}, tmp_path / "evil.pth")
    assert "refused" in lightcars("convert", tmp_path / "evil.pth", tmp_path / "x.safetensors").error
    assert not (tmp_path / "marker").exists()


def test_finetune_from_weights(lightcars, cars, tmp_path):
    start = library.ghostnet(num_classes=5, **SMALL)
    library.save(
        start, tmp_path / "start", preprocessing=Preprocessing(resolution=64, mean=(0.1,) * 3, std=(0.9,) * 3)
    )
    shown = lightcars(
        "finetune", cars, "--weights", tmp_path / "start", "--width", 0.1, "--out-channels", 16,
        "--resolution", 32, "--batch-size", 8, "--epochs", 1, "--learning-rate", 1e-9, "--warmup-epochs", 0,
        "--weight-decay", 0, "--out", tmp_path / "run",
    )  # fmt: skip
    assert shown.code == 0, shown.err
    trained = library.load(tmp_path / "run" / "best")
    torch.testing.assert_close(trained.stem.conv.weight, start.stem.conv.weight, rtol=0, atol=1e-5)
    assert trained.preprocessing.mean == (0.1, 0.1, 0.1)
    description = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "reinitialized: classifier.weight" in description["weights"]


def test_predict_with_published_weights(lightcars, cars, tmp_path):
    """A folder as timm's on the Hub; ImageNet's names come with a thousand outputs."""
    timm = pytest.importorskip("timm")
    peer = timm.create_model("ghostnet_100")
    save_file(peer.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": "ghostnet_100",
        "pretrained_cfg": {**peer.pretrained_cfg, "input_size": [3, 64, 64]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    photo = cars / "val" / "Bus" / "0000.png"
    guesses = json.loads(lightcars("predict", tmp_path, photo, "--json").out)[0]["guesses"]
    from lightcars.weights.imagenet import imagenet_classes

    assert len(guesses) == 5
    assert {guess["name"] for guess in guesses} <= set(imagenet_classes())
    assert "other classes" in lightcars("evaluate", tmp_path, cars).error


def test_predict_with_weights_of_nothing(lightcars, cars):
    photo = cars / "val" / "Bus" / "0000.png"
    assert "no run or checkpoint folder" in lightcars("predict", "nowhere", photo).error


# ImageNet weights that ship


def test_verify(lightcars, tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "n02012849_crane.png")
    shown = lightcars("weights", "verify", "efficientnet_lite0", "--data", tmp_path)
    assert "google/efficientnet_lite0.in1k: loaded, shipped" in shown.out
    assert "1 images: top-1 " in shown.out
    assert "published top-1: 75.1 % on ImageNet-1k" in shown.out
    found = json.loads(lightcars("weights", "verify", "efficientnet_lite0", "--json").out)
    assert (found["num_images"], found["top1_percent"]) == (0, None)
    assert "no such" not in lightcars("weights", "list", "efficientnet_lite0").out


def test_predict_with_imagenet_weights(lightcars, tmp_path):
    image = tmp_path / "gray.png"
    Image.new("RGB", (32, 32), "gray").save(image)
    (alone,) = json.loads(lightcars("predict", image, "--weights", "imagenet", "--json").out)
    (named,) = json.loads(
        lightcars("predict", "efficientnet_lite0", image, "--weights", "imagenet", "--json").out
    )
    assert alone == named
    assert len(alone["guesses"]) == 5
    assert {guess["name"] for guess in alone["guesses"]} <= set(imagenet_classes())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["efficientnet_lite0", "IMAGE"],
            "efficientnet_lite0 is a model without weights; add --weights imagenet",
        ),
        (["efficientnet_lite0", "--weights", "imagenet"], "name images too"),
        (["efficientnet_lite0", "IMAGE", "--weights", "imagnet"], "has no weights 'imagnet'"),
    ],
)
def test_weights_that_predict_cannot_use(lightcars, tmp_path, arguments, message):
    image = tmp_path / "gray.png"
    Image.new("RGB", (32, 32)).save(image)
    assert message in lightcars("predict", *(image if word == "IMAGE" else word for word in arguments)).error
