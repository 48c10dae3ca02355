"""What every registered model promises, in one body of tests that runs over all of them.

Most tests take the model a quarter as wide and, where the family scales its depth, with fewer blocks; shapes
and memory are tested at full size. `tests/contracts/models.py` says which models take part quickly.
"""

import copy
import math
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from lightcars.deploy import onednn
from lightcars.deploy.difference import largest_difference
from lightcars.deploy.formats import FORMATS
from lightcars.deploy.fuse import fuse
from lightcars.deploy.graphs import to_program
from lightcars.deploy.optimize import optimize
from lightcars.deploy.verification import TOLERANCES
from lightcars.errors import InputError
from lightcars.layers import DropPath, depthwise
from lightcars.layers import gradients as own_gradients
from lightcars.models.build import build_model
from lightcars.models.features import map_side
from lightcars.models.image_model import ImageModel
from lightcars.models.registry import MODELS
from lightcars.weights.checkpoint import load, save
from tests.contracts.models import (
    KINDS,
    all_at_once,
    every_kind,
    every_model,
    every_variant,
    first_families,
    full,
    images,
    quick,
)

SIZES = [(32, 32), (33, 47), (75, 61)]
needs_onednn = pytest.mark.skipif(not onednn.AVAILABLE, reason="this torch has no oneDNN")


def settled(model: ImageModel) -> ImageModel:
    """In evaluation mode with a batch's own statistics, so that no map vanishes or explodes."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(images(4, model.config.img_channels, 64, 64))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


def with_statistics(model: ImageModel) -> ImageModel:
    """In evaluation mode; batch norms have random scales and shifts, and a batch's statistics, varied.

    Fresh ones are the identity. Wholly random ones would make the deep models chaotic: their float32
    outputs would be far from their float64 ones, and nothing could be compared.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.detach().mul_(torch.empty_like(norm.weight).uniform_(0.5, 1.5))
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    settled(model)
    for norm in norms:
        norm.running_var.mul_(torch.empty_like(norm.running_var).uniform_(1, 1.5))
    return model


def gradients(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    torch.manual_seed(1)
    model.zero_grad()
    model(x).square().mean().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@all_at_once
def test_has_the_registered_number_of_parameters(variant):
    model = full(variant, device="meta")
    name = variant.partition("-")[0]
    assert sum(parameter.numel() for parameter in model.parameters()) == MODELS[name].num_params


@every_variant
def test_builds_ready_to_train(variant):
    model = full(variant)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


@all_at_once
def test_config_rebuilds_the_model(variant):
    model = quick(variant, num_classes=7, device="meta")
    again = build_model(pickle.loads(pickle.dumps(model.config)), device="meta")
    assert again.config == model.config
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }


@every_variant
def test_shapes_and_features_at_odd_sizes(variant):
    model = full(variant).eval()
    info = model.feature_info
    strides = [entry.stride for entry in info]
    assert strides == [strides[0] * 2**position for position in range(len(info))]
    assert strides[-1] == model.config.stem_stride * math.prod(model.config.block_strides)
    for height, width in SIZES:
        x = images(2, 3, height, width)
        with torch.no_grad():
            last = model.forward_features(x)
            maps = model.features(x)
            logits = model(x)
            vector = model.forward_head(last, pre_logits=True)
            assert torch.equal(model.forward_head(last), logits)
            if isinstance(model.classifier, nn.Linear):
                assert torch.equal(model.classifier(vector), logits)
        assert logits.shape == (2, 1000)
        assert logits.isfinite().all()
        assert vector.shape == (2, model.config.head_channels)
        sizes = [tuple(map_side(model.config, side, entry) for side in (height, width)) for entry in info]
        assert last.shape[2:] == sizes[-1]
        assert [tuple(y.shape) for y in maps] == [
            (2, entry.channels, *size) for entry, size in zip(info, sizes, strict=True)
        ]


@every_model
def test_features_are_what_the_blocks_give(variant):
    model = quick(variant).eval()
    x = images(2, 3, 64, 48)
    y, last_of_each_size = model.stem(x), {}
    for block in model.blocks:
        y = block(y)
        last_of_each_size[tuple(y.shape[2:])] = y
    for ours, expected in zip(model.features(x), last_of_each_size.values(), strict=True):
        assert torch.equal(ours, expected)


