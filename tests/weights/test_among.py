"""Files of real trainings: the model under any prefix, heads under other names, and what else they hold."""

import re
import warnings

import pytest
import torch
from torch import Tensor, nn

import lightcars
from lightcars.errors import CheckpointError
from lightcars.models.image_model import ImageModel
from lightcars.weights.among import find_model, shorten
from lightcars.weights.convert.export import state_dict_for
from lightcars.weights.identify import identify

NAMES = {
    "lightcars": ("ghostnet_100", {}),
    "timm": ("efficientnet_b0", {"depth": 0.34}),
    "torchvision": ("efficientnet_b0", {"depth": 0.34}),
    "lukemelas": ("efficientnet_b0", {"depth": 0.34}),
    "huawei": ("ghostnet_100", {}),
    "thesis": ("ghostnet_thesis", {}),
}
each_source = pytest.mark.parametrize("source", NAMES)
quiet = pytest.mark.filterwarnings("ignore:.* is assumed to have:UserWarning")
pytestmark = quiet


def changes(source: str) -> dict[str, object]:
    return NAMES[source][1] | {"width": 0.25}


@pytest.fixture
def trained(source, randomize_norms) -> ImageModel:
    model = lightcars.create_model(NAMES[source][0], num_classes=5, **changes(source))
    return randomize_norms(model).eval()


@pytest.fixture
def tensors(trained, source) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state_dict_for(trained, source).items()}


def classifier_name(source: str) -> str:
    return {"torchvision": "classifier.1", "lukemelas": "_fc", "thesis": "classifier.4"}.get(
        source, "classifier"
    )


def renamed(tensors: dict[str, Tensor], source: str, name: str) -> dict[str, Tensor]:
    """The tensors with the classifier under another name."""
    before = classifier_name(source)
    return {
        f"{name}{key.removeprefix(before)}" if key in (f"{before}.weight", f"{before}.bias") else key: tensor
        for key, tensor in tensors.items()
    }


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def opened(content: object, source: str, tmp_path, **more) -> ImageModel:
    path = tmp_path / "last.pth"
    torch.save(content, path)
    return lightcars.create_model(NAMES[source][0], weights=path, **changes(source), **more)


def assert_same(found: ImageModel, trained: ImageModel) -> None:
    loaded = found.state_dict()
    for name, tensor in trained.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


# Prefixes


@each_source
@pytest.mark.parametrize("prefix", ["net.", "backbone.", "encoder.", "model.backbone.", "0.", "a.b.c."])
def test_the_model_under_a_prefix(source, trained, tensors, prefix, tmp_path):
    found = find_model(prefixed(prefix, tensors), "x")
    assert (found.source, found.prefix) == ("timm" if source == "huawei" else source, prefix)
    assert_same(opened(prefixed(prefix, tensors), source, tmp_path), trained)


@pytest.mark.parametrize("source", ["timm", "lightcars"])
def test_a_lightning_checkpoint_with_more_than_the_model(source, trained, tensors, tmp_path):
    content = {
        **prefixed("model._orig_mod.", tensors),
        "criterion.weight": torch.ones(5),
        "val_f1.tp": torch.zeros(5),
        "val_f1.fp": torch.zeros(5),
    }
    file = {"state_dict": content, "epoch": 3, "hyper_parameters": {"lr": 0.1}}
    with pytest.warns(UserWarning, match=r"last\.pth: ignores criterion\.weight, val_f1\.tp, val_f1\.fp\.$"):
        model = opened(file, source, tmp_path)
    assert_same(model, trained)
    assert model.origin.ignored == ("criterion.weight", "val_f1.tp", "val_f1.fp")
    assert "ignored: criterion.weight, val_f1.tp, val_f1.fp" in str(model.origin)


