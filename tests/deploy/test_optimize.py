"""`optimize`: engines whose outputs match, those that are dropped, and the cache."""

import copy
import importlib
import json
import os
import pickle
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import torch

from lightcars import ghostnet, optimize
from lightcars.deploy import cpu, measuring, verification
from lightcars.deploy.cache import MAX_ENTRIES, RECORD_FILE, Cache
from lightcars.deploy.cpu import has_bf16
from lightcars.deploy.execution import use_threads
from lightcars.deploy.measuring import Measurements
from lightcars.deploy.optimize import engine_cache_folder
from lightcars.deploy.runners import ENGINES, EngineEntry
from lightcars.errors import ConfigError, InputError, MissingExtraError, OptimizationError
from tests.deploy.conftest import settle

optimizing = sys.modules["lightcars.deploy.optimize"]
SIZE = 48
needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "optimized"


@pytest.fixture(scope="session")
def conversions(tmp_path_factory):
    return tmp_path_factory.mktemp("conversions")


@pytest.fixture
def kept_cache(cache, conversions, monkeypatch):
    """One for several tests, so that the same is not converted twice."""
    monkeypatch.setenv("LIGHTCARS_CACHE", str(conversions))


@pytest.fixture(autouse=True)
def all_engines():
    before = dict(ENGINES)
    yield
    ENGINES.clear()
    ENGINES.update(before)


@pytest.fixture(autouse=True)
def quick_turns(monkeypatch):
    monkeypatch.setattr(measuring, "TURNS", 1)
    monkeypatch.setattr(measuring, "TURN_S", 0.0)


@pytest.fixture
def other():
    torch.manual_seed(4)
    return settle(ghostnet("thesis", num_classes=5, width=0.1, out_channels=16))


class Fake:
    """An engine that is the model in PyTorch, with its outputs changed; counts what it does."""

    def __init__(self, change=lambda logits: logits, wait_s=0.0):
        self.change, self.wait_s = change, wait_s
        self.prepared = self.started = self.calls = 0

    def prepare(self, source, precision, folder):
        self.prepared += 1
        (folder / "artifact").write_text("made")

    def start(self, source, precision, folder):
        if (folder / "artifact").read_text() != "made":
            raise RuntimeError("this is no artifact")
        self.started += 1

        def call(images):
            self.calls += 1
            with torch.no_grad():
                return self.change(source.eager(images))

        return call


@pytest.fixture
def install(monkeypatch):
    """Makes an engine of that name known, alone or beside the others."""

    def put(fake, name="fake", *, alone=False, **settings):
        if alone:
            ENGINES.clear()
        ENGINES[name] = EngineEntry(name=name, module=name, packages=("torch",), **settings)
        monkeypatch.setitem(sys.modules, f"lightcars.deploy.runners.{name}", fake)
        return fake

    return put


def close(ours, expected, tolerance=1e-4):
    torch.testing.assert_close(ours, expected, atol=tolerance * float(expected.abs().max()), rtol=0)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=needs_bf16)])
@torch.no_grad()
@pytest.mark.usefixtures("kept_cache")
def test_outputs_of_every_engine_match(engine, precision, classifier, monkeypatch):
    if precision not in ENGINES[engine].precisions:
        pytest.skip(f"{engine} has no {precision}")
    monkeypatch.setitem(verification.TOLERANCES, "bf16", 0.3)  # random weights in so narrow a model
    monkeypatch.setattr(verification, "TIE", 0.3)
    tolerance = verification.TOLERANCES[precision]
    fast = optimize(classifier, 2, engine=engine, precision=precision)
    assert (fast.engine, fast.precision, fast.batch, fast.resolution) == (engine, precision, 2, SIZE)
    (row,) = fast.measurements
    assert row.problem is None
    assert row.latency_ms > 0
    assert row.difference <= tolerance
    assert precision == "fp32" or row.difference > 1e-4, "it computed in fp32"
    again = optimize(classifier, 2, engine=engine, precision=precision)
    assert again.from_cache
    for model in (fast, again):
        for shape in [(2, 3, SIZE, SIZE), (1, 3, SIZE, SIZE), (5, 3, SIZE, SIZE), (2, 3, 37, 50)]:
            x = torch.randn(shape)
            for images in (x, x.contiguous(memory_format=torch.channels_last), x.clone().requires_grad_()):
                logits = model(images)
                close(logits, classifier(x), tolerance)
                assert logits.dtype == torch.float32
                assert not logits.requires_grad
        answer = model(torch.zeros(2, 3, SIZE, SIZE))
        kept = answer.clone()
        model(torch.ones(2, 3, SIZE, SIZE))
        assert torch.equal(answer, kept), "the next call wrote over it"
        assert model(torch.empty(0, 3, SIZE, SIZE)).shape == (0, 5)
        with torch.enable_grad():
            (answer * torch.ones(5, requires_grad=True)).sum().backward()