@every_model
def test_evaluation_treats_images_one_by_one(variant):
    model = settled(quick(variant)).double()  # in float32, rounding is amplified by deep narrow models
    x = images(3, 3, 48, 48).double()
    with torch.no_grad():
        together = model(x)
        alone = torch.cat([model(image[None]) for image in x])
    own = together.std(0) > 0
    rectified = isinstance(model.classifier, nn.Conv2d)  # then some logits are 0 for all images
    assert own.any() if rectified else own.all(), "each image gets its own logits"
    torch.testing.assert_close(together, alone)


@every_model
@pytest.mark.parametrize("img_channels", [1, 4])
def test_other_numbers_of_channels(variant, img_channels):
    model = quick(variant, img_channels=img_channels)
    assert model(images(2, img_channels, 40, 40)).shape == (2, 1000)
    wrong = 3 if img_channels == 1 else 1
    for call in (model, model.features, model.forward_features):
        with pytest.raises(InputError, match=rf"\(N, {img_channels}, H, W\), not \(2, {wrong}, 40, 40\)"):
            call(images(2, wrong, 40, 40))


@every_model
@pytest.mark.parametrize("shape", [(3, 40, 40), (40, 40), (1, 2, 3, 40, 40)])
def test_other_numbers_of_axes_are_refused(variant, shape):
    with pytest.raises(InputError, match=r"\(N, 3, H, W\)"):
        quick(variant, device="meta")(torch.empty(shape, device="meta"))


