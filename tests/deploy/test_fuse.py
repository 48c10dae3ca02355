"""`fuse`: what becomes of the layers, what the result can do, and what it refuses."""

import copy
import pickle
import threading

import pytest
import torch
import torch.nn.utils.prune
from torch import nn
from torch._subclasses import FakeTensorMode
from torchvision.ops import FrozenBatchNorm2d

import lightcars
from lightcars import count_flops, count_params, efficientnet, fuse, ghostnet
from lightcars.deploy import onednn
from lightcars.deploy.fused_layers import FusedBlock, FusedConv, FusedGhost, FusedSqueezeExcite
from lightcars.deploy.onednn import kernel
from lightcars.errors import CheckpointError, FusionError, LightcarsError
from lightcars.evaluation.activation_map import activation_map
from lightcars.layers import ConvNormAct, ConvStyle, DropPath, GhostModule
from lightcars.models.origin import WeightsOrigin
from lightcars.models.preprocessing import Preprocessing

needs_onednn = pytest.mark.skipif(not onednn.AVAILABLE, reason="this torch has no oneDNN")

SMALL = {
    "efficientnet": lambda **changes: efficientnet(width=0.25, depth=0.34, **changes),
    "same": lambda **changes: efficientnet(width=0.25, depth=0.34, padding="same", **changes),
    "ghostnet": lambda **changes: ghostnet(width=0.25, **changes),
    "thesis": lambda **changes: ghostnet("thesis", width=0.25, **changes),
}
every_form = pytest.mark.parametrize("form", SMALL)


@pytest.fixture
def small(randomize_norms):
    """A small model of that form with batch norms that do something."""
    return lambda form, **changes: randomize_norms(SMALL[form](**changes)).eval()


def close(ours, expected, tolerance=1e-5):
    """Equal to within `tolerance` of the largest value."""
    torch.testing.assert_close(ours, expected, atol=tolerance * float(expected.detach().abs().max()), rtol=0)


def folded(unit):
    """The FusedConv that a ConvNormAct becomes."""
    act = None if isinstance(unit.act, nn.Identity) else unit.act
    conv = nn.utils.fusion.fuse_conv_bn_eval(unit.conv, unit.norm)
    return FusedConv(conv, act, pads_same=unit.pads_same).requires_grad_(False)


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize(
    "activation", [nn.SiLU, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.Identity, nn.Tanh]
)
@pytest.mark.parametrize(
    ("kernel_size", "stride", "groups"),
    [(1, 1, 1), (1, 2, 1), (3, 1, 8), (3, 2, 1), (3, 2, 8), (5, 2, 8), (2, 2, 8)],
)
@torch.no_grad()
def test_a_unit_is_one_convolution(randomize_norms, padding, activation, kernel_size, stride, groups):
    style = ConvStyle(padding=padding, activation=activation)
    unit = ConvNormAct(8, 16, kernel_size=kernel_size, stride=stride, groups=groups, style=style)
    fused = folded(randomize_norms(unit).eval())
    run = kernel(fused)
    assert (run is fused) is (activation is nn.Tanh or not onednn.AVAILABLE)
    for shape in [(1, 8, 12, 12), (2, 8, 13, 10), (1, 8, 7, 13), (3, 8, 5, 5)]:
        x = torch.randn(shape)
        for y in (x, x.contiguous(memory_format=torch.channels_last), x[:, :, 1:, 1:]):
            expected = unit(y)
            close(fused(y), expected)
            close(run(y), expected)


@needs_onednn
@torch.no_grad()
def test_quick_functions_on_a_cpu_and_modules_elsewhere(small):
    fused = fuse(small("ghostnet"))
    called = []
    fused.blocks[1].register_forward_hook(lambda *_: called.append(1))
    x = torch.randn(1, 3, 40, 40)

    def modules_run(call):
        called.clear()
        call()
        return bool(called)

    assert not modules_run(lambda: fused(x))
    assert not modules_run(lambda: fused.features(x))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert modules_run(lambda: fused(mode.from_tensor(x)))
    assert modules_run(lambda: fused(x.clone().requires_grad_()))
    assert modules_run(lambda: copy.deepcopy(fused).double()(x.double()))
    assert modules_run(lambda: copy.deepcopy(fused).to("meta")(x.to("meta")))


@torch.no_grad()
def test_inputs_of_another_precision_are_refused(small):
    fused, x = fuse(small("ghostnet")), torch.randn(1, 3, 40, 40)
    for dtype in (torch.float64, torch.bfloat16):
        with pytest.raises(RuntimeError, match="should be the same"):
            fused(x.to(dtype))
        with pytest.raises(RuntimeError, match="should be the same"):
            copy.deepcopy(fused).to(dtype)(x)


