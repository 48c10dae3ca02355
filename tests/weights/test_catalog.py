"""The catalog says what the packages that publish the weights say, entry by entry and both ways."""

import csv
import importlib.metadata
import math
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

from lightcars.errors import UnknownModelError, UnknownWeightsError
from lightcars.models.build import build_skeleton
from lightcars.models.registry import MODELS
from lightcars.models.tensor_names import NATIVE, TENSORFLOW, TENSORFLOW_EPS
from lightcars.models.validation import change_config
from lightcars.weights import publishers
from lightcars.weights.catalog import (
    ENTRIES,
    IMAGENET,
    WeightsEntry,
    find_candidates,
    find_tag,
    find_weights,
    list_weights,
    unknown_weights,
)
from lightcars.weights.pins import HUB_REVISIONS, HUB_SHA256

EFFICIENTNETS = [f"efficientnet_b{size}" for size in range(8)]
LARGE_EFFICIENTNETS = ["efficientnet_b8", "efficientnet_l2"]
LITES = [f"efficientnet_lite{size}" for size in range(5)]
EFFICIENTNETS_V2 = [f"efficientnetv2_{size}" for size in ("b0", "b1", "b2", "b3", "s", "m", "l")]
GHOSTNETS = ["ghostnet_050", "ghostnet_100", "ghostnet_130"]
SUCCESSORS = [name for name in MODELS if name.startswith(("ghostnetv2_", "ghostnetv3_", "repghostnet_"))]
MOBILENETS = [name for name in MODELS if name.startswith(("mobilenet", "mnasnet"))]
COMPACT = [name for name in MODELS if name.startswith(("shufflenetv2", "squeezenet_"))]
OF_TORCHVISION = [
    *EFFICIENTNETS,
    *(f"efficientnet_v2_{size}" for size in "sml"),
    *(f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0")),
    "squeezenet1_0",
    "squeezenet1_1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "mnasnet1_0",
]
"""Names there."""
WITHOUT_WEIGHTS = ["ghostnet_050", "ghostnet_130", "ghostnetv3_050", "ghostnetv3_130", "ghostnetv3_160"]
WITHOUT_WEIGHTS += [name for name in MODELS if name.startswith(("hardnet", "squeezenext", "shufflenetv1"))]


def of(source: str) -> list[WeightsEntry]:
    return [entry for entry in ENTRIES if entry.source == source]


def each(source: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", of(source), ids=lambda entry: entry.tag.partition("/")[2])


def architecture(entry: WeightsEntry) -> str:
    """timm's or torchvision's name of the architecture, without the tag."""
    return entry.tag.partition("/")[2].partition(".")[0]


# The table as a whole


def test_tags_are_unique_and_start_with_their_source():
    tags = [entry.tag for entry in ENTRIES]
    assert len(set(tags)) == len(tags)
    assert all(entry.tag.startswith(f"{entry.source}/") for entry in ENTRIES)


def test_every_entry_is_of_a_registered_model():
    assert {entry.model for entry in ENTRIES} <= set(MODELS)
    families = [EFFICIENTNETS, LARGE_EFFICIENTNETS, LITES, EFFICIENTNETS_V2, GHOSTNETS, SUCCESSORS]
    families += [COMPACT, MOBILENETS]
    models = {name for family in families for name in family} | {"ghostnet_thesis"}
    assert {entry.model for entry in ENTRIES} == models - set(WITHOUT_WEIGHTS)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.tag)
def test_settings_are_ones_that_the_model_has(entry):
    config = change_config(MODELS[entry.model].config, entry.settings)
    assert {key: getattr(config, key) for key in entry.settings} == dict(entry.settings)


def test_every_entry_can_be_fetched_from_one_place():
    for entry in ENTRIES:
        places = [entry.packaged, entry.package, entry.hub_id, entry.url]
        assert sum(place is not None for place in places) == 1, entry.tag
        assert entry.url is None or entry.url.startswith("https://"), entry.tag
        assert entry.url is None or entry.sha256 is not None, entry.tag


def test_digests_are_lower_case_hexadecimal():
    for entry in ENTRIES:
        if entry.sha256 is not None:
            assert re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{10}|[0-9a-f]{64}", entry.sha256), entry.tag


def test_revisions_are_whole_commit_hashes():
    for entry in ENTRIES:
        if entry.revision is not None:
            assert re.fullmatch(r"[0-9a-f]{40}", entry.revision), entry.tag
            assert entry.hub_id is not None, entry.tag
    known = {entry.hub_id.removeprefix("timm/"): entry.revision for entry in of("timm")}
    assert known.items() >= HUB_REVISIONS.items(), "none without its entry"
    assert len(set(HUB_REVISIONS.values())) == len(HUB_REVISIONS), "none twice"


def test_what_pins_an_entry():
    assert find_tag("cars196").pin == "shipped"
    assert find_tag("torchvision/efficientnet_b0.imagenet1k_v1").pin == "sha256 7f5810bc"
    assert find_tag("timm/tf_efficientnet_b0.in1k").pin == "commit a06a8843"
    assert find_tag("timm/efficientnet_b0.ra_in1k").pin == "sha256 d5698997"
    assert find_tag("huawei/ghostnet_100").pin == "sha256 965143b0"
    assert find_tag("timm/tf_efficientnet_b8.ra_in1k").pin == "unpinned"
    assert {entry.source for entry in ENTRIES if entry.pin == "unpinned"} == {"timm"}


def test_no_digest_of_the_hub_is_without_its_entry():
    known = {entry.hub_id.removeprefix("timm/"): entry.sha256 for entry in of("timm")}
    assert known.items() >= HUB_SHA256.items()
    assert len(set(HUB_SHA256.values())) == len(HUB_SHA256), "none twice"


@pytest.mark.parametrize("form", [NATIVE, TENSORFLOW, TENSORFLOW_EPS], ids=lambda form: form.title)
def test_shared_settings_cannot_be_changed(form):
    with pytest.raises(TypeError):
        form.settings["batch_norm_eps"] = 1.0


def test_accuracies_are_percentages():
    for entry in ENTRIES:
        if entry.top1_percent is None:
            assert entry.top5_percent is None
        else:
            top5 = 100 if entry.top5_percent is None else entry.top5_percent
            assert (55 if entry.data == IMAGENET else 40) < entry.top1_percent < top5 <= 100, entry.tag


def test_extra_data():
    extra = [entry.tag.partition(".")[2] for entry in ENTRIES if entry.extra_data]
    assert Counter(extra) == {
        "e180_ad_r384_in12k": 1,
        "e180_r384_in12k": 1,
        "e250_r384_in12k": 1,
        "e250_r384_in12k_ft_in1k": 1,
        "miil_in21k": 1,
        "miil_in21k_ft_in1k": 1,
        "sw_in12k": 1,
        "sw_in12k_ft_in1k": 1,
        "in21k": 4,
        "in21k_ft_in1k": 4,
        "ns_jft_in1k": 9,
        "ns_jft_in1k_475": 1,
    }


# timm


@each("timm")
def test_timm(entry):
    from timm.models import get_pretrained_cfg

    theirs = get_pretrained_cfg(entry.tag.removeprefix("timm/"))
    ours = entry.preprocessing
    assert theirs.architecture == architecture(entry)
    assert theirs.input_size == (3, ours.resolution, ours.resolution)
    assert theirs.crop_pct == ours.crop_fraction
    assert theirs.crop_mode == {"crop": "center", "squash": "squash"}[ours.resize]
    assert theirs.interpolation == ours.interpolation
    assert (theirs.mean, theirs.std) == (ours.mean, ours.std)
    assert theirs.num_classes == entry.num_classes
    assert theirs.hf_hub_id == entry.hub_id
    assert theirs.license == entry.license


def test_timm_is_complete():
    import timm

    ours = [*EFFICIENTNETS, *LARGE_EFFICIENTNETS, *LITES, *EFFICIENTNETS_V2]
    ours += [*GHOSTNETS, *SUCCESSORS, *MOBILENETS]
    names = [*ours, *(f"tf_{name}" for name in ours)]
    on_hub = {
        name
        for architecture in names
        for name in timm.list_models(f"{architecture}*", pretrained=True)
        if name.partition(".")[0] == architecture and timm.models.get_pretrained_cfg(name).hf_hub_id
    }
    assert on_hub == {entry.tag.removeprefix("timm/") for entry in of("timm")}
    assert len(on_hub) == 79 + 19


@each("timm")
def test_timms_tensorflow_weights_want_tensorflows_settings(entry):
    is_tensorflow = architecture(entry).startswith("tf_")
    assert entry.model == architecture(entry).removeprefix("tf_")
    config = change_config(MODELS[entry.model].config, entry.settings)
    if "efficientnet" in entry.model:
        assert (TENSORFLOW if is_tensorflow else NATIVE).is_of(config)
    else:
        assert dict(entry.settings) == (dict(TENSORFLOW.settings) if is_tensorflow else {})


@pytest.mark.parametrize(
    "name",
    [
        "efficientnet_b0",
        "tf_efficientnet_b0",
        "efficientnet_lite0",
        "tf_efficientnet_lite3",
        "tf_efficientnetv2_b0",
        "tf_efficientnetv2_s",
    ],
)
def test_settings_are_those_of_timms_modules(name):
    import timm

    with torch.device("meta"):
        theirs = timm.create_model(name)
    entry = next(entry for entry in of("timm") if architecture(entry) == name)
    config = change_config(MODELS[entry.model].config, entry.settings)
    assert theirs.bn1.eps == config.batch_norm_eps
    is_same = type(theirs.conv_stem).__name__ == "Conv2dSame"
    assert is_same == (config.padding == "same")


@pytest.mark.parametrize(
    ("architecture", "model", "settings"),
    [
        ("efficientnet_b0", "efficientnet_b0", {}),
        ("tf_efficientnet_b0", "efficientnet_b0", TENSORFLOW.settings),
        ("tf_efficientnet_lite3", "efficientnet_lite3", {}),
        ("efficientnet_lite0", "efficientnet_lite0", NATIVE.settings),
        ("ghostnet_130", "ghostnet_130", {}),
        ("tf_ghostnet_100", "tf_ghostnet_100", {}),
        ("resnet50", "resnet50", {}),
    ],
)
def test_timms_architectures(architecture, model, settings):
    assert publishers.from_timm(architecture) == (model, dict(settings))


# torchvision


def torchvision_weights(model: str):
    import torchvision

    return torchvision.models.get_model_weights(model)


@each("torchvision")
def test_torchvision(entry):
    weights = torchvision_weights(architecture(entry))[entry.tag.partition(".")[2].upper()]
    preset, ours = weights.transforms(), entry.preprocessing
    assert entry.url == weights.url
    assert entry.url.endswith(f"-{entry.sha256}.pth")
    assert len(entry.sha256) in (8, 10)
    assert preset.crop_size == [ours.resolution]
    assert preset.resize_size == [ours.shorter_side]
    assert preset.interpolation.value == ours.interpolation
    assert (tuple(preset.mean), tuple(preset.std)) == (ours.mean, ours.std)
    assert ours.resize == "crop"
    accuracy = weights.meta["_metrics"]["ImageNet-1K"]
    assert (entry.top1_percent, entry.top5_percent) == (accuracy["acc@1"], accuracy["acc@5"])
    assert entry.num_classes == len(weights.meta["categories"])


@each("torchvision")
def test_torchvisions_file_sizes_are_in_mebibytes_and_ours_in_megabytes(entry):
    weights = torchvision_weights(architecture(entry))[entry.tag.partition(".")[2].upper()]
    assert entry.size_mb == round(weights.meta["_file_size"] * 2**20 / 10**6, 3)
    tensors = build_skeleton(MODELS[entry.model].config).state_dict().values()
    content_mb = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 10**6
    assert content_mb < entry.size_mb < 1.02 * content_mb


def test_torchvision_is_complete():
    theirs = {weights.url for model in OF_TORCHVISION for weights in torchvision_weights(model)}
    assert theirs == {entry.url for entry in of("torchvision")}
    assert len(theirs) == 12 + 6 + 6


@each("torchvision")
def test_torchvisions_batch_norms(entry):
    import torchvision

    with torch.device("meta"):
        theirs = torchvision.models.get_model(architecture(entry), weights=None)
    norm = next((layer for layer in theirs.modules() if isinstance(layer, nn.BatchNorm2d)), None)
    if norm is None:
        assert not any(
            isinstance(layer, nn.BatchNorm2d)
            for layer in build_skeleton(MODELS[entry.model].config).modules()
        )
        return
    config = change_config(MODELS[entry.model].config, entry.settings)
    assert norm.eps == getattr(config, "batch_norm_eps", 1e-5)
    if hasattr(config, "batch_norm_momentum"):
        assert norm.momentum == config.batch_norm_momentum
        assert config.padding == "symmetric"


# lukemelas


def lukemelas_urls() -> dict[str, str]:
    """Our tag -> the address, b8 aside."""
    from efficientnet_pytorch.utils import url_map, url_map_advprop

    plain = {f"lukemelas/{name}": url for name, url in url_map.items()}
    adversarial = {f"lukemelas/adv-{name}": url for name, url in url_map_advprop.items()}
    return {tag: url for tag, url in (plain | adversarial).items() if not tag.endswith("b8")}


def test_lukemelas_addresses_are_all_there():
    assert {entry.tag: entry.url for entry in of("lukemelas")} == lukemelas_urls()


@each("lukemelas")
def test_lukemelas(entry):
    from efficientnet_pytorch import EfficientNet

    name = entry.tag.removeprefix("lukemelas/").removeprefix("adv-")
    assert entry.model == name.replace("-", "_")
    assert entry.url.endswith(f"-{entry.sha256}.pth")
    assert len(entry.sha256) in (8, 10)
    assert entry.preprocessing.resolution == EfficientNet.get_image_size(name)
    assert entry.license == importlib.metadata.metadata("efficientnet_pytorch")["License"]
    assert entry.settings == TENSORFLOW.settings
    assert (entry.top1_percent, entry.size_mb) == (None, None)


@each("lukemelas")
def test_lukemelas_adversarial_weights_want_pixels_from_minus_one_to_one(entry):
    half = (0.5, 0.5, 0.5)
    usual = (publishers.IMAGENET_MEAN, publishers.IMAGENET_STD)
    found = (entry.preprocessing.mean, entry.preprocessing.std)
    assert found == ((half, half) if "adv-" in entry.tag else usual)


@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnet-b7"])
def test_lukemelas_batch_norms(name):
    from efficientnet_pytorch import EfficientNet

    with torch.device("meta"):
        theirs = EfficientNet.from_name(name)
    assert theirs._bn0.eps == TENSORFLOW.settings["batch_norm_eps"]
    assert theirs._bn0.momentum == pytest.approx(TENSORFLOW.settings["batch_norm_momentum"])
    assert "Same" in type(theirs._conv_stem).__name__


def test_huawei():
    """Its `validate.py` resizes to 256 and crops 224, with torchvision's default interpolation."""
    (entry,) = of("huawei")
    ours = entry.preprocessing
    assert (ours.resolution, ours.shorter_side, ours.interpolation) == (224, 256, "bilinear")
    assert f"state_dict_{entry.top1_percent}.pth" == entry.url.rpartition("/")[2]
    assert entry.license is None, "its two license files disagree"


# Preprocessing


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.tag)
def test_shorter_side_is_what_the_sources_compute(entry):
    """timm's floor; torchvision's own number is compared above."""
    ours = entry.preprocessing
    assert ours.shorter_side >= ours.resolution
    if entry.source != "torchvision":
        assert ours.shorter_side == math.floor(ours.resolution / ours.crop_fraction)