@every_model
def test_reset_classifier(variant):
    model = quick(variant, num_classes=5).eval().to(torch.float64)
    x = images(2, 3, 40, 40).double()
    vector = model.forward_head(model.forward_features(x), pre_logits=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.reset_classifier(7)
    assert model.config.num_classes == 7
    assert not model.training
    assert not any(module.training for module in model.modules())
    assert model.classifier.weight.dtype == torch.float64
    assert model.classifier.weight.requires_grad
    assert model(x).shape == (2, 7)
    after = model.state_dict()
    kept = {name for name in before if not name.startswith("classifier")}
    assert all(torch.equal(after[name], before[name]) for name in kept)

    model.train().reset_classifier(0)
    assert model.training
    assert model.classifier.training
    assert not list(model.classifier.parameters())
    assert torch.equal(model.eval()(x), vector)

    model.reset_classifier(3)
    assert model(x).shape == (2, 3)


@all_at_once
def test_reset_classifier_stays_on_the_models_device(variant):
    model = quick(variant, device="meta")
    model.reset_classifier(3)
    assert model.classifier.weight.device.type == "meta"


@every_model
def test_no_classes_give_the_vector(variant):
    model = quick(variant, num_classes=0).eval()
    assert model(images(2, 3, 40, 40)).shape == (2, model.config.head_channels)


@every_model
def test_every_parameter_learns(variant):
    """None is unused, and none gets a gradient that is not a number."""
    model = quick(variant, num_classes=5)
    model(images(4, 3, 64, 64)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@every_kind
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
def test_gradients_are_those_of_torchs_own_operations(variant, layout, monkeypatch):
    monkeypatch.setattr(depthwise, "_HAS_FAST_KERNELS", True)
    model = quick(variant, num_classes=5)
    x = images(4, 3, 64, 64).contiguous(memory_format=layout)
    ours = gradients(model, x)
    monkeypatch.setattr(depthwise, "_HAS_FAST_KERNELS", False)
    monkeypatch.setattr(own_gradients, "trains_eagerly", lambda _: False)
    torchs = gradients(model, x)
    largest = max(float(gradient.abs().max()) for gradient in torchs.values())
    for name, gradient in torchs.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-5 * largest, rtol=1e-3)


@every_model
def test_gradient_checkpointing_gives_the_same_gradients(variant):
    model = quick(variant, num_classes=5)
    x = images(4, 3, 64, 64)
    plain = gradients(model, x)
    model.gradient_checkpointing()
    recomputed = gradients(model, x)
    model.gradient_checkpointing(False)
    assert not model.blocks.recompute
    for name, gradient in plain.items():
        assert torch.equal(gradient, recomputed[name]), name


@every_model
def test_gradient_checkpointing_gives_the_same_statistics(variant):
    plain = quick(variant, num_classes=5)
    recomputing = copy.deepcopy(plain)
    recomputing.gradient_checkpointing()
    x = images(4, 3, 64, 64)
    gradients(plain, x)
    gradients(recomputing, x)
    for (name, ours), theirs in zip(recomputing.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs), name


def exports(model: ImageModel) -> None:
    least = model.min_dynamic_resolution
    sides = {0: Dim("batch", min=1, max=64), 2: Dim("height", min=least), 3: Dim("width", min=least)}
    example = (64, 72) if least == 33 else (160, 168)
    program = torch.export.export(model, (images(2, 3, *example),), dynamic_shapes=(sides,)).module()
    for shape in [
        (2, 3, *example),
        (1, 3, *example),
        (3, 3, least, least + 14),
        (1, 3, least + 42, least + 28),
    ]:
        x = images(*shape)
        torch.testing.assert_close(program(x), model(x))


def compiles(model: ImageModel) -> None:
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    x = images(2, 3, 33, 47)
    torch.testing.assert_close(compiled(x), model(x))


@first_families
@torch.no_grad()
def test_exports_with_any_batch_and_size(variant):
    exports(quick(variant).eval())


@first_families
@torch.no_grad()
def test_compiles_without_a_break(variant):
    compiles(quick(variant).eval())


@pytest.mark.slow
@every_variant
@torch.no_grad()
def test_full_size_exports_and_compiles(variant):
    for model in (full(variant).eval(), fuse(with_statistics(full(variant)))):
        exports(model)
        compiles(model)


def exported_equals_eager(model: ImageModel, folder: Path, *, resolution: int | None) -> None:
    """For each engine that everybody has; ExecuTorch has its own test."""
    shapes = [(1, 3, 64, 64), (3, 3, 64, 64)]
    if resolution is None:
        least = model.min_dynamic_resolution
        shapes = [(*shape[:2], *(max(side, least) for side in shape[2:])) for shape in shapes]
        shapes += [(1, 3, least, least + 14), (2, 3, least + 42, least + 28), (1, 3, 128, least + 17)]
    program = to_program(model, resolution=resolution)
    for name in ("onnx", "openvino", "torch-export"):
        artifact, path = FORMATS[name].artifact, folder / f"model{FORMATS[name].suffix}"
        artifact.write(program, path, {})
        assert largest_difference(model, artifact.run(path), shapes) <= TOLERANCES["fp32"], name


@first_families
def test_exported_equals_eager(variant, tmp_path):
    pytest.importorskip("onnx", reason="the deploy extra needs the newest torch")
    exported_equals_eager(settled(quick(variant)), tmp_path, resolution=None)


@pytest.mark.slow
@every_variant
def test_every_variant_exported_equals_eager(variant, tmp_path):
    exported_equals_eager(settled(quick(variant)), tmp_path, resolution=64)


@torch.no_grad()
def optimized_equals_eager(model: ImageModel, engine: str) -> None:
    """In the batch and size that were asked for, and in others."""
    fast = optimize(model, 2, resolution=64, engine=engine, precision="fp32")
    for shape in [(2, 3, 64, 64), (3, 3, 64, 64), (1, 3, 75, 61)]:
        x = images(*shape)
        expected = model(x)
        tolerance = TOLERANCES["fp32"] * float(expected.abs().max())
        torch.testing.assert_close(fast(x), expected, atol=tolerance, rtol=0)


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path))


@every_variant
@pytest.mark.usefixtures("no_cache")
def test_optimized_equals_eager(variant):
    optimized_equals_eager(settled(quick(variant)), "torch")


@pytest.mark.slow
@every_kind
@pytest.mark.usefixtures("no_cache")
def test_compiled_by_inductor_equals_eager(variant):
    optimized_equals_eager(settled(quick(variant)), "compile")


@pytest.mark.slow
@every_variant
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.usefixtures("no_cache")
def test_optimized_for_every_engine_equals_eager(variant, engine):
    optimized_equals_eager(settled(quick(variant)), engine)


@pytest.mark.parametrize("variant", [KINDS[0], *(pytest.param(v, marks=pytest.mark.slow) for v in KINDS[1:])])
def test_training_compiles_without_a_break(variant):
    model = quick(variant, num_classes=5)
    for module in model.modules():
        if isinstance(module, nn.Dropout | DropPath):
            module.eval()
    x = images(4, 3, 64, 64)
    plain = gradients(model, x)
    torch.compiler.reset()
    gradients(torch.compile(model, fullgraph=True, backend="eager"), x)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, plain[name])


