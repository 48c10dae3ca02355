"""Files from plain addresses: whole and right under their name, or not there; every fault is one line."""

import io
import itertools
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.request import Request

import pytest
import torch

from lightcars.errors import DownloadError
from lightcars.files import file_digest
from lightcars.weights import download as module
from lightcars.weights import transfer
from lightcars.weights.download import cache_folder, download, file_name
from tests.weights.loopback import Answer, Loopback, serving, sha256

CONTENT = bytes(range(256)) * 4096
DIGEST = sha256(CONTENT)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """The folder in which files are kept, not made yet; no waits."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module, "WAIT_S", 0)
    return cache_folder()


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving(Loopback) as server:
        yield server


def kept(cache: Path) -> list[str]:
    """What lies in the cache, but for locks."""
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock") if cache.exists() else []


def ranges(server: Loopback) -> list[str | None]:
    return [request.headers.get("Range") for request in server.requests]


def message(url: str, **settings: str) -> str:
    """What is said when `url` cannot be had; always one line."""
    with pytest.raises(DownloadError) as error:
        download(url, **settings)
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


# A file that comes


def test_file_lies_where_torch_hub_keeps_them(server, cache, tmp_path):
    path = download(server.prepare("/models/model-1.pth", Answer(body=CONTENT)))
    assert path == cache / "model-1.pth"
    assert cache == tmp_path / "torch" / "hub" / "checkpoints"
    assert path.read_bytes() == CONTENT
    assert kept(cache) == ["model-1.pth"]
    assert ranges(server) == [None], "a whole file is asked for plainly"


def test_file_is_fetched_once(server):
    url = server.prepare("/model.pth", Answer(body=CONTENT))
    assert download(url) == download(url)
    assert len(server.requests) == 1


def test_file_of_torch_hub_is_taken_as_it_is(server, cache):
    cache.mkdir(parents=True)
    (cache / "model.pth").write_bytes(b"fetched by torchvision")
    assert download(f"{server.url}/model.pth", sha256=DIGEST).read_bytes() == b"fetched by torchvision"
    assert not server.requests


def test_redirects_are_followed(server):
    server.prepare("/real/abc.bin", Answer(body=CONTENT))
    url = server.prepare("/model.pth", Answer(status=302, headers={"Location": "/real/abc.bin"}))
    path = download(url)
    assert path.name == "model.pth", "named by the address that was asked for"
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("digest", [DIGEST, DIGEST[:8]], ids=["whole", "beginning"])
def test_right_digest(digest, server):
    path = download(server.prepare("/model.pth", Answer(body=CONTENT)), sha256=digest)
    assert file_digest(path) == DIGEST


def test_length_need_not_be_told(server):
    assert download(server.prepare("/model.pth", Answer(body=CONTENT, silent=True))).read_bytes() == CONTENT


def test_empty_file(server):
    assert download(server.prepare("/model.pth", Answer(body=b""))).read_bytes() == b""


# A file that comes in pieces


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_cut_connection_is_resumed(reset, server, cache):
    half = len(CONTENT) // 2
    answers = Answer(body=CONTENT, cut=half, reset=reset), Answer(body=CONTENT)
    path = download(server.prepare("/model.pth", *answers), sha256=DIGEST)
    assert path.read_bytes() == CONTENT
    assert kept(cache) == ["model.pth"]
    first, second = ranges(server)
    assert first is None
    if not reset:  # what was on its way may be lost with a reset
        assert second == f"bytes={half}-"


def test_download_that_was_given_up_is_resumed_by_the_next(server, cache):
    step = len(CONTENT) // 8
    cut = Answer(body=CONTENT, cut=step)
    url = server.prepare("/model.pth", cut)
    assert "try again, the download will resume" in message(url, sha256=DIGEST)
    assert kept(cache) == ["model.pth.part"]
    server.prepare("/model.pth", Answer(body=CONTENT))
    assert download(url, sha256=DIGEST).read_bytes() == CONTENT
    starts = [int(text.removeprefix("bytes=").removesuffix("-")) for text in ranges(server)[1:]]
    assert starts == [step, 2 * step, 3 * step, 4 * step]


def test_server_that_ignores_ranges(server):
    cut, whole = (Answer(body=CONTENT, ranges=False, cut=length) for length in (len(CONTENT) // 2, None))
    path = download(server.prepare("/model.pth", cut, whole))
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "part", [CONTENT, CONTENT + b"more", b""], ids=["as long as the file", "longer", "empty"]
)
def test_leftover_that_cannot_be_resumed(part, server, cache):
    cache.mkdir(parents=True)
    (cache / "model.pth.part").write_bytes(part)
    path = download(server.prepare("/model.pth", Answer(body=CONTENT)), sha256=DIGEST)
    assert path.read_bytes() == CONTENT
    assert kept(cache) == ["model.pth"]


def test_truncated_file_is_never_taken_for_whole(server, cache):
    cut = Answer(body=CONTENT, ranges=False, cut=len(CONTENT) - 1)
    text = message(server.prepare("/model.pth", cut))
    assert f"{len(CONTENT) - 1} of {len(CONTENT)} bytes were received" in text
    assert len(server.requests) == module.ATTEMPTS
    assert kept(cache) == ["model.pth.part"]


# A file that changes


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_without_a_digest_a_part_is_continued_only_from_the_same_version(header, server, cache):
    half = len(CONTENT) // 2
    first = {header: '"1"' if header == "ETag" else "Mon, 05 Jan 2026 10:00:00 GMT"}
    second = {header: '"2"' if header == "ETag" else "Tue, 06 Jan 2026 10:00:00 GMT"}
    other = CONTENT[::-1]
    cut, whole = Answer(body=CONTENT, headers=first, cut=half), Answer(body=CONTENT, headers=first)
    path = download(server.prepare("/same.pth", cut, whole))
    assert path.read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={half}-"]
    path = download(server.prepare("/changed.pth", cut, Answer(body=other, headers=second)))
    assert path.read_bytes() == other, "never half of the one and half of the other"
    assert kept(cache) == ["changed.pth", "same.pth"]


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}, {"ETag": '"' + "x" * 5000 + '"'}])
def test_what_nothing_identifies_is_fetched_whole(headers, server):
    cut = Answer(body=CONTENT, headers=headers, cut=1000)
    path = download(server.prepare("/model.pth", cut, Answer(body=CONTENT[::-1], headers=headers)))
    assert path.read_bytes() == CONTENT[::-1]
    assert ranges(server) == [None, None]


def test_a_server_that_ignores_if_range(server):
    """It continues a file that has changed, but says so in its ETag."""
    cut = Answer(body=CONTENT, headers={"ETag": '"1"'}, cut=1000)
    rest = Answer(
        status=206, body=CONTENT[:0:-1][1000:], headers={"ETag": '"2"', "Content-Range": "bytes 1000-"}
    )
    whole = Answer(body=CONTENT[::-1], headers={"ETag": '"2"'})
    assert download(server.prepare("/model.pth", cut, rest, whole)).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("answered", ["bytes 0-9/10", "bytes 2000-2999/3000", "nonsense", None])
def test_another_range_than_asked_for(answered, server):
    cut = Answer(body=CONTENT, headers={"ETag": '"1"'}, cut=1000)
    headers = {"ETag": '"1"'} | ({} if answered is None else {"Content-Range": answered})
    wrong = Answer(status=206, body=b"x" * 10, headers=headers)
    whole = Answer(body=CONTENT, headers={"ETag": '"1"'})
    assert download(server.prepare("/model.pth", cut, wrong, whole)).read_bytes() == CONTENT


# A server that gives too much, too slowly, or sends elsewhere


@pytest.mark.parametrize("silent", [True, False])
def test_a_body_larger_than_any_weights(silent, server, cache, monkeypatch):
    monkeypatch.setattr(transfer, "MAX_BYTES", 500_000)
    text = message(server.prepare("/model.pth", Answer(body=CONTENT, silent=silent)))
    assert "500000" in text
    assert "limit" in text
    assert sum(path.stat().st_size for path in cache.iterdir()) <= 500_000
    assert len(server.requests) == 1


def test_more_than_the_disk_holds_is_said_before(server, tmp_path, monkeypatch):
    needed = 2 * shutil.disk_usage(tmp_path).total
    monkeypatch.setattr(transfer, "MAX_BYTES", 2 * needed)
    url = server.prepare("/model.pth", Answer(body=b"x", headers={"Content-Length": str(needed)}))
    assert f"needs {needed} bytes" in message(url)


@pytest.mark.parametrize(("limit", "words"), [("WINDOW_S", "bytes came in"), ("LIMIT_S", "it takes longer")])
def test_a_slow_drip_ends(limit, words, server, monkeypatch):
    clock = itertools.count(step=40.0 if limit == "WINDOW_S" else 10_000.0)
    monkeypatch.setattr(transfer, "SLOWEST_BYTES_PER_S", 1e9 if limit == "WINDOW_S" else 0)
    monkeypatch.setattr(transfer.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 1000)
    assert words in message(server.prepare("/model.pth", Answer(body=CONTENT)))
    assert len(server.requests) == module.ATTEMPTS


@pytest.mark.parametrize("length", ["ten", "-5", "1e3", "9" * 30, ""])
def test_a_length_that_is_no_number(length, server):
    url = server.prepare("/model.pth", Answer(body=CONTENT, headers={"Content-Length": length}))
    assert download(url).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "target", ["ftp://127.0.0.1/model.pth", "file:///etc/passwd", "data:,x", "http://[/x", "http://a:b/x"]
)
def test_redirects_to_anything_but_the_web(target, server, cache):
    url = server.prepare("/model.pth", Answer(status=302, headers={"Location": target}))
    assert url in message(url)
    assert kept(cache) == []


@pytest.mark.parametrize("kind", ["symlink", "hard link", "folder", "fifo"])
def test_a_part_that_is_a_link_is_never_written_through(kind, server, cache, tmp_path):
    cache.mkdir(parents=True)
    mine, part = tmp_path / "mine.txt", cache / "model.pth.part"
    mine.write_text("mine")
    makers = {
        "symlink": lambda: part.symlink_to(mine),
        "hard link": lambda: part.hardlink_to(mine),
        "folder": part.mkdir,
        "fifo": lambda: os.mkfifo(part),
    }
    makers[kind]()
    assert "is a link or not a regular file" in message(server.prepare("/model.pth", Answer(body=CONTENT)))
    assert mine.read_text() == "mine"


# A file that is wrong


def test_wrong_digest_leaves_nothing(server, cache):
    url = server.prepare("/model.pth", Answer(body=CONTENT))
    text = message(url, sha256="0" * 64)
    assert DIGEST in text
    assert "it was removed" in text
    assert kept(cache) == []


def test_after_a_wrong_file_the_right_one_is_fetched(server):
    url = server.prepare("/model.pth", Answer(body=CONTENT[::-1]), Answer(body=CONTENT))
    assert "SHA-256" in message(url, sha256=DIGEST[:8])
    assert download(url, sha256=DIGEST[:8]).read_bytes() == CONTENT


def test_leftover_of_another_file_does_not_pass(server, cache):
    cache.mkdir(parents=True)
    (cache / "model.pth.part").write_bytes(b"x" * 1000)
    url = server.prepare("/model.pth", Answer(body=CONTENT))
    assert "SHA-256" in message(url, sha256=DIGEST)
    assert kept(cache) == []
    assert download(url, sha256=DIGEST).read_bytes() == CONTENT


# A server that does not give it


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "there is no such file (404)"),
        (401, "permission is needed (401)"),
        (403, "permission is needed (403)"),
        (410, "the server refuses (410)"),
    ],
)
def test_refusals_are_told_at_once(status, reason, server, cache):
    url = server.prepare("/model.pth", Answer(status=status, body=b"<html>a page about it</html>"))
    assert message(url) == f"{url}: {reason}."
    assert len(server.requests) == 1
    assert kept(cache) == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_trouble_is_waited_out(status, server):
    url = server.prepare("/model.pth", Answer(status=status), Answer(body=CONTENT))
    assert download(url).read_bytes() == CONTENT


def test_lasting_trouble(server, cache):
    url = server.prepare("/model.pth", Answer(status=500))
    text = message(url)
    assert text.startswith(f"{url} cannot be fetched (the server answers 500); try again")
    assert len(server.requests) == module.ATTEMPTS
    assert kept(cache) == []


def test_waits_grow(server, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(module, "WAIT_S", 0.5)
    monkeypatch.setattr(module.time, "sleep", waits.append)
    message(server.prepare("/model.pth", Answer(status=503)))
    assert len(waits) == module.ATTEMPTS - 1
    assert all(later == 2 * earlier for earlier, later in pairwise(waits))


def test_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "refused" in message(f"http://127.0.0.1:{port}/model.pth")


@pytest.mark.parametrize("value", ["1", "true", "ON", "yes"])
def test_offline(value, server, cache, monkeypatch):
    url = server.prepare("/model.pth", Answer(body=CONTENT))
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    text = message(url)
    assert "HF_HUB_OFFLINE" in text
    assert str(cache) in text
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    path = download(url)
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert download(url) == path
    assert len(server.requests) == 1


# A disk that does not take it


def test_file_in_place_of_the_cache(server, monkeypatch, tmp_path):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "taken"))
    text = message(server.prepare("/model.pth", Answer(body=CONTENT)))
    assert text.startswith("cannot store ")
    assert "TORCH_HOME gives another folder" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_cache_that_cannot_be_written(server, cache):
    cache.mkdir(parents=True)
    cache.chmod(0o500)
    assert message(server.prepare("/model.pth", Answer(body=CONTENT))).startswith("cannot store ")


def test_full_disk(server, cache, monkeypatch):
    """No file may grow beyond half of this one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    url = server.prepare("/model.pth", Answer(body=CONTENT))
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(CONTENT) // 2, limits[1]))
    try:
        text = message(url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert text.startswith("cannot store ")
    assert "File too large" in text
    assert len(server.requests) == 1
    assert not (cache / "model.pth").exists()


def test_connection_that_breaks_oddly_is_not_blamed_on_the_disk(server, monkeypatch):
    """As secure connections do: with an error that is none of the connection errors."""

    def read(response, count=None):
        raise OSError(113, "No route to host")

    url = server.prepare("/model.pth", Answer(body=CONTENT))
    monkeypatch.setattr("http.client.HTTPResponse.read1", read)
    assert "cannot be fetched ([Errno 113] No route to host); try again" in message(url)
    assert len(server.requests) == module.ATTEMPTS


# Names


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/folder/",
        "/.hidden",
        "/..",
        "/%2e%2e",
        "/..%2f..%2fevil.pth",
        "/models/..%5c..%5cevil.pth",
        "/%2fetc%2fpasswd",
        "/C%3Aevil.pth",
        "/evil%00.pth",
    ],
)
def test_names_that_could_leave_the_folder(path, server, cache):
    assert "does not end in a file name" in message(f"{server.url}{path}")
    assert not server.requests
    assert kept(cache) == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/models/b0_rwightman-7f5810bc.pth", "b0_rwightman-7f5810bc.pth"),
        ("https://example.org/a%20b.pth?download=true#top", "a b.pth"),
        ("https://example.org/a..b.pth", "a..b.pth"),
    ],
)
def test_name_is_the_last_part_of_the_address(url, name):
    assert file_name(url) == name