# Looking up


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.tag)
def test_every_entry_is_found_by_its_whole_tag(entry):
    assert find_weights(entry.model, entry.tag) is entry
    assert find_tag(entry.tag) is entry
    assert find_weights(entry.model, entry.tag.partition("/")[2]) is entry


@pytest.mark.parametrize("entry", of("timm") + of("torchvision"), ids=lambda entry: entry.tag)
def test_every_entry_is_found_by_what_stands_after_the_dot(entry):
    found = find_candidates(entry.model, entry.tag.rpartition(".")[2])
    assert [each for each in found if each.source != "google"] == [entry]


@pytest.mark.parametrize(
    ("model", "tag", "found"),
    [
        ("efficientnet_b0", "ra", "timm/efficientnet_b0.ra_in1k"),
        ("efficientnet_b5", "ra", "timm/tf_efficientnet_b5.ra_in1k"),
        ("efficientnet_b0", "ns_jft", "timm/tf_efficientnet_b0.ns_jft_in1k"),
        ("efficientnet_b0", "in1k", "timm/tf_efficientnet_b0.in1k"),
        ("efficientnet_b5", "sw_in12k", "timm/efficientnet_b5.sw_in12k"),
        ("efficientnet_b5", "sw_in12k_ft", "timm/efficientnet_b5.sw_in12k_ft_in1k"),
        ("efficientnet_b1", "v1", "torchvision/efficientnet_b1.imagenet1k_v1"),
        ("efficientnet_b0", "adv", "lukemelas/adv-efficientnet-b0"),
        ("ghostnet_100", "in1k", "timm/ghostnet_100.in1k"),
        ("ghostnet_100", "ghostnet_100", "huawei/ghostnet_100"),
        # a source: the best of its own
        ("efficientnet_b0", "torchvision", "torchvision/efficientnet_b0.imagenet1k_v1"),
        ("efficientnet_b1", "torchvision", "torchvision/efficientnet_b1.imagenet1k_v2"),
        ("efficientnet_b0", "timm", "timm/tf_efficientnet_b0.ns_jft_in1k"),
        ("efficientnet_b5", "timm", "timm/tf_efficientnet_b5.ns_jft_in1k"),
        ("ghostnet_100", "huawei", "huawei/ghostnet_100"),
        ("ghostnet_100", "timm", "timm/ghostnet_100.in1k"),
        # no published accuracy: the plain one, not the adversarial one
        ("efficientnet_b3", "lukemelas", "lukemelas/efficientnet-b3"),
        # the best without more data
        ("efficientnet_b0", "imagenet", "timm/efficientnet_b0.ra4_e3600_r224_in1k"),
        ("efficientnet_b5", "imagenet", "timm/tf_efficientnet_b5.ap_in1k"),
        ("ghostnet_100", "imagenet", "huawei/ghostnet_100"),
        ("efficientnetv2_s", "imagenet", "torchvision/efficientnet_v2_s.imagenet1k_v1"),
        ("efficientnetv2_b0", "imagenet", "timm/tf_efficientnetv2_b0.in1k"),
        ("ghostnetv3_100", "imagenet", "timm/ghostnetv3_100.in1k"),
        # what pip brings, though another is better
        ("efficientnet_lite0", "imagenet", "google/efficientnet_lite0.in1k"),
        ("efficientnet_lite1", "imagenet", "google/efficientnet_lite1.in1k"),
        ("efficientnet_lite0", "timm", "timm/efficientnet_lite0.ra_in1k"),
        ("efficientnet_l2", "ns_jft", "timm/tf_efficientnet_l2.ns_jft_in1k"),
    ],
)
def test_short_tags(model, tag, found):
    assert find_weights(model, tag).tag == found


