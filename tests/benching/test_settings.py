"""BenchSettings and what is measured with them here."""

import sys
from dataclasses import replace

import pytest
import torch
from PIL import Image

from lightcars import BenchSettings, fuse, ghostnet
from lightcars.benching.cases import available_kinds, plan
from lightcars.deploy import cpu
from lightcars.deploy.runners import ENGINES, EngineEntry
from lightcars.errors import (
    ConfigError,
    DataError,
    DeviceError,
    InputError,
    MissingExtraError,
    OptimizationError,
)
from lightcars.models.preprocessing import Preprocessing

MISTAKES = {
    "misspelt engine": (
        {"engines": ("compil",)},
        "no engine 'compil'. Did you mean compile? Choose",
    ),
    "misspelt precision": (
        {"precisions": ("bf61",)},
        "no precision 'bf61'. Did you mean bf16? Choose",
    ),
    "no engine": ({"engines": ()}, "give at least one engine"),
    "no tuple": ({"engines": "torch"}, "give at least one engine, in a tuple, not 'torch'"),
    "one number": ({"batches": 16}, "give at least one batch, in a tuple, not 16"),
    "batch 0": ({"batches": (1, 0)}, "batch must be a whole number of at least 1, not 0"),
    "batch twice": ({"batches": (1, 4, 1)}, "each batch is measured once, but 1, 4, 1 repeats one"),
    "resolution": ({"resolution": 31}, "resolution must be a whole number of at least 32, not 31"),
    "threads": ({"threads": 0}, "threads must be a whole number of at least 1, not 0"),
    "seconds": ({"seconds": 0}, "seconds must be a positive number up to 3600, not 0"),
    "training in engines": ({"train": True, "engines": ("torch",)}, "training steps are measured in PyTorch"),
}


