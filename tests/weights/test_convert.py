"""Names of tensors: exactly those of the libraries that the weights come from, both ways."""

import json
from collections.abc import Mapping
from functools import cache, partial

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from lightcars.errors import CheckpointError, ConfigError
from lightcars.models.build import build_skeleton
from lightcars.models.config import ModelConfig
from lightcars.models.efficientnet.config import EfficientNetConfig
from lightcars.models.ghost_config import GhostBlock
from lightcars.models.ghostnet.config import GhostNetConfig
from lightcars.models.mbconv_stages import MBConvStage
from lightcars.models.registry import MODELS
from lightcars.models.tensor_names import NATIVE, TENSORFLOW
from lightcars.models.validation import change_config
from lightcars.weights.conversion import convert_weights
from lightcars.weights.convert.export import state_dict_for
from lightcars.weights.convert.translate import from_lightcars, recognize, sources, to_lightcars
from lightcars.weights.identify import identify
from lightcars.zoo import create_model, efficientnet, ghostnet

EFFICIENTNETS = [f"efficientnet_b{size}" for size in range(8)]
LITES = [f"efficientnet_lite{size}" for size in range(5)]
OFFICIAL = ["ghostnet_050", "ghostnet_100", "ghostnet_130"]
META = torch.device("meta")


model_of = cache(build_skeleton)
"""Built once for all tests; none may change it."""


def skeleton(config: ModelConfig) -> Mapping[str, Tensor]:
    """The state dict of a model without memory."""
    return model_of(config).state_dict(keep_vars=True)


@pytest.fixture
def quick(monkeypatch):
    """`identify` builds each size once."""
    monkeypatch.setattr("lightcars.weights.identify.build_skeleton", model_of)


def every_source(names: list[str]) -> list[tuple[str, str]]:
    return [(name, source) for name in names for source in sources(MODELS[name].config)]


def described(tensors: Mapping[str, Tensor]) -> list[tuple[str, tuple[int, ...], torch.dtype]]:
    """Names, shapes and kinds, in order."""
    return [(name, tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()]


def timm_model(name: str, **settings) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False, **settings)


def torchvision_model(name: str, **settings) -> nn.Module:
    import torchvision

    return torchvision.models.get_model(name, weights=None, **settings)


def lukemelas_model(name: str, **settings) -> nn.Module:
    from efficientnet_pytorch import EfficientNet

    return EfficientNet.from_name(name.replace("_", "-"), **settings)


PEERS = [
    *((name, "timm", timm_model, name) for name in EFFICIENTNETS + OFFICIAL),
    *((name, "timm", timm_model, f"tf_{name}") for name in EFFICIENTNETS),
    *((name, "timm", timm_model, f"tf_{name}") for name in LITES),
    *((name, "torchvision", torchvision_model, name) for name in EFFICIENTNETS),
    *((name, "lukemelas", lukemelas_model, name) for name in EFFICIENTNETS),
]
each_peer = pytest.mark.parametrize(
    ("name", "source", "build", "theirs"), PEERS, ids=[f"{source}-{theirs}" for _, source, _, theirs in PEERS]
)


# Against the other libraries


@each_peer
def test_names_and_shapes_are_the_peers(name, source, build, theirs):
    """In order, too: layers of one shape, as the norms around a depthwise convolution, are not swapped."""
    config = MODELS[name].config
    with META:
        peer = build(theirs).state_dict()
    ours = skeleton(config)
    assert described(from_lightcars(ours, config, source)) == described(peer)
    assert recognize(peer) == source
    assert described(to_lightcars(peer, config, source)) == described(ours)


@pytest.mark.parametrize("name", ["efficientnet_b0", "ghostnet_100"])
@pytest.mark.parametrize("num_classes", [10, 0])
def test_other_ends(name, num_classes):
    config = change_config(MODELS[name].config, {"num_classes": num_classes, "img_channels": 1})
    with META:
        peer = timm_model(name, num_classes=num_classes, in_chans=1).state_dict()
    assert described(from_lightcars(skeleton(config), config, "timm")) == described(peer)
    assert described(to_lightcars(peer, config, "timm")) == described(skeleton(config))