@pytest.mark.parametrize(
    "model", [*EFFICIENTNETS, *EFFICIENTNETS_V2, "efficientnet_b8", "ghostnet_100", "repghostnet_100"]
)
def test_imagenet_is_the_best_that_saw_imagenet_alone(model):
    entry = find_weights(model, "imagenet")
    assert not entry.extra_data
    assert "jft" not in entry.tag
    assert "in12k" not in entry.tag
    assert "in21k" not in entry.tag
    assert entry.num_classes == 1000
    others = [other.top1_percent or 0 for other in list_weights(model) if not other.extra_data]
    assert entry.top1_percent == max(others)


@pytest.mark.parametrize(
    ("model", "tag"),
    [
        ("efficientnet_b0", "nothing"),
        ("efficientnet_b0", ""),
        ("efficientnet_b0", "."),
        ("efficientnet_b0", "v2"),
        ("efficientnet_b0", "huawei"),
        ("efficientnet_b0", "timm/efficientnet_b1.ft_in1k"),
        ("efficientnet_b0", "efficientnet_b0"),
        ("efficientnet_b0", "./ra_in1k"),
        ("ghostnet_100", "torchvision"),
        ("ghostnet_050", "imagenet"),
        ("ghostnet_thesis", "imagenet"),
        ("efficientnet_l2", "imagenet"),
        ("ghostnet_thesis", "timm"),
    ],
)
def test_what_is_no_tag_of_the_model(model, tag):
    assert find_weights(model, tag) is None