# Two at once

CHILD = """
import sys
from pathlib import Path
from lightcars.weights import download as module
from lightcars.weights import transfer

url, folder = sys.argv[1:]
real = module.FileLock

def tell_and_lock(path):
    print("at the lock", flush=True)
    return real(path)

module.cache_folder = lambda: Path(folder)  # without torch, which takes long to import
module.FileLock = tell_and_lock
print(module.file_digest(module.download(url)))
"""


def test_two_processes_download_once(server, cache):
    gate = threading.Event()
    half_way = Answer(body=CONTENT, before=lambda: gate.wait(60))
    url = server.prepare("/model.pth", half_way)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, url, str(cache)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [child.stdout.readline() for child in children] == ["at the lock\n"] * 2
    gate.set()
    for child in children:
        out, err = child.communicate(timeout=60)
        assert out.split() == [DIGEST], err
    assert len(server.requests) == 1
    assert kept(cache) == ["model.pth"]


def test_a_redirect_from_https_to_http_is_refused():
    request = Request("https://example.org/weights.pth")
    with pytest.raises(
        DownloadError, match=r"redirects to http://example\.org/x, which is not an HTTPS address"
    ):
        transfer._HttpOnly().redirect_request(request, io.BytesIO(), 302, "", {}, "http://example.org/x")