@pytest.mark.parametrize(("settings", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(settings, message):
    with pytest.raises(ConfigError, match=r"^[^\n]+$") as caught:
        BenchSettings(**settings)
    assert message in str(caught.value)


@pytest.fixture(autouse=True)
def bf16(monkeypatch):
    """Sets whether the CPU supports it; by default it does."""

    def has(possible: bool) -> None:
        monkeypatch.setattr(cpu, "has_bf16", lambda: possible)

    has(True)
    return has


@pytest.fixture(autouse=True)
def three_engines(monkeypatch):
    """Two that are installed wherever torch is, and one that is not."""
    entries = (
        EngineEntry(name="torch", module="pytorch", packages=("torch",), on_gpu=True),
        EngineEntry(name="compile", module="compiled", packages=("torch",), on_gpu=True, in_auto=False),
        EngineEntry(name="torchvision", module="x", packages=("torchvision",), precisions=("fp32",)),
        EngineEntry(name="nowhere", module="x", packages=("lightcars_nowhere",)),
    )
    before = dict(ENGINES)
    ENGINES.clear()
    ENGINES.update({entry.name: entry for entry in entries})
    yield
    ENGINES.clear()
    ENGINES.update(before)


def test_by_default_all_installed_engines_in_all_supported_precisions(bf16):
    assert available_kinds(BenchSettings()) == [
        ("eager", "fp32", None),
        ("eager", "bf16", None),
        ("torch", "fp32", None),
        ("torch", "bf16", None),
        ("torchvision", "fp32", None),
    ]
    bf16(False)
    assert [kind[:2] for kind in available_kinds(BenchSettings())] == [
        ("eager", "fp32"),
        ("torch", "fp32"),
        ("torchvision", "fp32"),
    ]


def test_what_is_named():
    settings = BenchSettings(engines=("compile", "eager"), precisions=("bf16",))
    assert available_kinds(settings) == [("compile", "bf16", None), ("eager", "bf16", None)]
    unnamed = available_kinds(BenchSettings(precisions=("bf16",)))
    assert [engine for engine, _, _ in unnamed] == ["eager", "torch"], "torchvision has no bf16: left out"


def test_training_steps(bf16):
    assert available_kinds(BenchSettings(train=True)) == [
        ("eager", "fp32", "contiguous"),
        ("eager", "fp32", "channels_last"),
        ("eager", "bf16", "contiguous"),
        ("eager", "bf16", "channels_last"),
    ]
    bf16(False)
    assert len(available_kinds(BenchSettings(train=True))) == 2


def test_what_this_machine_cannot_do(bf16, monkeypatch):
    with pytest.raises(MissingExtraError, match=r"pip install 'lightcars\[deploy\]'"):
        available_kinds(BenchSettings(engines=("nowhere",)))
    with pytest.raises(ConfigError, match="torchvision does not support bf16; choose fp32, or another"):
        available_kinds(BenchSettings(engines=("torch", "torchvision"), precisions=("bf16",)))
    with pytest.raises(ConfigError, match="threads must be at most "):
        available_kinds(BenchSettings(threads=100_000))
    with pytest.raises(DeviceError, match="'tpu' is not a device"):
        available_kinds(BenchSettings(device="tpu"))
    with pytest.raises(ConfigError, match="bench measures on cpu and cuda, not on meta"):
        available_kinds(BenchSettings(device="meta"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no CUDA device"):
        available_kinds(BenchSettings(device="cuda"))
    bf16(False)
    with pytest.raises(OptimizationError, match="this device does not support bf16; choose fp32"):
        available_kinds(BenchSettings(precisions=("fp32", "bf16")))


def test_int8_is_measured_where_it_is_calibrated(tmp_path, tiny, monkeypatch):
    ENGINES["small"] = EngineEntry(name="small", module="x", packages=("torch",), precisions=("fp32", "int8"))
    calibrated = BenchSettings(calibration=tmp_path)
    with pytest.raises(DataError, match="has no images"):
        available_kinds(calibrated)
    Image.new("RGB", (40, 40)).save(tmp_path / "car.png")
    assert ("small", "int8", None) in available_kinds(calibrated)
    assert not any(precision == "int8" for _, precision, _ in available_kinds(BenchSettings()))
    for other in ({"train": True}, {"precisions": ("fp32",)}):
        with pytest.raises(ConfigError, match="calibration is for int8, which is not among the precisions"):
            replace(calibrated, **other)
    with pytest.raises(ConfigError, match="int8 is calibrated on images: give a folder"):
        BenchSettings(precisions=("int8",))
    with pytest.raises(ConfigError, match="eager does not support int8"):
        available_kinds(replace(calibrated, engines=("eager",), precisions=("int8",)))
    with pytest.raises(ConfigError, match="there is no training in int8"):
        available_kinds(BenchSettings(train=True, precisions=("int8",)))
    with pytest.raises(InputError, match="the preprocessing of these weights is not known"):
        plan({"tiny": tiny}, calibrated)
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtraError, match="nncf cannot be imported"):
        available_kinds(calibrated)


def test_on_a_gpu_only_engines_that_run_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    on_gpu = [engine for engine, _, _ in available_kinds(BenchSettings(device="cuda"))]
    assert on_gpu == ["eager", "torch"]
    with pytest.raises(ConfigError, match="torchvision runs on the CPU only; leave it out on cuda"):
        available_kinds(BenchSettings(device="cuda", engines=("torchvision",)))


def tiny(**changes):
    return ghostnet("050", width=0.1, out_channels=8, num_classes=2, **changes).eval()


def test_the_plan_goes_model_by_model_and_batch_by_batch():
    with_weights = tiny()
    with_weights.preprocessing = Preprocessing(resolution=48, mean=(0.5,) * 3, std=(0.5,) * 3)
    models = {"one": tiny(resolution=64), "two": with_weights}
    settings = BenchSettings(engines=("torch",), precisions=("fp32",), batches=(4, 1), threads=1)
    planned = plan(models, settings)
    assert [(case.model, case.batch, case.resolution) for case in planned] == [
        ("one", 4, 64),
        ("one", 1, 64),
        ("two", 4, 48),
        ("two", 1, 48),
    ]
    assert {
        (case.engine, case.precision, case.threads, case.device, case.memory_format) for case in planned
    } == {("torch", "fp32", 1, "cpu", None)}


def test_what_is_planned_by_default():
    models = {"one": tiny()}
    (threads,) = {case.threads for case in plan(models, BenchSettings())}
    assert threads == torch.get_num_threads()
    assert {case.batch for case in plan(models, BenchSettings())} == {1}
    assert {case.batch for case in plan(models, BenchSettings(train=True))} == {16}
    assert {case.resolution for case in plan(models, BenchSettings(resolution=96))} == {96}


def test_invalid_models_to_measure():
    with pytest.raises(ConfigError, match="give at least one model"):
        plan({}, BenchSettings())
    with pytest.raises(ConfigError, match=r"bench takes torch\.nn\.Modules; mine is a str"):
        plan({"mine": "ghostnet_100"}, BenchSettings())
    with pytest.raises(ConfigError, match="mine is fused; give the original model"):
        plan({"mine": fuse(tiny())}, BenchSettings())
    with pytest.raises(ConfigError, match="mine has no weights"):
        plan({"mine": ghostnet("050", device="meta")}, BenchSettings())