def test_find_tag_takes_whole_tags_only():
    assert find_tag("ra_in1k") is None
    assert find_tag("imagenet").tag == "google/efficientnet_lite0.in1k", "it ships"


def test_short_tags_of_what_ships():
    assert find_tag("cars196").tag == "lightcars/efficientnet_lite2.cars196"
    assert find_tag("cars196-ghostnet").tag == "lightcars/ghostnet_thesis.cars196"
    assert find_tag("cars196", ["ghostnet_thesis", "ghostnet_100"]).model == "ghostnet_thesis"
    assert find_tag("cars196", ["ghostnet_100"]) is None
    assert find_tag("efficientnet_lite0") is None, "the name of a model"
    assert find_weights("ghostnet_thesis", "cars196").tag == "lightcars/ghostnet_thesis.cars196"
    assert find_weights("efficientnet_lite2", "cars196").tag == "lightcars/efficientnet_lite2.cars196"
    assert find_weights("efficientnet_lite2", "cars196-ghostnet") is None


def test_list_weights():
    assert list_weights() == list(ENTRIES)
    assert {e.tag for model in MODELS for e in list_weights(model)} == {e.tag for e in ENTRIES}
    assert all(entry.model == "efficientnet_b1" for entry in list_weights("efficientnet_b1"))
    list_weights().clear()
    assert list_weights(), "the caller's list is the caller's"


