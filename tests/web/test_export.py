"""What `export_web` writes: the model's outputs, sizes, the service worker's list; and mistakes."""

import json
import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from lightcars import Preprocessing, ghostnet
from lightcars.errors import ConfigError, ExportError, RunError
from lightcars.models.familiarity import fit_familiarity, pooled
from lightcars.web import conversion
from lightcars.web import export as room
from lightcars.web.export import export_web
from lightcars.web.offline import integrity_of, service_worker
from lightcars.web.runtime import Runtime
from lightcars.web.storage import store
from tests.deploy.conftest import CLASSES, settle

RUNTIME = Runtime(
    addresses={"wasm": {"code": "runtime/a.js", "loader": "runtime/b.js", "wasm": "runtime/c.wasm.bin"}},
    files={"runtime/a.js": b"a", "runtime/b.js": b"b", "runtime/c.wasm.bin": b"c"},
    later=frozenset(["runtime/b.js"]),
)


@pytest.fixture(scope="module")
def model():
    """A small classifier with an OOD detector."""
    torch.manual_seed(3)
    found = settle(ghostnet("thesis", num_classes=5, width=0.2, out_channels=64))
    found.classes, found.temperature = CLASSES, 0.6
    found.preprocessing = Preprocessing(resolution=48, mean=(0.47, 0.46, 0.45), std=(0.29, 0.28, 0.3))
    with torch.no_grad():
        features = pooled(found.features(torch.randn(60, 3, 48, 48)))
    found.familiarity = fit_familiarity(features[:40], torch.arange(40) % 5, features[40:])
    return found


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("web") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "find_runtime", lambda *_: RUNTIME)
        return export_web(model, folder, storage="fp16")


def outputs_of(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["logits", "distance"], {"images": images.numpy()})


def test_the_model_gives_logits_and_familiarity(model, written):
    for seed in range(3):
        image = torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            maps = model.features(image)
            expected = model(image)
            distance = model.familiarity.distance(maps) / model.familiarity.limit
        logits, found = outputs_of(written.path / "model.onnx", image)
        np.testing.assert_allclose(logits, expected, atol=0.01 * float(expected.abs().max()))
        np.testing.assert_allclose(found, distance, rtol=0.02)
    entries = {entry.key: entry.value for entry in onnx.load(written.path / "model.onnx").metadata_props}
    assert json.loads(entries["classes"]) == list(CLASSES)


def test_sizes_and_site(written):
    files = {path for path in written.path.rglob("*") if path.is_file()}
    assert written.size_bytes == sum(path.stat().st_size for path in files)
    assert written.runtime_bytes == 3
    assert written.model_bytes == (written.path / "model.onnx").stat().st_size
    assert written.difference < 1e-4 < written.stored_difference < 0.02
    site = json.loads((written.path / "site.json").read_text())
    assert (site["title"], site["subject"]) == ("What is it?", "anything")
    assert site["model"]["classes"] == list(CLASSES)
    assert site["model"]["temperature"] == 0.6
    assert site["model"]["preprocessing"]["resolution"] == 48
    index = (written.path / "index.html").read_text()
    assert "{{" not in index
    assert not re.search(r"<script(?! type=\"module\" src=\"app/main.js\")| style=| on\w+=\"", index)


def test_the_service_worker_lists_every_file(written):
    text = (written.path / "service-worker.js").read_text()
    rows = {
        row["url"]: row for row in json.loads(re.search(r"const FILES = (\[.*?\n\]);", text, re.DOTALL)[1])
    }
    names = {str(path.relative_to(written.path)) for path in written.path.rglob("*") if path.is_file()}
    assert set(rows) == names - {"index.html", "_headers", "service-worker.js"} | {"./"}
    for url, row in rows.items():
        content = (written.path / ("index.html" if url == "./" else url)).read_bytes()
        assert row["integrity"] == integrity_of(content)
        assert row["later"] == (url == "runtime/b.js")


def test_another_file_is_another_version():
    def version(content):
        text = service_worker({"index.html": content}, {}, (), None).decode()
        return re.search(r'const VERSION = "(\w{16})"', text)[1]

    assert version(b"a") == version(b"a") != version(b"b")


@pytest.mark.parametrize("storage", ["int8", "fp16"])
def test_stored_weights_are_small_and_near(model, written, storage):
    from lightcars.web.graph import for_web, web_onnx

    module, outputs = for_web(model)
    assert outputs == ("logits", "distance")
    proto = web_onnx(module, outputs, 3, 48)
    image = torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    before, size = outputs_of(proto.SerializeToString(), image), proto.ByteSize()
    store(proto, storage)
    after = outputs_of(proto.SerializeToString(), image)
    limit = {"int8": 0.05, "fp16": 0.005}[storage]
    for old, new in zip(before, after, strict=True):
        assert 0 < np.abs(new - old).max() <= limit * np.abs(old).max()
    assert proto.ByteSize() < {"int8": 0.6, "fp16": 0.75}[storage] * size
    kinds = {tensor.data_type for tensor in proto.graph.initializer if np.prod(tensor.dims) >= 4096}
    assert kinds == {{"int8": onnx.TensorProto.INT8, "fp16": onnx.TensorProto.FLOAT16}[storage]}


def test_values_beyond_float16_stay():
    weights = np.full((32, 32), 1e5, np.float32)
    node = onnx.helper.make_node("Add", ["images", "bias"], ["logits"])
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node],
        "large",
        [value("images", onnx.TensorProto.FLOAT, [32, 32])],
        [value("logits", onnx.TensorProto.FLOAT, [32, 32])],
        [onnx.numpy_helper.from_array(weights, "bias")],
    )
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    store(proto, "int8")
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(proto.graph.initializer[0]), weights)


def test_another_page_replaces_the_whole_of_the_first(model, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "find_runtime", lambda *_: RUNTIME)
    folder = tmp_path / "site"
    export_web(model, folder, storage="fp16")
    (folder / "texts" / "de.json").write_text("{}")
    (folder / "CNAME").write_text("cars.example.org")
    monkeypatch.setattr(room, "find_runtime", lambda *_: Runtime(addresses=RUNTIME.addresses, files={}))
    export_web(model, folder, storage="fp16", force=True)
    assert not list((folder / "runtime").glob("*"))
    assert sorted(path.name for path in (folder / "texts").iterdir()) == ["en.json", "pl.json"]
    assert (folder / "CNAME").exists()


def test_mistakes(model, written, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "find_runtime", lambda *_: RUNTIME)
    with pytest.raises(RunError, match="is not an empty folder"):
        export_web(model, written.path)
    with pytest.raises(ConfigError, match="storage must be one of int8, fp16, fp32"):
        export_web(model, tmp_path / "a", storage="int4")
    with pytest.raises(ExportError, match="needs class names and preprocessing"):
        export_web(ghostnet("thesis", num_classes=5, width=0.1).eval(), tmp_path / "a")
    monkeypatch.setattr(conversion, "STORED_LIMITS", {"int8": 1e-9, "fp16": 1e-9})
    with pytest.raises(ExportError, match=r"with weights in int8 .* nothing was written\. Take fp16"):
        export_web(model, tmp_path / "a")
    assert not (tmp_path / "a").exists()
