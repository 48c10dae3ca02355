"""What every registered model promises to other makers' tools: tracers, counters, quantizers, hooks.

The models are a quarter as wide and, where the family scales its depth, have fewer blocks.
"""

import copy
import importlib
import multiprocessing
import operator
import pickle
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim.swa_utils import AveragedModel, update_bn
from torchvision.models.feature_extraction import create_feature_extractor

from lightcars.counters.flops import count_flops
from lightcars.counters.params import count_params
from lightcars.errors import CheckpointError
from lightcars.weights.checkpoint import load, save
from tests.contracts.models import (
    dropping,
    every_kind,
    every_model,
    every_variant,
    full,
    images,
    quick,
)

EVERY = 11
"""So many passes, each with hooks on every such module: all have one once, and neighbors without."""


# Layers


@every_model
def test_layers_are_torchs_own_by_exact_type(variant):
    """What holds parameters or buffers; quantizers, counters and pruning look for nothing else."""
    model = full(variant, device="meta")
    for path, module in model.named_modules():
        tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        if tensors:
            assert type(module).__module__.startswith("torch.nn."), (path, type(module))
    kinds = {type(module) for module in model.modules()}
    assert {nn.Conv2d, nn.Dropout, type(model.classifier)} <= kinds
    assert type(model.classifier) in {nn.Linear, nn.Conv2d}
    activations = [
        module
        for module in model.modules()
        if isinstance(module, nn.ReLU | nn.ReLU6 | nn.SiLU | nn.Hardswish)
    ]
    assert activations
    assert not any(module.inplace for module in activations)


@pytest.mark.parametrize("grad", [False, True], ids=["inference", "with gradients"])
@every_model
def test_hooks_see_the_output_of_their_layer(variant, grad):
    """Nothing writes into a map that a hook keeps, whether the layers around it have hooks or not."""
    model = quick(variant).eval()
    x = images(1, 3, 32, 32)
    modules = list(model.modules())
    with torch.set_grad_enabled(grad):
        for first in range(EVERY):
            kept: list[tuple[Tensor, Tensor, str]] = []

            def keep(module, inputs, output, kept=kept):
                kept.extend((tensor, tensor.clone(), repr(module)) for tensor in (*inputs, output))

            handles = [module.register_forward_hook(keep) for module in modules[first::EVERY]]
            model(x)
            for handle in handles:
                handle.remove()
            assert kept
            for tensor, copied, shown in kept:
                assert torch.equal(tensor, copied), shown


@every_model
@torch.no_grad()
def test_hooks_change_no_output(variant):
    model = quick(variant).eval()
    x = images(2, 3, 48, 40)
    expected = model(x)
    for module in model.modules():
        module.register_forward_hook(lambda *_: None)
    assert torch.equal(model(x), expected)


@every_model
@torch.no_grad()
def test_fresh_logits_are_of_order_one(variant):
    """In evaluation mode, where fresh batch norms change nothing."""
    for seed in range(3):
        torch.manual_seed(seed)
        largest = float(full(variant).eval()(images(2, 3, 64, 64)).abs().max())
        assert 0 < largest < 10


# Tracers


@every_variant
def test_torch_fx_traces_for_any_size(variant):
    model = quick(variant).eval()
    traced = torch.fx.symbolic_trace(model)
    for shape in [(2, 3, 64, 48), (1, 3, 75, 61)]:
        x = images(*shape)
        assert torch.equal(traced(x), model(x))


@every_model
def test_torch_fx_traces_in_training_mode(variant):
    model = quick(variant, **dropping(variant, 0.3))
    traced = torch.fx.symbolic_trace(model)
    x = images(4, 3, 64, 64)
    torch.manual_seed(1)
    expected = model(x)
    torch.manual_seed(1)
    torch.testing.assert_close(traced(x), expected)


@every_variant
def test_torchvisions_feature_extractor_gives_the_maps(variant):
    model = quick(variant)
    nodes = {f"blocks.{info.block}": str(info.stride) for info in model.feature_info}
    extractor = create_feature_extractor(model, nodes).eval()
    model.eval()
    x = images(2, 3, 75, 61)
    for found, expected in zip(extractor(x).values(), model.features(x), strict=True):
        assert torch.equal(found, expected)
    extractor.train()(images(2, 3, 64, 64))


@every_variant
def test_jit_trace_equals_eager(variant):
    """Also outside of `no_grad`, and without a warning of the tracer."""
    model = quick(variant).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        traced = torch.jit.trace(model, images(2, 3, 64, 64))
    for shape in [(2, 3, 64, 64), (1, 3, 75, 61)]:
        x = images(*shape)
        torch.testing.assert_close(traced(x), model(x))


