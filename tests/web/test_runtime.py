"""ONNX Runtime Web: pinned files from a folder, a package, the registry or a public address."""

import gzip
import hashlib
import io
import tarfile

import pytest

from lightcars.errors import ConfigError, InputError
from lightcars.web import runtime as room
from lightcars.web.policy import content_security_policy
from lightcars.web.runtime import CDN, RuntimeOptions, find_runtime, registry

CONTENTS = {name: f"content of {name}".encode() for name in room.DIGESTS}


@pytest.fixture
def pinned(monkeypatch):
    """Small files in place of the runtime's."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
    monkeypatch.setattr(room, "DIGESTS", digests)


def package(path, contents, folder="package/dist"):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["package", "folder", "folder of the package"])
def test_from_what_is_named(pinned, tmp_path, kind):
    if kind == "package":
        source = package(tmp_path / "runtime.tgz", {**CONTENTS, "other.js": b"x"})
    else:
        source = tmp_path / "runtime"
        inner = source / "dist" if kind == "folder of the package" else source
        inner.mkdir(parents=True)
        for name, content in CONTENTS.items():
            (inner / name).write_bytes(content)
    found = find_runtime(RuntimeOptions(source=source), lambda _: None)
    assert {content[:10] for name, content in found.files.items() if name.endswith(".js")} == {b"content of"}
    wasm = found.addresses["wasm"]["wasm"]
    assert gzip.decompress(found.files[wasm]) == b"content of ort-wasm-simd-threaded.wasm"
    assert set(found.addresses) == {"wasm", "webgpu"}
    assert all(address in found.files for row in found.addresses.values() for address in row.values())
    assert found.later == set(found.addresses["webgpu"].values())
    assert found.cdn is None


def test_another_version_is_refused(pinned, tmp_path):
    changed = {**CONTENTS, "ort.wasm.min.mjs": b"another version"}
    with pytest.raises(InputError, match=r"ort\.wasm\.min\.mjs has another SHA-256\. `npm pack"):
        find_runtime(RuntimeOptions(source=package(tmp_path / "a.tgz", changed)), print)
    with pytest.raises(InputError, match="is not in it"):
        find_runtime(RuntimeOptions(source=package(tmp_path / "b.tgz", CONTENTS, folder="dist")), print)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none", None, "there is no folder or package"),
        ("a.zip", b"", "is neither a folder nor a package"),
        ("a.tgz", b"not gzip", "cannot be read as an npm package"),
        ("a.tgz", gzip.compress(b"x" * 600, mtime=0)[:20], "cannot be read as an npm package"),
    ],
)
def test_mistakes(tmp_path, name, content, problem):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        find_runtime(RuntimeOptions(source=tmp_path / name), print)


def test_fetched_from_the_registry_of_npm(pinned, tmp_path, monkeypatch):
    asked = []

    def download(url, *, sha256):
        asked.append((url, sha256))
        return package(tmp_path / "a.tgz", CONTENTS)

    monkeypatch.setattr(room, "download", download)
    monkeypatch.setenv("npm_config_registry", "https://mirror.example/npm/")
    assert find_runtime(RuntimeOptions(), lambda _: None).files
    version = room.VERSION
    address = f"https://mirror.example/npm/onnxruntime-web/-/onnxruntime-web-{version}.tgz"
    assert asked == [(address, room.TARBALL_SHA256)]


def test_the_registry_without_npm(monkeypatch):
    monkeypatch.delenv("npm_config_registry", raising=False)
    monkeypatch.setattr(room.shutil, "which", lambda _: None)
    assert registry() == room.REGISTRY
    monkeypatch.setenv("npm_config_registry", "file:///etc")
    assert registry() == room.REGISTRY


def test_from_a_public_address():
    found = find_runtime(RuntimeOptions(cdn=True), print)
    assert found.files == {}
    assert found.cdn == CDN == found.addresses["cdn"]
    assert all(url.startswith(CDN) for url in found.elsewhere)
    assert all(len(integrity) == 51 for integrity in found.elsewhere.values())
    assert f"connect-src 'self' {CDN};" in content_security_policy(CDN)
    assert "http" not in content_security_policy()
    with pytest.raises(ConfigError, match="choose one"):
        RuntimeOptions(cdn=True, source=CDN)