@pytest.mark.slow
@torch.no_grad()
def test_outputs_of_compile_match(classifier):
    fast = optimize(classifier, engine="compile", precision="fp32")
    for shape in [(1, 3, SIZE, SIZE), (3, 3, SIZE, SIZE), (1, 3, 40, 40)]:
        x = torch.randn(shape)
        close(fast(x), classifier(x))


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@torch.no_grad()
def test_on_a_gpu(classifier, precision):
    model = copy.deepcopy(classifier).cuda()
    fast = optimize(model, 2, precision=precision)
    assert fast.engine == "torch"
    for shape in [(2, 3, SIZE, SIZE), (5, 3, SIZE, SIZE), (2, 3, 37, 50)]:
        x = torch.randn(shape, device="cuda")
        first = fast(x)
        close(first, model(x), 1e-3 if precision == "fp32" else 0.1)
        kept = first.clone()
        fast(torch.ones_like(x))
        assert torch.equal(first, kept)
    with pytest.raises(ConfigError, match="openvino runs on the CPU here"):
        optimize(model, engine="openvino")


def test_attributes_of_the_result(classifier):
    fast = optimize(classifier, engine="torch", precision="fp32")
    assert fast.config is classifier.config
    assert fast.classes == classifier.classes
    assert fast.preprocessing == classifier.preprocessing
    assert repr(fast).startswith(
        f"OptimizedModel(GhostNet, engine='torch', precision='fp32', batch=1, resolution={SIZE}, threads="
    )
    assert str(fast.measurements).splitlines()[0].split() == [
        "engine",
        "precision",
        "ms",
        "a",
        "batch",
        "difference",
        "eager",
        "error",
    ]
    assert f"torch in fp32: {fast.latency_ms:.3g} ms for 1 x {SIZE} px on" in fast.summary
    assert "\n" not in fast.summary
    assert fast.eager_ms > 0