@torch.no_grad()
def test_without_onednn_the_result_is_the_same(small, monkeypatch):
    model = small("efficientnet")
    x = torch.randn(2, 3, 48, 40)
    expected = fuse(model)(x)
    monkeypatch.setattr(onednn, "AVAILABLE", False)
    fused = fuse(model)
    close(fused(x), expected)
    assert fused._prepared is None


@pytest.mark.parametrize("out_channels", [7, 8, 10])
@pytest.mark.parametrize("ratio", [2, 3])
@torch.no_grad()
def test_ghosts_beyond_the_channels_are_cut(randomize_norms, out_channels, ratio):
    module = randomize_norms(GhostModule(6, out_channels, ratio=ratio)).eval()
    fused = FusedGhost(folded(module.primary), folded(module.cheap), out_channels=out_channels)
    x = torch.randn(2, 6, 9, 9)
    close(fused(x), module(x))
    close(kernel(fused)(x), module(x))


@every_form
def test_nothing_for_training_is_left(small, form):
    fused = fuse(small(form))
    inside = {type(module) for module in fused.modules()}
    gone = {nn.BatchNorm1d, nn.BatchNorm2d, nn.Dropout, DropPath, ConvNormAct}
    assert not inside & gone
    assert not [m for m in (*fused.stem.modules(), *fused.blocks.modules()) if isinstance(m, nn.Identity)]
    assert not any(module.training for module in fused.modules())
    assert not any(parameter.requires_grad for parameter in fused.parameters())
    assert not list(fused.buffers())
    for module in fused.modules():
        if isinstance(module, nn.Conv2d) and module.groups == 1:
            assert module.weight.is_contiguous(memory_format=torch.channels_last)


@every_form
@torch.no_grad()
def test_every_way_through_it_gives_what_the_model_gives(small, form):
    torch.manual_seed(1)  # with 0 the thesis form amplifies the rounding of float32 a hundredfold
    model = small(form, num_classes=7)
    fused = fuse(model)
    x = torch.randn(2, 3, 64, 48)
    last = model.forward_features(x)
    close(fused(x), model(x))
    close(fused.forward_features(x), last)
    close(fused.forward_head(last), model.forward_head(last))
    close(fused.forward_head(last, pre_logits=True), model.forward_head(last, pre_logits=True))
    assert fused.feature_info == model.feature_info
    maps = fused.features(x)
    before = [y.clone() for y in maps]
    for ours, expected in zip(maps, model.features(x), strict=True):
        close(ours, expected)
    fused(x)
    assert all(torch.equal(y, kept) for y, kept in zip(maps, before, strict=True))


@every_form
@torch.no_grad()
def test_the_input_is_not_written_to(small, form):
    fused = fuse(small(form))
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(2, 3, 40, 40).contiguous(memory_format=layout)
        kept = x.clone()
        fused(x)
        assert torch.equal(x, kept)
    y = fused.stem(x)
    for block in fused.blocks:
        kept = y.clone()
        z = block(y)
        close(kernel(block)(y), z)
        assert torch.equal(y, kept)
        y = z


@torch.no_grad()
def test_the_given_model_stays_as_it_was(small):
    model = small("ghostnet").train()
    model.blocks[0].eval()
    model.stem.register_forward_hook(lambda *_: None)
    state = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    fuse(model)(torch.randn(1, 3, 40, 40))
    assert modes == [module.training for module in model.modules()]
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert model.stem.conv.weight.is_contiguous()
    assert len(model.stem._forward_hooks) == 1


def test_nothing_is_shared_with_the_given_model(small):
    model = small("thesis")
    theirs = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    assert not theirs & {tensor.untyped_storage().data_ptr() for tensor in fuse(model).state_dict().values()}


def test_what_the_model_knows_goes_with_it(small):
    model = small("ghostnet", num_classes=2)
    model.origin = WeightsOrigin(weights="w", source="s", kept=1)
    model.preprocessing = Preprocessing(resolution=64, mean=(0.5,), std=(0.5,))
    model.classes = ("Audi", "BMW")
    fused = fuse(model)
    assert (fused.config, fused.origin, fused.classes) == (model.config, model.origin, model.classes)
    assert fused.preprocessing == model.preprocessing
    assert lightcars.transforms_for(fused)
    assert fused.fused
    assert not model.fused