STAGES = (
    MBConvStage(expand_ratio=1, kernel_size=3, stride=1, channels=16, repeats=2),
    MBConvStage(expand_ratio=4, kernel_size=5, stride=2, channels=24, repeats=1),
    MBConvStage(expand_ratio=1, kernel_size=3, stride=2, channels=40, repeats=2),
    MBConvStage(expand_ratio=6, kernel_size=3, stride=2, channels=80, repeats=3),
)


@pytest.mark.parametrize(
    "config",
    [
        EfficientNetConfig(width=0.5, depth=2.0),
        EfficientNetConfig(width=1.3, depth=0.4),
        EfficientNetConfig(stages=STAGES, depth=1.5),
    ],
    ids=["deep", "shallow", "stages"],
)
def test_efficientnet_of_ones_own_size(config):
    """torchvision can build any."""
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    inputs = [32, *(stage.channels for stage in config.stages)]
    rows = [
        MBConvConfig(
            stage.expand_ratio,
            stage.kernel_size,
            stage.stride,
            before,
            stage.channels,
            stage.repeats,
            config.width,
            config.depth,
        )
        for before, stage in zip(inputs, config.stages, strict=False)
    ]
    with META:
        peer = EfficientNet(rows, dropout=0.2, last_channel=config.head_channels).state_dict()
    assert described(from_lightcars(skeleton(config), config, "torchvision")) == described(peer)