# Ambient settings


@every_model
def test_the_default_device_is_respected(variant):
    with torch.device("meta"):
        inside = quick(variant)
        inside.reset_classifier(3)
    torch.set_default_device("meta")
    try:
        default, named = quick(variant), quick(variant, device="cpu")
    finally:
        torch.set_default_device(None)
    for model, device in [(inside, "meta"), (default, "meta"), (named, "cpu"), (quick(variant), "cpu")]:
        assert {tensor.device.type for tensor in model.state_dict().values()} == {device}


@every_model
def test_the_default_dtype_is_respected(variant):
    torch.set_default_dtype(torch.float64)
    try:
        model = quick(variant).eval()
        model.reset_classifier(3)
        y = model(images(1, 3, 48, 48))
    finally:
        torch.set_default_dtype(torch.float32)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    assert y.dtype == torch.float64


@every_model
def test_fake_tensors(variant):
    with FakeTensorMode():
        model = quick(variant, num_classes=7).eval()
        assert model(torch.empty(2, 3, 64, 64)).shape == (2, 7)
        model.train()(torch.empty(2, 3, 64, 64)).sum().backward()


# Functions and copies


@every_model
def test_functional_call(variant):
    model, other = quick(variant).eval(), quick(variant).eval()
    x = images(2, 3, 48, 40)
    state = {**dict(other.named_parameters()), **dict(other.named_buffers())}
    assert torch.equal(torch.func.functional_call(model, state, (x,)), other(x))


@every_model
def test_functional_call_in_training_has_gradients(variant):
    model = quick(variant, **dropping(variant, 0.0))
    parameters = {key: tensor.detach().clone().requires_grad_() for key, tensor in model.named_parameters()}
    x = images(4, 3, 64, 64)
    torch.func.functional_call(copy.deepcopy(model), parameters, (x,)).square().mean().backward()
    model(x).square().mean().backward()
    for key, parameter in model.named_parameters():
        torch.testing.assert_close(parameters[key].grad, parameter.grad)


@every_model
def test_the_average_of_weights(variant):
    model = quick(variant)
    average = AveragedModel(model)
    average.update_parameters(model)
    x = images(2, 3, 48, 40)
    assert torch.equal(average.eval()(x), model.eval()(x))


@every_kind
def test_stochastic_weight_averaging(variant):
    """The average gets batch statistics of its own by torch's `update_bn`."""
    model = quick(variant)
    average = AveragedModel(model)
    average.update_parameters(model)
    before = {key: tensor.clone() for key, tensor in average.module.named_buffers()}
    update_bn([images(4, 3, 48, 40)], average)
    changed = [key for key, tensor in average.module.named_buffers() if not torch.equal(tensor, before[key])]
    assert len(changed) >= sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert average.eval()(images(2, 3, 48, 40)).isfinite().all()


