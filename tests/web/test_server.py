"""The local server: its headers, what it serves and what it never does, HTTPS, and the QR code."""

import http.client
import json
import ssl
import subprocess

import pytest

from lightcars.errors import ConfigError, InputError, RunError
from lightcars.web.qr import qr_text
from lightcars.web.server import SiteServer, file_of, network_address
from tests.web.conftest import serving

OPENSSL = [
    *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
    *("-addext", "subjectAltName=DNS:localhost"),
]


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that a page has at least, and some that are nobody's business."""
    site = tmp_path / "site"
    (site / "app").mkdir(parents=True)
    (site / "site.json").write_text(json.dumps({"format": 1, "runtime": {}}))
    for name in ("index.html", "service-worker.js", "app/main.js", "a.wasm.bin", "_headers", ".hidden"):
        (site / name).write_text(name)
    (tmp_path / "secret").write_text("secret")
    (site / "link").symlink_to(tmp_path / "secret")
    return site


def get(server, target, method="GET", **headers):
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    connection.request(method, target, headers=headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, content


def test_files_have_their_types_and_the_headers_of_the_site(folder):
    with serving(folder) as server:
        for target, kind in {
            "/": "text/html; charset=utf-8",
            "/app/main.js?x#y": "text/javascript; charset=utf-8",
            "/a.wasm.bin": "application/octet-stream",
        }.items():
            response, content = get(server, target)
            assert (response.status, response.headers["Content-Type"]) == (200, kind)
            assert int(response.headers["Content-Length"]) == len(content) > 0
            assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert response.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert "Server" not in response.headers or "Python" not in response.headers["Server"]


def test_unchanged_files_are_not_sent_again(folder):
    with serving(folder) as server:
        tag = get(server, "/")[0].headers["ETag"]
        response, content = get(server, "/", **{"If-None-Match": tag})
        assert (response.status, content) == (304, b"")
        (folder / "index.html").write_text("another page")
        assert get(server, "/", **{"If-None-Match": tag})[1] == b"another page"
        response, content = get(server, "/", method="HEAD")
        assert (response.headers["Content-Length"], content) == ("12", b"")


@pytest.mark.parametrize(
    "target",
    [
        "/../secret",
        "/%2e%2e/secret",
        "/app/../../secret",
        "/app/..%2f..%2fsecret",
        "/..%5csecret",
        "//etc/passwd",
        "/link",
        "/app",
        "/app/",
        "/.hidden",
        "/_headers",
        "/none",
        "/index.html%00.js",
        "/" + "a" * 5000,
    ],
)
def test_nothing_else_is_served(folder, target):
    assert file_of(folder.resolve(), target) is None
    with serving(folder) as server:
        response, content = get(server, target)
        assert response.status == 404
        assert b"secret" not in content.replace(target.encode(), b"")


def test_other_methods_are_refused(folder):
    with serving(folder) as server:
        assert get(server, "/", method="POST")[0].status == 501


def test_https_by_a_certificate(folder, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        [*OPENSSL, "-keyout", str(key), "-out", str(certificate)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("openssl cannot make a certificate here")
    with serving(folder, certificate=certificate, key=key) as server:
        assert server.address("localhost").startswith("https://localhost:")
        trust = ssl.create_default_context(cafile=str(certificate))
        port = server.server_address[1]
        connection = http.client.HTTPSConnection("localhost", port, context=trust, timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"index.html"
        connection.close()
    with pytest.raises(ConfigError, match="or its key cannot be used"):
        SiteServer(folder, port=0, certificate=tmp_path / "secret")


def test_mistakes(folder, tmp_path):
    with pytest.raises(InputError, match="is not what lightcars export --to web wrote"):
        SiteServer(tmp_path)
    (folder / "service-worker.js").unlink()
    with pytest.raises(InputError, match="has no service-worker"):
        SiteServer(folder)
    (folder / "service-worker.js").write_text("")
    with SiteServer(folder, port=0) as server, pytest.raises(RunError, match="choose another --port"):
        SiteServer(folder, port=server.server_address[1])


def test_addresses(folder):
    with SiteServer(folder, port=0) as server:
        assert server.address() == f"http://127.0.0.1:{server.server_address[1]}/"
    found = network_address()
    assert found is None or found.count(".") == 3


def test_qr_code(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "segno", None)
    assert qr_text("http://192.0.2.1:8000/") is None
    monkeypatch.undo()
    pytest.importorskip("segno")
    assert len(qr_text("http://192.0.2.1:8000/").splitlines()) > 10