def test_the_model_stays_as_it_was(classifier):
    model = copy.deepcopy(classifier).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = optimize(model, engine="torch", precision="fp32")
    assert all(part.training for part in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    x = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        close(fast(x), classifier(x))


def test_other_forms_of_the_model(classifier):
    x = torch.randn(1, 3, SIZE, SIZE)
    double = copy.deepcopy(classifier).double()
    for model in (double, torch.compile(classifier)):
        with torch.no_grad():
            close(optimize(model, engine="torch", precision="fp32")(x), classifier(x))


def test_auto_selects_the_fastest_engine_whose_outputs_match(classifier, install):
    good = install(Fake(), "good", alone=True)
    install(Fake(lambda logits: logits * 1.001), "wrong", precisions=("fp32",))
    fast = optimize(classifier)
    assert (fast.engine, fast.precision) == ("good", fast.measurements[0].precision)
    problems = {(row.engine, row.precision): row.problem for row in fast.measurements}
    assert problems["good", "fp32"] is None
    wrong = problems["wrong", "fp32"]
    assert "outputs differ by 1.0e-03 of the largest logit, the limit is 1e-04" in wrong
    assert f"wrong fp32 dropped ({wrong})" in fast.summary
    assert f"dropped: {wrong}" in str(fast.measurements)
    calls = good.calls
    fast(torch.zeros(1, 3, SIZE, SIZE))
    assert good.calls == calls + 1


def test_the_fastest_is_taken_and_comes_first(classifier, install, monkeypatch):
    for name in ("first", "second", "third"):
        install(Fake(), name, alone=name == "first", precisions=("fp32",))
    latencies = {"first-fp32": 2.0, "second-fp32": 1.0, "third-fp32": 3.0}
    monkeypatch.setattr(optimizing, "take_turns", lambda calls: latencies)
    fast = optimize(classifier)
    assert [(row.engine, row.latency_ms) for row in fast.measurements] == [
        ("second", 1.0),
        ("first", 2.0),
        ("third", 3.0),
    ]
    assert (fast.engine, fast.latency_ms) == ("second", 1.0)
    again = optimize(classifier)
    assert again.from_cache
    assert again.measurements == fast.measurements


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda logits: logits * float("nan"), "outputs differ by nan"),
        (lambda logits: logits[:, :3], r"it returns \(1, 3\), PyTorch \(1, 5\)"),
        (lambda logits: logits.flip(1), "outputs differ by"),
    ],
)
def test_a_named_engine_whose_outputs_differ(classifier, install, cache, change, reason):
    install(Fake(change))
    with pytest.raises(OptimizationError, match=rf"^no engine can be used .*fake fp32: {reason}") as caught:
        optimize(classifier, engine="fake", precision="fp32")
    assert "\n" not in str(caught.value)
    assert not cache.exists()


@needs_bf16
def test_another_top_class_is_dropped_within_the_tolerance(classifier, install, monkeypatch):
    """Differences within 2 % that change the class, where it is no tie."""

    def swap(logits):
        first, second = logits.topk(2).indices[0]
        logits[0, second] = logits[0, first] + 1e-3
        return logits

    install(Fake(swap))
    monkeypatch.setitem(verification.TOLERANCES, "bf16", 10.0)
    monkeypatch.setattr(verification, "TIE", 0.0)
    monkeypatch.setitem(verification.TRAINED_LIMITS, "bf16", 0.0)
    with pytest.raises(OptimizationError, match="fake bf16: it predicts another class"):
        optimize(classifier, engine="fake", precision="bf16")


@pytest.mark.parametrize("method", ["prepare", "start"])
def test_an_engine_that_fails_is_named_and_dropped(classifier, install, method):
    install(Fake(), "good", alone=True)
    fake = install(Fake(), precisions=("fp32",))

    def refuse(*_):
        raise RuntimeError("no kernel for HardSwish-99\nin graph.cpp")

    setattr(fake, method, refuse)
    fast = optimize(classifier)
    assert fast.engine == "good"
    assert fast.measurements[-1].problem == "no kernel for HardSwish-99"
    with pytest.raises(OptimizationError, match=r"fake fp32: no kernel for HardSwish-99$"):
        optimize(classifier, engine="fake")


@pytest.mark.parametrize(("package", "engine"), [("openvino", "openvino"), ("onnxscript", "onnxruntime")])
def test_an_engine_that_is_not_installed(classifier, install, monkeypatch, package, engine):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package} .*pip install 'lightcars\[deploy\]'"):
        optimize(classifier, engine=engine)
    entry = ENGINES[engine]
    install(Fake(), "good", alone=True)
    ENGINES[engine] = entry
    fast = optimize(classifier)
    assert fast.engine == "good"
    assert "pip install 'lightcars[deploy]'" in fast.measurements[-1].problem


def test_a_cpu_without_bf16(classifier, install, monkeypatch):
    monkeypatch.setattr(cpu, "has_bf16", lambda: False)
    with pytest.raises(OptimizationError, match=r"this device does not support bf16; choose fp32"):
        optimize(classifier, precision="bf16")
    install(Fake(), alone=True)
    assert {row.precision for row in optimize(classifier).measurements} == {"fp32"}