@torch.no_grad()
def test_no_classes(small):
    model = small("thesis", num_classes=0)
    x = torch.randn(2, 3, 40, 40)
    close(fuse(model)(x), model(x))


def test_fusing_twice_changes_nothing(small):
    fused = fuse(small("efficientnet"))
    assert fuse(fused) is fused


@torch.no_grad()
def test_a_compiled_model_is_unwrapped(small):
    model = small("ghostnet")
    x = torch.randn(1, 3, 40, 40)
    close(fuse(torch.compile(model, backend="eager"))(x), model(x))


@torch.no_grad()
def test_fused_in_inference_mode_it_is_of_use_outside(small):
    model = small("efficientnet")
    x = torch.randn(1, 3, 40, 40)
    with torch.inference_mode():
        fused = fuse(model)
        expected = fused(x)
    torch.testing.assert_close(fused(x), expected)
    fused.load_state_dict(fused.state_dict())


@pytest.mark.parametrize("other", [nn.Conv2d(1, 1, 1), "ghostnet_100", None])
def test_other_things_are_refused(other):
    with pytest.raises(FusionError, match=rf"a model of lightcars, not a {type(other).__name__}\.$"):
        fuse(other)


def test_a_strange_layer_is_refused(small):
    model = small("ghostnet")
    model.blocks[2] = nn.Conv2d(1, 1, 1)
    with pytest.raises(FusionError, match=r"was changed: blocks\.2 is a Conv2d, not a GhostBottleneck\.$"):
        fuse(model)


@pytest.mark.parametrize(
    "change",
    [
        lambda unit: setattr(unit.conv, "padding_mode", "reflect"),
        lambda unit: setattr(unit.conv, "dilation", (2, 2)),
        lambda unit: setattr(unit, "norm", nn.GroupNorm(1, unit.norm.num_features)),
        lambda unit: setattr(unit, "norm", FrozenBatchNorm2d(unit.norm.num_features)),
        lambda unit: setattr(unit, "norm", nn.BatchNorm2d(unit.norm.num_features, track_running_stats=False)),
        lambda unit: setattr(unit, "norm", type("Norm", (nn.BatchNorm2d,), {})(unit.norm.num_features)),
        lambda unit: setattr(unit, "act", type("Act", (nn.ReLU,), {"forward": lambda _, x: x})()),
        lambda unit: setattr(unit, "act", nn.GELU()),
        lambda unit: setattr(unit.conv, "forward", lambda x: x),
        lambda unit: setattr(unit, "conv", StandardizedConv2d.of(unit.conv)),
    ],
    ids=["reflect", "dilated", "group", "frozen", "no statistics", "norm", "act", "gelu", "forward", "std"],
)
def test_what_was_changed_is_refused(small, change):
    """Each of them was folded into other outputs, or into an error of torch's."""
    model = small("ghostnet")
    change(model.stem)
    with pytest.raises(
        FusionError, match=r"^fuse and optimize know .* this model was changed: stem\.(conv|norm|act) .*\.$"
    ):
        fuse(model)
    with pytest.raises(FusionError, match="was changed"):
        lightcars.optimize(model)


class StandardizedConv2d(nn.Conv2d):
    """A subclass with a forward of its own, as timm's StdConv2d."""

    @classmethod
    def of(cls, conv: nn.Conv2d) -> "StandardizedConv2d":
        return cls(conv.in_channels, conv.out_channels, 3, stride=2, padding=1, bias=False)

    def forward(self, x):
        return self._conv_forward(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), None)


@pytest.mark.parametrize(
    "head",
    [
        lambda n: nn.Sequential(nn.Dropout(), nn.Linear(n, 3)),
        lambda _: nn.Identity(),
        lambda n: nn.Linear(n, 7),
    ],
    ids=["layers", "identity", "another width"],
)
@torch.no_grad()
def test_another_head_is_kept(small, head):
    model = small("ghostnet")
    model.classifier = head(model.config.head_channels).eval()
    x = torch.randn(2, 3, 64, 64)
    fused = fuse(model)
    close(fused(x), model(x))
    if isinstance(model.classifier, nn.Linear | nn.Identity):
        assert fused.config.num_classes == (7 if isinstance(model.classifier, nn.Linear) else 0)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda model: model.train(),
        lambda model: model.reset_classifier(3),
        lambda model: model.reset_parameters(),
        lambda model: model.gradient_checkpointing(),
    ],
)
def test_it_refuses_what_belongs_to_training(small, attempt):
    fused = fuse(small("ghostnet"))
    with pytest.raises(FusionError, match=r"^a fused model cannot .* fuse the result\.$") as error:
        attempt(fused)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, LightcarsError)
    assert fused.eval() is fused
    assert fused.train(False) is fused
    fused.gradient_checkpointing(False)