@pytest.fixture(scope="module")
def spawned():
    """One process for all models: starting it takes as long as importing torch."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


@every_model
def test_a_model_goes_to_a_spawned_process(variant, spawned):
    """As `DataLoader` workers on Windows and macOS, and `torch.multiprocessing`, get it."""
    model = quick(variant).eval().requires_grad_(False)
    x = images(1, 3, 32, 32)
    content = spawned.apply(operator.call, (pickle.loads(pickle.dumps(model)), x))
    torch.testing.assert_close(content, model(x))


@every_model
def test_a_replaced_head_is_saved_or_refused(variant, tmp_path):
    model = quick(variant, num_classes=7).eval()
    width = model.config.head_channels
    kind = type(model.classifier)
    head = nn.Linear(width, 3) if kind is nn.Linear else nn.Conv2d(width, 3, 1)
    model.classifier = head
    x = images(2, 3, 48, 40)
    torch.testing.assert_close(load(save(model, tmp_path / "linear"))(x), model(x))
    model.classifier = nn.Sequential(nn.Dropout(), head)
    with pytest.raises(CheckpointError, match=f"classifier is a Sequential, not a {kind.__name__}"):
        save(model, tmp_path / "layers")


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("group") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@every_kind
@pytest.mark.skipif(torch.__version__ < "2.7", reason="torch 2.6 shards on GPUs only")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_fsdp2_shards_blocks_and_model(variant, one_process):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    model = quick(variant, **dropping(variant, 0.0))
    plain = copy.deepcopy(model)
    mesh = init_device_mesh("cpu", (1,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert all(isinstance(parameter, DTensor) for parameter in model.parameters())
    assert count_params(model) == count_params(plain)
    assert count_flops(model, 64) == count_flops(plain, 64)
    x = images(4, 3, 64, 64)
    model(x).square().mean().backward()
    plain(x).square().mean().backward()
    for (key, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.full_tensor(), theirs.grad, msg=key)


@every_kind
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_distributed_data_parallel_finds_every_gradient(variant, one_process):
    for module in (quick(variant), quick(variant).backbone(out_indices=(1, -1))):
        wrapped = nn.parallel.DistributedDataParallel(module)
        for _ in range(2):  # the second pass raises where the first left a parameter without a gradient
            y = wrapped(images(4, 3, 64, 64))
            sum(one.square().mean() for one in (y if isinstance(y, list) else [y])).backward()


# Quantizers, pruning and counters


@every_model
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_dynamic_quantization_finds_the_layers(variant):
    from torch.ao.quantization import quantize_dynamic

    model = quick(variant).eval()
    linear = [path for path, module in model.named_modules() if type(module) is nn.Linear]
    quantized = quantize_dynamic(model, {nn.Linear})
    assert all("quantized" in type(quantized.get_submodule(path)).__module__ for path in linear)
    x = images(1, 3, 48, 48)
    torch.testing.assert_close(quantized(x), model(x), atol=0.05, rtol=0.05)


@every_model
def test_pruned_layers_are_used_in_training(variant):
    """Pruning attaches a hook that computes the weight at each call of its layer."""
    from torch.nn.utils import prune

    model = quick(variant)
    for module in model.modules():
        if type(module) is nn.Conv2d:
            prune.random_unstructured(module, "weight", amount=0.5)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("weight_orig"):
                parameter.mul_(2)
    calls = model(images(4, 3, 64, 64))
    calls.sum().backward()
    for module in model.modules():
        if type(module) is nn.Conv2d:
            assert torch.equal(module.weight, module.weight_orig * module.weight_mask)
            assert module.weight_orig.grad is not None


@every_model
def test_thop_counts_the_same(variant):
    thop = pytest.importorskip("thop")
    model = full(variant).eval()
    zero = {nn.BatchNorm2d: None, nn.BatchNorm1d: None, nn.AdaptiveAvgPool2d: None}
    zero = dict.fromkeys(zero, lambda module, _x, _y: None)
    macs, params = thop.profile(model, (images(1, 3, 64, 64),), custom_ops=zero, verbose=False)
    assert macs == count_flops(full(variant), 64)
    assert params == count_params(full(variant))


@every_model
def test_ptflops_finds_the_layers(variant):
    ptflops = pytest.importorskip("ptflops")
    model = full(variant).eval()
    ignored = [type(module) for module in model.modules() if not isinstance(module, nn.Conv2d | nn.Linear)]
    leaves = [kind for kind in ignored if kind.__module__.startswith("torch.nn.modules")]
    macs, params = ptflops.get_model_complexity_info(
        model,
        (3, 64, 64),
        as_strings=False,
        print_per_layer_stat=False,
        ignore_modules=[kind for kind in leaves if kind is not nn.Sequential],
        backend="pytorch",
    )
    assert params == count_params(full(variant))
    assert macs == pytest.approx(count_flops(full(variant), 64), rel=0.02)


@every_model
def test_torchinfo_finds_the_layers(variant):
    torchinfo = pytest.importorskip("torchinfo")
    model = full(variant).eval()
    found = torchinfo.summary(model, (1, 3, 64, 64), verbose=0)
    assert found.total_params == count_params(full(variant))
    layers = [entry for entry in found.summary_list if isinstance(entry.module, nn.Conv2d | nn.Linear)]
    macs = sum(entry.macs for entry in layers)
    assert macs == pytest.approx(count_flops(full(variant), 64), rel=0.01)


@every_model
def test_pt2e_quantizes_the_convolutions(variant):
    quantizers = pytest.importorskip("torchao.quantization.pt2e.quantizer.x86_inductor_quantizer")
    prepare = importlib.import_module("torchao.quantization.pt2e.quantize_pt2e")
    model = quick(variant).eval()
    x = (images(1, 3, 64, 64),)
    quantizer = quantizers.X86InductorQuantizer()
    quantizer.set_global(quantizers.get_default_x86_inductor_quantization_config())
    prepared = prepare.prepare_pt2e(torch.export.export(model, x).module(), quantizer)
    prepared(*x)
    nodes = prepare.convert_pt2e(prepared).graph.nodes
    quantized = [node for node in nodes if "quantize_per_tensor" in str(node.target)]
    convolutions = [module for module in model.modules() if type(module) is nn.Conv2d]
    assert len(quantized) >= len(convolutions)