@pytest.mark.parametrize(
    ("flags", "expected"), [("sse avx512_bf16", True), ("amx_bf16", True), ("avx512f avx512_vnni", False)]
)
def test_bf16_from_cpuinfo(monkeypatch, flags, expected):
    monkeypatch.setattr(cpu, "_cpuinfo", lambda: {"model name": "X", "flags": flags})
    assert has_bf16.__wrapped__() is expected
    assert "X" in cpu.cpu_name.__wrapped__()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "opnvino"}, "there is no engine 'opnvino'. Did you mean openvino"),
        ({"engine": ["torch"]}, r"there is no engine \['torch'\]. Did you mean torch"),
        ({"calibration": ""}, "folder must be a folder of images, not ''"),
        ({"engine": None}, "there is no engine None. Choose auto, torch, compile, onnxruntime, openvino"),
        ({"precision": "bf61"}, "there is no precision 'bf61'. Did you mean bf16"),
        ({"precision": "int8"}, "int8 is calibrated on images"),
        ({"batch": 0}, "batch must be a whole number of at least 1, not 0"),
        ({"batch": 1.5}, "batch must be"),
        ({"batch": True}, "batch must be"),
        ({"resolution": 31}, "resolution must be a whole number of at least 32, not 31"),
        ({"resolution": "224"}, "resolution must be"),
        ({"threads": 0}, "threads must be a whole number of at least 1, not 0"),
        ({"threads": 10_000}, r"threads must be at most \d+, the cores of this machine, not 10000"),
    ],
)
def test_invalid_settings(classifier, settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        optimize(classifier, **settings)
    assert "\n" not in str(caught.value)


@needs_bf16
def test_a_precision_that_an_engine_lacks(classifier):
    with pytest.raises(ConfigError, match=r"onnxruntime does not support bf16 .* choose fp32"):
        optimize(classifier, engine="onnxruntime", precision="bf16")


def test_invalid_models(classifier):
    with pytest.raises(OptimizationError, match=r"takes a torch\.nn\.Module, not a str"):
        optimize("ghostnet_100")
    with pytest.raises(OptimizationError, match="the model has no weights"):
        optimize(ghostnet(width=0.1, device="meta"))
    corrupt = copy.deepcopy(classifier)
    torch.nn.init.constant_(corrupt.classifier.bias, float("nan"))
    with pytest.raises(OptimizationError, match="logits are not finite"):
        optimize(corrupt, engine="torch")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, SIZE, SIZE), r"images of shape \(N, 3, H, W\), not \(3, 48, 48\)"),
        (torch.zeros(1, 1, SIZE, SIZE), r"images of shape \(N, 3, H, W\), not \(1, 1, 48, 48\)"),
        (torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8), r"takes images of float32, not torch.uint8"),
        (torch.zeros(1, 3, SIZE, SIZE, device="meta"), "is on cpu, the images are on meta"),
    ],
)
def test_invalid_images(classifier, images, message):
    fast = optimize(classifier, engine="torch", precision="fp32")
    with pytest.raises(InputError, match=message):
        fast(images)


def test_a_cached_engine_is_not_converted_again(classifier, install, cache):
    fake = install(Fake())
    first = optimize(classifier, engine="fake", precision="fp32")
    assert (fake.prepared, fake.started, first.from_cache) == (1, 1, False)
    second = optimize(classifier, engine="fake", precision="fp32")
    assert (fake.prepared, fake.started, second.from_cache) == (1, 2, True)
    assert second.measurements == first.measurements
    assert isinstance(second.measurements, Measurements)
    assert second.eager_ms == first.eager_ms
    assert len(list(cache.iterdir())) == 1