def test_it_is_no_checkpoint(small, tmp_path):
    fused = fuse(small("ghostnet"))
    with pytest.raises(CheckpointError, match="save the model that it was made from"):
        lightcars.save(fused, tmp_path / "model")
    with pytest.raises(CheckpointError, match="convert the model that it was made from"):
        lightcars.state_dict_for(fused, "timm")
    assert not (tmp_path / "model").exists()


@every_form
@torch.no_grad()
def test_copies_and_pickles(small, form):
    fused = fuse(small(form))
    x = torch.randn(1, 3, 40, 40)
    expected = fused(x)
    for again in (copy.deepcopy(fused), pickle.loads(pickle.dumps(fused))):
        torch.testing.assert_close(again(x), expected)
        for parameter in again.parameters():
            parameter.zero_()
    torch.testing.assert_close(fused(x), expected)


@torch.no_grad()
def test_weights_that_are_loaded_or_moved_are_used(small):
    fused, other = fuse(small("same")), fuse(small("same"))
    x = torch.randn(1, 3, 40, 40)
    expected = other(x)
    assert not torch.equal(fused(x), expected)
    fused.load_state_dict(other.state_dict())
    torch.testing.assert_close(fused(x), expected)
    assert fused.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16
    rounded = fused.to(torch.float32)(x)  # what was prepared before is of no use now
    assert not torch.equal(rounded, expected)
    torch.testing.assert_close(copy.deepcopy(fused)(x), rounded)


@every_form
def test_gradients_of_the_input(small, form):
    model = small(form).double()
    fused = fuse(model)
    x = torch.randn(2, 3, 40, 40, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(model(x).square().sum(), x)
    (gradient,) = torch.autograd.grad(fused(x).square().sum(), x)
    close(gradient, expected, 1e-9)


def test_squeeze_leaves_alone_what_a_gradient_needs():
    squeeze = FusedSqueezeExcite(nn.Linear(4, 2), nn.Linear(2, 4), act=nn.ReLU(), gate=nn.Sigmoid())
    x = torch.randn(1, 4, 5, 5, requires_grad=True)
    squeeze(x.relu()).sum().backward()  # relu's gradient needs its output
    assert x.grad is not None


@pytest.mark.parametrize("change", ["pruned", "parametrized"])
def test_a_weight_that_is_computed_is_refused(change):
    model = ghostnet(width=0.1, num_classes=5)
    conv = model.blocks[1].expand.primary.conv
    if change == "pruned":
        nn.utils.prune.l1_unstructured(conv, "weight", amount=0.5)
    else:
        nn.utils.parametrizations.weight_norm(conv)
    with pytest.raises(
        FusionError, match=r"blocks.1.expand.primary.conv is computed at each call .* a plain one first"
    ):
        fuse(model)


def test_an_activation_map(small):
    model = small("ghostnet", num_classes=5)
    image = torch.randn(3, 64, 64)
    torch.testing.assert_close(
        activation_map(fuse(model), image, 3), activation_map(model, image, 3), atol=1e-4, rtol=0
    )


@every_form
def test_it_is_counted(small, form):
    model = small(form)
    fused = fuse(model)
    norms = sum(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in model.modules())
    biases = sum(m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d))
    fused(torch.randn(1, 3, 40, 40))
    assert norms
    assert count_params(fused) == count_params(model) - biases
    assert count_flops(fused) == count_flops(model)
    assert count_flops(fused, engine="fvcore") == count_flops(model)


def test_on_meta():
    fused = fuse(ghostnet(width=0.25, device="meta"))
    assert fused(torch.empty(2, 3, 40, 40, device="meta")).shape == (2, 1000)


@every_form
@torch.no_grad()
def test_exports_as_plain_operators(small, form):
    program = torch.export.export(fuse(small(form)), (torch.randn(2, 3, 64, 72),))
    names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [name for name in names if "mkldnn" in name or "norm" in name or "dropout" in name]


@torch.no_grad()
def test_threads_may_share_it(small):
    fused = fuse(small("same"))
    x = torch.randn(1, 3, 40, 41)
    expected = copy.deepcopy(fused)(x)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(fused(x))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    for answer in answers:
        torch.testing.assert_close(answer, expected)


def test_blocks_of_both_families_are_of_one_kind(small):
    for form in SMALL:
        assert {type(block) for block in fuse(small(form)).blocks} == {FusedBlock}