def fused_equals_eager(model: ImageModel) -> None:
    """To 1e-5 of the largest logit, in logits that depend on the image."""
    fused = fuse(model)
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in fused.modules())
    for shape in [(2, 3, 64, 72), (1, 3, 75, 61)]:
        x = images(*shape)
        expected = model(x)
        largest = expected.abs().max()
        assert shape[0] == 1 or expected.std(0).max() > 1e-3 * largest
        torch.testing.assert_close(fused(x), expected, atol=1e-5 * float(largest), rtol=0)


@every_variant
@torch.no_grad()
def test_fused_equals_eager(variant):
    fused_equals_eager(with_statistics(full(variant)))


@needs_onednn
@every_kind
@torch.no_grad()
def test_the_quick_path_takes_every_layer(variant):
    """On a CPU a fused model's layers run as plain functions; one that oneDNN lacks would run as a module."""
    fused = fuse(settled(quick(variant)))
    called = []
    for part in ("stem", "blocks", "head"):
        for name, module in fused.get_submodule(part).named_modules(prefix=part):
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(lambda *_, name=name: called.append(name))
    fused(images(1, 3, 64, 72))
    assert called == [], "an activation or a layer that lightcars.deploy.onednn does not know"


@every_model
@torch.no_grad()
def test_folding_is_exact_in_double_precision(variant):
    model = with_statistics(quick(variant)).double()
    x = images(2, 3, 48, 40).double()
    expected = model(x)
    torch.testing.assert_close(fuse(model)(x), expected, atol=1e-12 * float(expected.abs().max()), rtol=0)


@first_families
@torch.no_grad()
def test_fused_model_exports_and_compiles(variant):
    fused = fuse(with_statistics(quick(variant)))
    exports(fused)
    compiles(fused)


@every_variant
def test_checkpoint_gives_back_the_model(variant, tmp_path):
    model = settled(quick(variant, num_classes=5))
    x = images(2, 3, 48, 40)
    again = load(save(model, tmp_path))
    assert type(again) is type(model)
    assert again.config == model.config
    assert not again.training
    expected = model.state_dict()
    assert again.state_dict().keys() == expected.keys()
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    torch.testing.assert_close(again(x), model(x))  # equal weights, but kernels vary with their alignment


@every_model
def test_building_on_meta_takes_no_memory(variant, no_real_memory):
    with no_real_memory(limit_bytes=1024):
        model = full(variant, device="meta")
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}
    assert model.eval()(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 1000)


@every_model
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_equal_and_apart(variant, copied):
    model = quick(variant).eval()
    twin = copied(model)
    x = images(2, 3, 40, 40)
    assert twin.config == model.config
    assert torch.equal(twin(x), model(x))
    with torch.no_grad():
        twin.stem.conv.weight.zero_()
    assert model.stem.conv.weight.any()


@every_model
def test_the_seed_determines_the_weights(variant):
    torch.manual_seed(5)
    first = quick(variant).state_dict()
    torch.manual_seed(5)
    second = quick(variant).state_dict()
    torch.manual_seed(6)
    other = quick(variant).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["stem.conv.weight"], other["stem.conv.weight"])


@every_variant
def test_channels_last_and_low_precision(variant):
    model = settled(quick(variant))
    x = images(2, 3, 48, 40)
    expected = model(x)
    model.to(memory_format=torch.channels_last)
    y = model(x.to(memory_format=torch.channels_last))
    tolerance = TOLERANCES["fp32"] * expected.abs().max().item()
    torch.testing.assert_close(y, expected, atol=tolerance, rtol=1e-4)
    model.to(torch.bfloat16)
    low = model(x.bfloat16())
    assert low.dtype == torch.bfloat16
    error = (low.float() - expected).abs().mean() / expected.abs().mean()
    assert error < 0.4  # of unrelated logits it is about 1.4


@all_at_once
def test_names_of_the_parts_are_the_same_in_all_families(variant):
    model = quick(variant, device="meta")
    children = [name for name, _ in model.named_children()]
    assert children == ["stem", "blocks", "head", "pool", "neck", "dropout", "classifier"]
    assert model.dropout.p == model.config.dropout