def test_the_key_of_the_cache(classifier, other, install, monkeypatch):
    fake = install(Fake())
    optimize(classifier, engine="fake", precision="fp32")

    def is_rebuilt(model=classifier, batch=1, **settings):
        before = fake.prepared
        optimize(model, batch, **{"engine": "fake", "precision": "fp32", **settings})
        return fake.prepared > before

    assert not is_rebuilt()
    assert is_rebuilt(other)
    assert is_rebuilt(batch=2)
    assert is_rebuilt(resolution=64)
    assert not is_rebuilt(resolution=SIZE)
    assert is_rebuilt(precision="auto")
    changed = copy.deepcopy(classifier)
    with torch.no_grad():
        changed.classifier.bias[0] += 1e-3
    assert is_rebuilt(changed)
    layer = copy.deepcopy(classifier)
    layer.dropout = torch.nn.Identity()
    assert is_rebuilt(layer)
    monkeypatch.setattr(optimizing, "cpu_name", lambda: "another machine")
    assert is_rebuilt()
    monkeypatch.setattr(optimizing, "__version__", "99")
    assert is_rebuilt()
    ENGINES["fake"] = EngineEntry(name="fake", module="fake", packages=("torch", "openvino"))
    assert is_rebuilt()


def deep_record(entry):
    (entry / RECORD_FILE).write_text("[" * 200_000)


def deep_key(entry):
    content = json.loads((entry / RECORD_FILE).read_text())
    text = json.dumps({**content, "key": "DEEP"}).replace('"DEEP"', "[" * 500 + "]" * 500)
    (entry / RECORD_FILE).write_text(text)


def list_for_record(entry):
    (entry / RECORD_FILE).write_text("[1, 2]")


def odd_file_names(entry):
    content = json.loads((entry / RECORD_FILE).read_text())
    (entry / RECORD_FILE).write_text(json.dumps({**content, "files": {"a\0b": "x"}}))


def damage_file(entry):
    (entry / "artifact").write_text("mode")


def damage_record(entry):
    (entry / RECORD_FILE).write_text("{")


def lose_file(entry):
    (entry / "artifact").unlink()


def lose_record(entry):
    (entry / RECORD_FILE).unlink()


def age_record(entry):
    content = json.loads((entry / RECORD_FILE).read_text())
    (entry / RECORD_FILE).write_text(json.dumps({**content, "format": 0}))


def misplace(entry):
    content = json.loads((entry / RECORD_FILE).read_text())
    (entry / RECORD_FILE).write_text(json.dumps({**content, "key": {}}))


def no_measurements(entry):
    content = json.loads((entry / RECORD_FILE).read_text())
    content["record"]["measurements"] = []
    (entry / RECORD_FILE).write_text(json.dumps(content))


def no_latency(entry):
    content = json.loads((entry / RECORD_FILE).read_text())
    content["record"]["measurements"][0]["latency_ms"] = None
    (entry / RECORD_FILE).write_text(json.dumps(content))


def unknown_fields(entry):
    content = json.loads((entry / RECORD_FILE).read_text())
    (entry / RECORD_FILE).write_text(json.dumps({**content, "record": {"engine": "fake"}}))