@pytest.mark.parametrize(
    ("name", "source", "build", "theirs", "changes"),
    [
        ("efficientnet_b0", "torchvision", torchvision_model, "efficientnet_b0", {}),
        ("efficientnet_b0", "timm", timm_model, "efficientnet_b0", {}),
        (
            "efficientnet_b0",
            "timm",
            timm_model,
            "tf_efficientnet_b0",
            {"padding": "same", "batch_norm_eps": 1e-3},
        ),
        (
            "efficientnet_b1",
            "lukemelas",
            partial(lukemelas_model, image_size=64),  # it pads for the size that it is built for
            "efficientnet_b1",
            {"padding": "same", "batch_norm_eps": 1e-3},
        ),
        ("ghostnet_100", "huawei", timm_model, "ghostnet_100", {}),
        ("ghostnet_050", "timm", timm_model, "ghostnet_050", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tensors_arrive_in_the_right_layers(name, source, build, theirs, changes, randomize_norms):
    peer = randomize_norms(build(theirs)).eval()
    ours = randomize_norms(create_model(name, **changes)).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = ours(x)
        peer.load_state_dict(state_dict_for(ours, source), strict=True)
        assert (peer(x) - before).abs().max() < 1e-5 * before.abs().max()
        again = create_model(name, **changes).eval()
        again.load_state_dict(to_lightcars(peer.state_dict(), again.config, source), strict=True)
        assert torch.equal(again(x), before)


# The thesis


@pytest.fixture(params=["rgb", "gray"])
def thesis(request, reference) -> tuple[dict[str, Tensor], GhostNetConfig, Tensor, Tensor]:
    """Tensors under the thesis's names, their config, an input and its logits."""
    path = reference / "golden" / f"thesis_ghostnet_w025_{request.param}.safetensors"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    with safe_open(path, "pt") as golden:
        tensors = {name: golden.get_tensor(name) for name in golden.keys()}  # noqa: SIM118
        settings = json.loads(golden.metadata()["config"])
    x, logits = tensors.pop("input"), tensors.pop("logits")
    settings["width"] = settings.pop("width_mult")
    state = {name.removeprefix("state."): tensor for name, tensor in tensors.items()}
    return state, GhostNetConfig(form="thesis", **settings), x, logits


def test_names_of_the_thesis(thesis):
    state, config, _, _ = thesis
    without_counters = {
        name: tensor for name, tensor in skeleton(config).items() if "num_batches_tracked" not in name
    }
    translated = from_lightcars(without_counters, config, "thesis")
    assert sorted(described(translated)) == sorted(described(state))
    assert recognize(state) == "thesis"


def test_logits_of_the_thesis_through_its_names(thesis):
    state, config, x, logits = thesis
    model = ghostnet(
        "thesis",
        width=config.width,
        num_classes=config.num_classes,
        img_channels=config.img_channels,
        out_channels=config.out_channels,
    ).eval()
    model.load_state_dict(to_lightcars(state, config, "thesis"), strict=True)
    with torch.no_grad():
        assert (model(x) - logits).abs().max() < 1e-5
    exported = state_dict_for(model, "thesis")
    assert all(torch.equal(exported[name], tensor) for name, tensor in state.items())


# There and back


@pytest.mark.parametrize(("name", "source"), every_source(list(MODELS)))
def test_back_again(name, source):
    config = MODELS[name].config
    ours = skeleton(config)
    theirs = from_lightcars(ours, config, source)
    assert len(theirs) == len(ours), "no two tensors under one name"
    again = to_lightcars(theirs, config, source)
    assert list(again) == list(ours)
    same = [again[name] is tensor or again[name]._base is tensor for name, tensor in ours.items()]
    assert all(same), "the same tensors, or views of them"


BLOCKS = (
    GhostBlock(kernel_size=3, hidden_channels=16, channels=16, squeeze=True, stride=2),
    GhostBlock(kernel_size=5, hidden_channels=48, channels=24, squeeze=False, stride=1),
    GhostBlock(kernel_size=3, hidden_channels=48, channels=24, squeeze=True, stride=1),
    GhostBlock(kernel_size=3, hidden_channels=72, channels=40, squeeze=True, stride=2),
    GhostBlock(kernel_size=3, hidden_channels=72, channels=40, squeeze=False, stride=2),
)


@pytest.mark.parametrize(
    "config",
    [
        EfficientNetConfig(width=0.3, depth=0.5, num_classes=7, img_channels=1, out_channels=64),
        EfficientNetConfig(depth=3.3, num_classes=0),
        EfficientNetConfig(stages=STAGES),
        GhostNetConfig(width=0.1, num_classes=7, img_channels=5, out_channels=64),
        GhostNetConfig(width=2.5, num_classes=0),
        GhostNetConfig(blocks=BLOCKS),
        GhostNetConfig(form="thesis", width=0.25, num_classes=7, img_channels=1, out_channels=64),
        GhostNetConfig(form="thesis", num_classes=0),
        GhostNetConfig(form="thesis", blocks=BLOCKS),
    ],
)
def test_ones_own_sizes_back_again(config):
    ours = skeleton(config)
    for source in sources(config):
        theirs = from_lightcars(ours, config, source)
        assert len(theirs) == len(ours)
        assert recognize(theirs) == ("timm" if source == "huawei" else source)
        again = to_lightcars(theirs, config, source)
        assert list(again) == list(ours)
        assert all(again[name] is tensor for name, tensor in ours.items())


# What old files have too much or too little


@pytest.mark.parametrize(
    ("name", "source"), every_source(["efficientnet_b0", "ghostnet_100", "ghostnet_thesis"])
)
def test_what_operation_counters_left_is_dropped(name, source):
    config = MODELS[name].config
    theirs = from_lightcars(skeleton(config), config, source)
    layers = {tensor_name.rpartition(".")[0] for tensor_name in theirs}
    leftovers = {
        f"{layer}.{kind}": torch.zeros(1) for layer in layers for kind in ("total_ops", "total_params")
    }
    whole = {"total_ops": torch.zeros(1), "total_params": torch.zeros(1)}
    again = to_lightcars({**leftovers, **theirs, **whole}, config, source)
    assert described(again) == described(skeleton(config))


@pytest.mark.parametrize(
    ("name", "source"), every_source(["efficientnet_b0", "ghostnet_100", "ghostnet_thesis"])
)
def test_batch_norms_get_their_counters(name, source):
    config = MODELS[name].config
    model = build_skeleton(config).to_empty(device="cpu")
    counters = [key for key in model.state_dict() if key.endswith("num_batches_tracked")]
    old = {key: tensor for key, tensor in model.state_dict().items() if key not in counters}
    again = to_lightcars(from_lightcars(old, config, source), config, source)
    assert again.keys() == model.state_dict().keys()
    assert {again[key].item() for key in counters} == {0}
    assert {(again[key].dtype, again[key].shape) for key in counters} == {(torch.int64, torch.Size())}
    model.load_state_dict(again, strict=True)


def test_counters_are_on_the_device_of_their_statistics():
    config = MODELS["ghostnet_050"].config
    old = {key: tensor for key, tensor in skeleton(config).items() if "num_batches_tracked" not in key}
    assert {tensor.device.type for tensor in to_lightcars(old, config, "lightcars").values()} == {"meta"}


def test_counters_that_are_there_are_kept():
    config = GhostNetConfig(width=0.1)
    tensors = {"bn1.running_mean": torch.zeros(4), "bn1.num_batches_tracked": torch.tensor(703_685)}
    assert to_lightcars(tensors, config, "timm")["stem.norm.num_batches_tracked"] == 703_685


@pytest.mark.parametrize(
    ("name", "source"), every_source(["efficientnet_b0", "ghostnet_100", "ghostnet_thesis"])
)
def test_foreign_names_stay_as_they_are(name, source):
    """Whoever loads strictly can then list them."""
    config = MODELS[name].config
    foreign = {
        key: torch.zeros(1) for key in ("temperature", "extra.weight", "blocks.99.nothing.bias", ".x", "")
    }
    theirs = from_lightcars(skeleton(config), config, source)
    again = to_lightcars({**theirs, **foreign}, config, source)
    assert again.keys() == {*skeleton(config), *foreign}


@pytest.mark.parametrize("source", ["timm", "lightcars"])
def test_what_is_given_is_left_as_it_was(source):
    config = MODELS["ghostnet_050"].config
    tensors = from_lightcars(skeleton(config), config, source)
    tensors.pop(next(name for name in tensors if name.endswith("num_batches_tracked")))
    tensors["total_ops"] = torch.zeros(1)
    before = dict(tensors)
    to_lightcars(tensors, config, source).clear()
    assert tensors == before
    tensors.pop("total_ops")
    from_lightcars(tensors, config, "lightcars").clear()
    assert len(tensors) == len(before) - 1


# Whose names they are


def test_sources():
    assert sources(MODELS["efficientnet_b7"].config) == ("lightcars", "timm", "torchvision", "lukemelas")
    assert sources(MODELS["efficientnet_lite0"].config) == ("lightcars", "timm", "lukemelas")
    assert sources(MODELS["ghostnet_130"].config) == ("lightcars", "timm", "huawei")
    assert sources(MODELS["ghostnet_thesis"].config) == ("lightcars", "thesis")


@pytest.mark.parametrize(("name", "source"), every_source(list(MODELS)))
def test_every_source_is_recognized(name, source):
    config = MODELS[name].config
    names = from_lightcars(skeleton(config), config, source)
    expected = "timm" if source == "huawei" else source
    assert recognize(names) == expected
    assert recognize(reversed(list(names))) == expected, "whatever their order"


@pytest.mark.parametrize(
    "names", [[], ["a"], ["conv1.weight", "bn1.weight"], ["model.stem.conv.weight"], [""]]
)
def test_other_names_are_not_recognized(names):
    assert recognize(names) is None


def test_other_architectures_are_not_recognized():
    with META:
        assert recognize(torchvision_model("resnet18").state_dict()) is None
        assert recognize(torchvision_model("vit_b_16").state_dict()) is None


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        (
            "ghostnet_100",
            "torchvision",
            "GhostNet (official form) does not exist with the names of 'torchvision'",
        ),
        ("ghostnet_100", "thesis", "GhostNet (official form) does not exist with the names of 'thesis'"),
        ("ghostnet_thesis", "timm", "GhostNet (thesis form) does not exist with the names of 'timm'"),
        ("efficientnet_b0", "huawei", "EfficientNet does not exist with the names of 'huawei'"),
        ("efficientnet_lite0", "torchvision", "EfficientNet does not exist with the names of 'torchvision'"),
        ("efficientnet_b0", "TIMM", "EfficientNet does not exist with the names of 'TIMM'"),
        ("efficientnet_b0", "", "EfficientNet does not exist with the names of ''"),
    ],
)
def test_sources_that_have_no_such_model(name, target, message):
    config = MODELS[name].config
    model = build_skeleton(config)
    for translate in (
        lambda: state_dict_for(model, target),
        lambda: from_lightcars(skeleton(config), config, target),
        lambda: to_lightcars(skeleton(config), config, target),
    ):
        with pytest.raises(CheckpointError) as error:
            translate()
        assert str(error.value) == f"{message}, only with those of {', '.join(sources(config))}."


# Out of this library


def test_state_dict_for_is_of_the_models_own_tensors():
    model = ghostnet(width=0.1, num_classes=2)
    exported = state_dict_for(model, "timm")
    assert exported["conv_stem.weight"].data_ptr() == model.stem.conv.weight.data_ptr(), "not copied"
    assert not any(tensor.requires_grad for tensor in exported.values())
    assert model.stem.conv.weight.requires_grad
    assert model.training


@pytest.mark.parametrize("target", ["lightcars", "timm", "huawei"])
def test_state_dict_for_a_compiled_model(target):
    model = ghostnet(width=0.1, num_classes=2)
    compiled = torch.compile(model, backend="eager")
    assert state_dict_for(compiled, target).keys() == state_dict_for(model, target).keys()


@pytest.mark.parametrize(
    "other", [nn.Linear(2, 2), nn.DataParallel(nn.Linear(2, 2)), None, {}, "efficientnet_b0"]
)
def test_only_models_of_ours_are_converted(other):
    kind = "Linear" if isinstance(other, nn.Module) else type(other).__name__
    with pytest.raises(CheckpointError, match=f"only models of lightcars .*, not a {kind}"):
        state_dict_for(other, "timm")


def test_model_with_foreign_parts_is_not_converted():
    model = ghostnet(width=0.1, num_classes=2)
    model.classifier = nn.Sequential(nn.Linear(1280, 8), nn.Linear(8, 2))
    with pytest.raises(CheckpointError, match=r"^classifier\.0\.weight .* no name in timm"):
        state_dict_for(model, "timm")
    model = ghostnet(width=0.1, num_classes=2)
    model.sharpness = nn.Parameter(torch.ones(1))
    with pytest.raises(CheckpointError, match=r"^sharpness .* no name in huawei"):
        state_dict_for(model, "huawei")


# Which model it is


@pytest.mark.parametrize(("name", "source"), every_source(list(MODELS)))
def test_every_registered_model_is_identified(name, source, quick):
    config = MODELS[name].config
    assert identify(from_lightcars(skeleton(config), config, source), "a file") == name


@pytest.mark.parametrize(
    "changes",
    [
        {"num_classes": 196},
        {"img_channels": 1},
        {"out_channels": 320},
        {"num_classes": 1, "img_channels": 4, "out_channels": 64},
        {"num_classes": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["efficientnet_b1", "efficientnet_b2", "ghostnet_100", "ghostnet_thesis"])
def test_models_with_other_ends_are_identified(name, changes, quick):
    config = change_config(MODELS[name].config, changes)
    for source in sources(config):
        assert identify(from_lightcars(skeleton(config), config, source), "a file") == name


def test_files_of_2019_are_identified(quick):
    config = MODELS["efficientnet_b1"].config
    old = {key: tensor for key, tensor in skeleton(config).items() if "num_batches_tracked" not in key}
    theirs = {**from_lightcars(old, config, "lukemelas"), "total_ops": torch.zeros(1)}
    assert identify(theirs, "a file") == "efficientnet_b1"


def deeper(config: ModelConfig) -> ModelConfig:
    """One more block behind the last, so that all others' tensors are where they were."""
    if isinstance(config, EfficientNetConfig):
        last = config.stages[-1]
        return change_config(config, {"stages": (*config.stages, change_config(last, {"stride": 1}))})
    return change_config(config, {"blocks": (*config.blocks, config.blocks[-1])})


@pytest.mark.parametrize(
    "config",
    [
        change_config(MODELS["efficientnet_b0"].config, {"width": 0.9}),
        change_config(MODELS["efficientnet_b0"].config, {"depth": 1.5}),
        change_config(MODELS["efficientnet_b3"].config, {"stages": STAGES}),
        change_config(MODELS["ghostnet_100"].config, {"width": 0.75}),
        change_config(MODELS["ghostnet_100"].config, {"blocks": BLOCKS}),
        change_config(MODELS["ghostnet_thesis"].config, {"width": 0.25}),
        deeper(MODELS["efficientnet_b0"].config),
        deeper(MODELS["ghostnet_100"].config),
    ],
)
def test_unknown_sizes_are_an_error(config, quick):
    for source in sources(config):
        tensors = from_lightcars(skeleton(config), config, source)
        with pytest.raises(CheckpointError, match=r"^a file fits none of the registered models") as error:
            identify(tensors, "a file")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "edit",
    [
        lambda tensors: tensors.clear(),
        lambda tensors: tensors.pop("blocks.0.expand.primary.conv.weight"),
        lambda tensors: tensors.pop("stem.conv.weight"),
        lambda tensors: tensors.pop("classifier.bias"),
        lambda tensors: tensors.update({"extra.weight": torch.zeros(1)}),
        lambda tensors: tensors.update({"stem.norm.weight": torch.zeros(1)}),
    ],
    ids=["none", "block", "stem", "bias", "extra", "shape"],
)
def test_incomplete_models_are_not_identified(edit, quick):
    tensors = dict(skeleton(MODELS["ghostnet_100"].config))
    edit(tensors)
    with pytest.raises(
        CheckpointError, match=r"fits none of the registered|the tensor names in .* are not known"
    ):
        identify(tensors, "a file")


def test_foreign_models_are_not_identified(quick):
    for name in ("resnet18", "alexnet", "resnext50_32x4d"):
        with META:
            tensors = torchvision_model(name).state_dict()
        with pytest.raises(
            CheckpointError, match=r"^(a file fits none|the tensor names in a file are not known)"
        ):
            identify(tensors, "a file")


def test_identified_models_can_be_built():
    """What `identify` says fits, loads."""
    model = efficientnet("b1", num_classes=3, device="meta")
    name = identify(model.state_dict(), "a file")
    assert create_model(name, num_classes=3, device="meta").state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("changes", [dict(TENSORFLOW.settings), dict(NATIVE.settings)])
def test_a_family_of_one_form_takes_no_other(tmp_path, changes):
    torch.save(state_dict_for(ghostnet(), "timm"), tmp_path / "ghostnet.pth")
    with pytest.raises(ConfigError, match=r"ghostnet_100 has one form only .no padding, batch_norm_eps"):
        convert_weights(str(tmp_path / "ghostnet.pth"), tmp_path / "out", to="lightcars", changes=changes)