def test_models_without_published_weights():
    assert {model for model in MODELS if not list_weights(model)} == set(WITHOUT_WEIGHTS)


@pytest.mark.parametrize("look", [list_weights, lambda name: find_weights(name, "imagenet")])
def test_unknown_model(look):
    with pytest.raises(UnknownModelError, match=r"efficentnet_b0.*Did you mean efficientnet_b0"):
        look("efficentnet_b0")


# What the error says


@pytest.mark.parametrize(
    ("model", "tag", "near"),
    [
        ("efficientnet_b0", "ra_in1", "ra_in1k"),
        ("efficientnet_b0", "ns_jf", "ns_jft"),
        ("efficientnet_b0", "timm/efficientnet_b0.ra_in", "timm/efficientnet_b0.ra_in1k"),
        ("efficientnet_b0", "advprop", "adv"),
        ("efficientnet_b0", "torchvison", "torchvision"),
        ("efficientnet_b0", "lukemela", "lukemelas"),
        ("efficientnet_b0", "imagenett", "imagenet"),
        ("ghostnet_100", "huawai", "huawei"),
    ],
)
def test_near_tags_are_named(model, tag, near):
    error = unknown_weights(model, tag)
    assert isinstance(error, UnknownWeightsError)
    hint = re.search(r"Did you mean (.*?)\? See", str(error))
    assert hint, str(error)
    assert near in hint[1].split(" or ")
    assert f"lightcars.list_weights({model!r})" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("model", [model for model in MODELS if list_weights(model)])