@pytest.mark.parametrize("source", ["timm", "lightcars"])
@pytest.mark.parametrize(
    ("taken", "left"), [("ema_model.", "model."), ("ema.module.", ""), ("student.", "teacher.")]
)
def test_of_several_models_the_average_or_the_student_is_taken(
    source, trained, tensors, taken, left, tmp_path
):
    others = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    with pytest.warns(UserWarning, match=r"ignores .*\d\d tensors\)"):
        model = opened({**prefixed(left, others), **prefixed(taken, tensors)}, source, tmp_path)
    assert_same(model, trained)
    assert len(model.origin.ignored) == len(others)


@pytest.mark.parametrize("source", ["timm"])
def test_several_models_that_are_equally_good(source, tensors, tmp_path):
    content = {**prefixed("first.", tensors), **prefixed("second.", tensors)}
    with pytest.raises(CheckpointError, match=r"contains several models, under first\., second\.; save"):
        opened(content, source, tmp_path)


# Heads


@each_source
@pytest.mark.parametrize("name", ["classifier.1", "fc", "head.linear", "_fc.1", "classifier.0"])
def test_a_single_linear_layer_is_the_classifier(source, trained, tensors, name, tmp_path):
    if source == "thesis" and name in ("classifier.0", "classifier.1"):
        pytest.skip("the neck has these names")
    if name == "head.linear" and source == "lightcars":
        pytest.skip("the last convolution has this name")
    content = renamed(tensors, source, name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = opened(content, source, tmp_path)
        same = opened(content, source, tmp_path, num_classes=5)
        other = opened(content, source, tmp_path, num_classes=3)
    said = [
        str(one.message).partition(": ")[2] for one in caught if "is assumed to have" not in str(one.message)
    ]
    assert said == ([] if name == classifier_name(source) else [f"takes {name} as the classifier."] * 3)
    assert_same(model, trained)
    assert model.origin.ignored == same.origin.initialized == ()
    assert other.origin.initialized == ("classifier.weight", "classifier.bias")


@each_source
@pytest.mark.parametrize("prefix", ["backbone.", "model.encoder."])
def test_a_linear_layer_beside_the_model(source, trained, tensors, prefix, tmp_path):
    before = classifier_name(source)
    backbone = {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{before}.")}
    outside = prefix.rpartition("backbone")[0].rpartition("encoder")[0]
    content = prefixed(prefix, backbone) | {
        f"{outside}fc.weight": tensors[f"{before}.weight"],
        f"{outside}fc.bias": tensors[f"{before}.bias"],
        "loss.weight": torch.ones(5),
    }
    if source == "thesis":
        content |= prefixed(prefix, {n: t for n, t in tensors.items() if n.startswith("classifier.")})
        for kind in ("weight", "bias"):
            del content[f"{prefix}classifier.4.{kind}"]
    with pytest.warns(UserWarning, match=rf"takes {outside}fc as the classifier; ignores loss\.weight\.$"):
        model = opened(content, source, tmp_path)
    assert_same(model, trained)


@pytest.mark.parametrize("source", ["timm", "torchvision", "lightcars"])
@pytest.mark.parametrize("place", ["classifier", "fc"])
def test_a_head_of_two_layers_is_named_and_never_lost_in_silence(source, tensors, place, tmp_path):
    before = classifier_name(source)
    width = tensors[f"{before}.weight"].shape[1]
    content = {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{before}.")}
    for number, (inputs, outputs) in {1: (width, 16), 4: (16, 5)}.items():
        content |= prefixed(f"{place}.{number}.", dict(nn.Linear(inputs, outputs).state_dict()))
    with pytest.raises(
        CheckpointError,
        match=rf"the head in .*last\.pth \({place}\.1, {place}\.4\) is not one linear layer of the model's"
        r" width, .*give num_classes for a new classifier without it, or num_classes=0",
    ):
        opened(content, source, tmp_path)
    names = rf"{place}\.1\.weight, {place}\.1\.bias, {place}\.4\.weight, {place}\.4\.bias"
    with pytest.warns(UserWarning, match=rf"ignores {names}\.$"):
        model = opened(content, source, tmp_path, num_classes=3)
    assert model.origin.initialized == ("classifier.weight", "classifier.bias")
    with pytest.warns(UserWarning, match="ignores"):
        assert opened(content, source, tmp_path, num_classes=0).config.num_classes == 0


@pytest.mark.parametrize("source", ["timm"])
@pytest.mark.parametrize(
    "layers",
    [
        {"fc.weight": (5, 9), "fc.bias": (5,)},
        {"fc.weight": (5, 320)},
        {"bn.weight": (320,), "bn.bias": (320,), "fc.weight": (5, 320), "fc.bias": (5,)},
    ],
    ids=["another width", "no bias", "a norm before"],
)
def test_a_head_that_is_no_classifier(source, tensors, layers, tmp_path):
    content = {name: tensor for name, tensor in tensors.items() if not name.startswith("classifier.")}
    content = prefixed("backbone.", content) | {name: torch.ones(shape) for name, shape in layers.items()}
    with pytest.raises(CheckpointError, match=r"the head in .* \(.*fc\) is not one linear layer"):
        opened(content, source, tmp_path)


@pytest.mark.parametrize("source", ["timm", "lightcars"])
def test_no_classifier_at_all(source, tensors, tmp_path):
    content = {name: tensor for name, tensor in tensors.items() if not name.startswith("classifier.")}
    with pytest.raises(CheckpointError, match=r"has no classifier; give num_classes for a new one\.$"):
        opened(content, source, tmp_path)
    assert opened(content, source, tmp_path, num_classes=2).origin.initialized == (
        "classifier.weight",
        "classifier.bias",
    )


@pytest.mark.parametrize("source", ["timm", "torchvision", "lightcars"])
@pytest.mark.parametrize("kind", ["weight", "bias"])
def test_half_a_classifier_is_missing(source, tensors, kind, tmp_path):
    """It was sampled in silence; asked for or not, half of one is a broken file."""
    del tensors[f"{classifier_name(source)}.{kind}"]
    with pytest.raises(CheckpointError, match=rf"missing: classifier\.{kind}|has no classifier"):
        opened(tensors, source, tmp_path)


@pytest.mark.parametrize("source", ["timm", "torchvision"])
def test_layers_that_the_model_lacks_are_an_error_still(source, tensors, tmp_path):
    name = next(name for name in tensors if ".0." in name and name.endswith(".weight"))
    extra = f"{name.partition('.')[0]}.99.conv.weight"
    tensors[extra] = torch.ones(1)
    with pytest.raises(CheckpointError, match=rf"unexpected: {re.escape(extra)}"):
        opened(tensors, source, tmp_path)


@pytest.mark.parametrize("source", ["timm", "lightcars"])
def test_identify_takes_the_same_files(source, tmp_path):
    model = lightcars.create_model(NAMES[source][0], num_classes=5, device="cpu")
    tensors = state_dict_for(model, source)
    content = prefixed("backbone.", renamed(tensors, source, "fc.1")) | {"loss.weight": torch.ones(5)}
    assert identify(content, "x") == NAMES[source][0]


def test_nothing_is_known():
    with pytest.raises(CheckpointError, match=r"^the tensor names in x are not known \(first: a\.b, c\);"):
        find_model({"a.b": torch.ones(1), "c": torch.ones(1)}, "x")


def test_many_names_are_counted():
    names = [*(f"ema.{number}" for number in range(7)), "loss.weight", "n"]
    assert shorten(names) == "ema.* (7 tensors), loss.weight, n"


def test_complete_files_warn_of_nothing(tmp_path, recwarn):
    warnings.simplefilter("error")
    model = lightcars.ghostnet(width=0.25, num_classes=5)
    torch.save(model.state_dict(), tmp_path / "last.pth")
    lightcars.ghostnet(width=0.25, weights=tmp_path / "last.pth")
