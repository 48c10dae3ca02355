"""Small files from the web: whole, within their limits, and never from anywhere else."""

import socket

import pytest

from lightcars.errors import DownloadError
from lightcars.weights import small_file as module
from lightcars.weights.small_file import fetch_small
from tests.weights.loopback import Answer, Loopback, serving

CONTENT = bytes(range(256)) * 64


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module, "WAIT_S", 0)


@pytest.fixture
def server():
    with serving(Loopback) as server:
        yield server


def message(url: str, max_bytes: int = 1 << 20) -> str:
    with pytest.raises(DownloadError) as caught:
        fetch_small(url, max_bytes=max_bytes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("silent", [False, True])
def test_a_file_comes(server, silent):
    url = server.prepare("/a.jpg", Answer(body=CONTENT, silent=silent))
    assert fetch_small(url, max_bytes=len(CONTENT)) == CONTENT


def test_spaces_and_other_scripts_are_escaped(server):
    server.prepare("/caf%C3%A9%20%25.jpg", Answer(body=CONTENT))
    assert fetch_small(f"{server.url}/caf\u00e9 %25.jpg#part", max_bytes=1 << 20) == CONTENT


def test_redirects_stay_on_the_web(server, tmp_path):
    server.prepare("/real.jpg", Answer(body=CONTENT))
    url = server.prepare("/a.jpg", Answer(status=302, headers={"Location": "/real.jpg"}))
    assert fetch_small(url, max_bytes=1 << 20) == CONTENT
    (tmp_path / "a.jpg").write_bytes(CONTENT)
    for target in ("ftp://127.0.0.1/a.jpg", f"file://{tmp_path}/a.jpg"):
        url = server.prepare("/b.jpg", Answer(status=302, headers={"Location": target}))
        assert any(text in message(url) for text in ("is not an HTTP address", "the server answers 302"))


def test_local_files_are_not_addresses(tmp_path):
    (tmp_path / "a.jpg").write_bytes(CONTENT)
    assert "is not an HTTP or HTTPS address" in message((tmp_path / "a.jpg").as_uri())


@pytest.mark.parametrize("silent", [False, True])
def test_a_file_that_is_too_large(server, silent):
    url = server.prepare("/a.jpg", Answer(body=bytes((2 << 20) + 1), silent=silent))
    assert "has more than 2 MiB, which is the limit" in message(url, 2 << 20)


def test_a_file_that_takes_too_long(server, monkeypatch):
    monkeypatch.setattr(module, "LIMIT_S", -1)
    assert "takes longer than" in message(server.prepare("/a.jpg", Answer(body=CONTENT)))


def test_a_server_that_fails_once(server):
    url = server.prepare("/a.jpg", Answer(status=503), Answer(body=CONTENT))
    assert fetch_small(url, max_bytes=1 << 20) == CONTENT


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (500, 2)])
def test_a_server_that_refuses(server, status, requests):
    url = server.prepare("/a.jpg", Answer(status=status))
    assert f"cannot be fetched (the server answers {status})" in message(url)
    assert len(server.requests) == requests


def test_a_file_that_is_cut_short(server):
    assert "cannot be fetched" in message(server.prepare("/a.jpg", Answer(body=CONTENT, cut=100)))


def test_an_address_that_does_not_answer(monkeypatch):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        assert "cannot be fetched" in message(f"http://127.0.0.1:{port}/a.jpg"), "nobody listens"
        listening.listen()
        monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
        assert "cannot be fetched (timed out)" in message(f"http://127.0.0.1:{port}/a.jpg")


@pytest.mark.parametrize("url", ["http://", "http://[", "http://exa mple/", "http://\u2100\u2100/a.jpg"])
def test_addresses_that_are_none(url):
    assert "cannot be fetched" in message(url) or "is not an HTTP" in message(url)