def test_hints_can_be_used(model):
    for tag in ("imagene", "tim", "in1", "timm/tf_efficientnet_b0", "imagenet1k"):
        hint = re.search(r"Did you mean (.*?)\? See", str(unknown_weights(model, tag)))
        names = hint[1].split(" or ") if hint else []
        assert len(set(names)) == len(names)
        assert all(find_weights(model, name) for name in names)


def test_nothing_near():
    message = str(unknown_weights("efficientnet_b0", "xyz\nxyz"))
    assert "Did you mean" not in message
    assert "\n" not in message


@pytest.mark.parametrize("model", WITHOUT_WEIGHTS)
def test_model_without_weights_says_so(model):
    message = str(unknown_weights(model, "imagenet"))
    assert message == (
        f"no published weights of {model} are known, so 'imagenet' cannot be found; give a folder or file."
    )


@pytest.mark.parametrize("model", ["ghostnet_thesis", "efficientnet_l2"])
def test_imagenet_is_suggested_only_where_there_is_one(model):
    message = str(unknown_weights(model, "imagenet"))
    assert message.startswith(f"{model} has no weights 'imagenet'")
    assert "Did you mean imagenet?" not in message


def timm_results() -> dict[tuple[str, int, float], tuple[float, float]]:
    """Rows of results-imagenet.csv of timm's repository at commit 7479d451."""
    with (Path(__file__).parent / "data" / "timm_results.csv").open() as file:
        return {
            (row["model"], int(row["img_size"]), float(row["crop_pct"])): (
                float(row["top1"]),
                float(row["top5"]),
            )
            for row in csv.DictReader(file)
        }


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.source == "timm"], ids=lambda e: e.tag)
def test_accuracies_are_timms_at_this_size_and_crop(entry):
    like = entry.preprocessing
    found = timm_results().get((entry.tag.removeprefix("timm/"), like.resolution, like.crop_fraction))
    assert (entry.top1_percent, entry.top5_percent) == (found or (None, None))