@pytest.mark.parametrize(
    "damage",
    [
        deep_record,
        deep_key,
        list_for_record,
        odd_file_names,
        damage_file,
        damage_record,
        lose_file,
        lose_record,
        age_record,
        misplace,
        no_measurements,
        no_latency,
        unknown_fields,
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_entry_is_rebuilt(classifier, install, cache, damage):
    fake = install(Fake())
    optimize(classifier, engine="fake", precision="fp32")
    (entry,) = cache.iterdir()
    damage(entry)
    again = optimize(classifier, engine="fake", precision="fp32")
    assert not again.from_cache
    assert fake.prepared == 2
    assert optimize(classifier, engine="fake", precision="fp32").from_cache


def test_an_artifact_that_its_engine_refuses_is_rebuilt(classifier, install, monkeypatch):
    fake = install(Fake())
    optimize(classifier, engine="fake", precision="fp32")
    start, attempts = fake.start, []

    def stale(*arguments):
        attempts.append(1)
        if len(attempts) == 1:
            raise RuntimeError("made by another version")
        return start(*arguments)

    fake.start = stale
    assert not optimize(classifier, engine="fake", precision="fp32").from_cache
    assert fake.prepared == 2


def test_it_works_without_a_cache(classifier, install, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path / "file"))
    fake = install(Fake())
    for count in (1, 2):
        fast = optimize(classifier, engine="fake", precision="fp32")
        assert not fast.from_cache
        assert fake.prepared == count
        x = torch.randn(1, 3, SIZE, SIZE)
        with torch.no_grad():
            close(fast(x), classifier(x))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache(classifier, install, cache):
    cache.mkdir(parents=True, mode=0o500)
    fake = install(Fake())
    optimize(classifier, engine="fake", precision="fp32")
    assert fake.prepared == 1
    assert list(cache.iterdir()) == []


def test_a_changed_file_is_not_given_out(tmp_path):
    cache, file = Cache(tmp_path / "cache"), tmp_path / "artifact"
    file.write_text("made")
    cache.store({"a": 1}, {"b": 2}, [file])
    entry = cache.find({"a": 1})
    assert entry.record == {"b": 2}
    assert cache.find({"a": 2}) is None
    (entry.folder / "artifact").write_text("mode")
    assert cache.find({"a": 1}) is None
    cache.remove({"a": 1})
    assert not entry.folder.exists()


def test_the_oldest_entries_go(tmp_path):
    cache = Cache(tmp_path)
    for number in range(MAX_ENTRIES + 3):
        assert cache.store({"number": number}, {}, [])
        record = cache._folder_of({"number": number}) / RECORD_FILE
        os.utime(record, (number, number))
    kept = [number for number in range(MAX_ENTRIES + 3) if cache.find({"number": number}) is not None]
    assert kept == list(range(3, MAX_ENTRIES + 3))


def test_the_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("LIGHTCARS_CACHE")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    assert optimizing.engine_cache_folder() == tmp_path / "lightcars" / "optimized"


def test_images_of_other_sizes_need_the_same_weights(classifier, install):
    model = copy.deepcopy(classifier)
    install(Fake())
    fast = optimize(model, engine="fake", precision="fp32")
    with torch.no_grad():
        model.classifier.bias += 1
    with pytest.raises(
        InputError, match="weights have changed since it was optimized, for images of 48 x 48"
    ):
        fast(torch.zeros(1, 3, 40, 40))


def test_nothing_is_printed_or_warned(classifier, install, capfd):
    install(Fake())
    optimize(classifier, engine="fake", precision="fp32")
    optimize(classifier, engine="torch", precision="fp32")
    assert capfd.readouterr() == ("", "")


def test_it_does_not_pickle(classifier):
    fast = optimize(classifier, engine="torch", precision="fp32")
    for copied in (pickle.dumps, copy.deepcopy):
        with pytest.raises(OptimizationError, match="cannot be copied or pickled; send the model"):
            copied(fast)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
@pytest.mark.usefixtures("kept_cache")
def test_threads_may_share_it(classifier, engine):
    fast = optimize(classifier, 2, engine=engine, precision="fp32")
    images = torch.randn(8, 2, 3, SIZE, SIZE)
    with torch.no_grad():
        expected = torch.stack([classifier(x) for x in images])
    answers = {}

    def work(number):
        for _ in range(20):
            answers[number] = fast(images[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close(torch.stack([answers[number] for number in range(8)]), expected)


@torch.no_grad()
def test_outputs_of_a_batch_in_parts_match(classifier, monkeypatch):
    runner = importlib.import_module("lightcars.deploy.runners.openvino")
    monkeypatch.setattr(runner, "_best_parts", lambda *_: 2)
    fast = optimize(classifier, 6, engine="openvino", precision="fp32")
    again = optimize(classifier, 6, engine="openvino", precision="fp32")
    assert again.from_cache
    (blob,) = engine_cache_folder().glob("*/parts-2.blob")
    compiled = runner.openvino_core().import_model(blob.read_bytes(), "CPU", {})
    assert compiled.input(0).shape[0] == 3
    for number in (6, 4, 7):
        images = torch.randn(number, 3, SIZE, SIZE)
        close(fast(images), classifier(images))
        assert torch.equal(again(images), fast(images))


@pytest.mark.parametrize(
    ("batch", "threads", "ms", "best"),
    [
        (16, 2, {"1": 10.0, "2": 9.0, "4": 8.0}, 4),
        (16, 2, {"1": 10.0, "2": 9.0, "4": 8.9}, 2),  # no more parts for a hundredth
        (16, 2, {"1": 10.0, "2": 9.8, "4": 9.9}, 1),
        (6, 2, {"1": 10.0, "2": 9.0}, 2),
        (16, 8, {"1": 10.0, "4": 8.0, "8": 7.0, "16": 9.0}, 8),
        (4, 1, {"1": 10.0, "2": 9.0}, 2),
        (1, 2, {}, 1),
        (5, 2, {}, 1),
    ],
)
def test_parts_are_those_that_are_quickest(batch, threads, ms, best, classifier, monkeypatch):
    runner = importlib.import_module("lightcars.deploy.runners.openvino")
    source = SimpleNamespace(
        batch=batch, threads=threads, shape=(batch, 3, SIZE, SIZE), openvino_model=lambda images: images
    )
    compiled = []

    def fake_compile(images, *_):
        compiled.append(images)
        return SimpleNamespace(create_infer_request=lambda: None)

    def measured(calls):
        assert set(calls) == set(ms)
        return ms

    monkeypatch.setattr(runner, "_compile", fake_compile)
    monkeypatch.setattr(runner, "take_turns", measured)
    assert runner._best_parts(source, "fp32") == best
    assert compiled == [batch // int(parts) for parts in ms]


@pytest.mark.parametrize("images", [None, [1.0], "car.png"])
def test_images_that_are_not_a_tensor(classifier, images):
    fast = optimize(classifier, engine="torch", precision="fp32")
    with pytest.raises(InputError, match=f"takes a tensor of images, not a {type(images).__name__}"):
        fast(images)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
@torch.no_grad()
def test_autocast_around_it_changes_nothing(classifier, engine):
    images = torch.randn(1, 3, SIZE, SIZE)
    with torch.autocast("cpu"):
        fast = optimize(classifier, engine=engine, precision="fp32")
        answer = fast(images)
    assert fast.measurements[0].problem is None
    close(answer, classifier(images))


@pytest.mark.parametrize("engine", ["torch", "openvino"])
@torch.no_grad()
def test_other_defaults_of_pytorch_change_nothing(classifier, engine):
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            fast = optimize(classifier, 2, engine=engine, precision="fp32")
    finally:
        torch.set_default_dtype(torch.float32)
    images = torch.randn(2, 3, SIZE, SIZE)
    close(fast(images), classifier(images))


def test_threads_of_pytorch_are_as_before():
    before = torch.get_num_threads()
    with use_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.usefixtures("kept_cache")
def test_the_second_process_imports_no_converter(classifier, tmp_path):
    optimize(classifier, 2, engine="onnxruntime", precision="fp32")
    torch.save(classifier, tmp_path / "model.pt")
    code = f"""
import sys, torch
torch.set_num_threads(1)
from lightcars import optimize
model = torch.load({str(tmp_path / "model.pt")!r}, weights_only=False)
fast = optimize(model, 2, engine="onnxruntime", precision="fp32")
fast(torch.zeros(2, 3, {SIZE}, {SIZE}))
print(fast.from_cache, *[name for name in ("onnx", "onnxscript", "openvino") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True"]


@pytest.mark.usefixtures("kept_cache")
def test_openvino_leaves_the_signal_stack_in_order(classifier, tmp_path):
    """Two of OpenVINO's cores that end in the wrong order would have the next SIGCHLD end the process."""
    optimize(classifier, 2, engine="openvino", precision="fp32")
    torch.save(classifier, tmp_path / "model.pt")
    code = f"""
import faulthandler, gc, signal, subprocess, torch
from lightcars import optimize
faulthandler.enable()
signal.signal(signal.SIGCHLD, lambda *_: None)
model = torch.load({str(tmp_path / "model.pt")!r}, weights_only=False)
first = optimize(model, 2, engine="openvino", precision="fp32")
second = optimize(model, 2, engine="openvino", precision="fp32")
del first
gc.collect()
del second
gc.collect()
subprocess.run(["true"], check=True)
print("alive")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip()) == (0, "alive")
