"""The Hub: files whole and right or not in the cache, pinned and offline; models there and back again."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants, file_download
from huggingface_hub.utils import _http as hub_http

from lightcars.errors import CheckpointError, DownloadError, HubFileMissingError
from lightcars.files import file_digest
from lightcars.models.familiarity import Familiarity
from lightcars.sharing import Training, from_pretrained, push_to_hub
from lightcars.weights import hub as module
from lightcars.weights.catalog import find_tag
from lightcars.weights.checkpoint import save
from lightcars.weights.hub import hub_file, hub_weights, split_hub_id
from lightcars.weights.locate import locate
from lightcars.zoo import ghostnet
from tests.weights.loopback import Answer, Hub, Loopback, Repository, refusal, serving, sha256

IS_OLD = huggingface_hub.__version__.startswith("0.")
NAME = "owner/model"
WEIGHTS = bytes(range(256)) * 1024
CONFIG = b'{"architecture": "ghostnet_100"}'
SAFE, PICKLE = "model.safetensors", "pytorch_model.bin"
STORED = f"/storage/{sha256(WEIGHTS)}"


def reset_sessions() -> None:
    """Before 1.0 a connection keeps the settings, such as offline, with which it was made."""
    getattr(hub_http, "reset_sessions", lambda: None)()


@pytest.fixture
def storage() -> Iterator[Loopback]:
    """The host of large files, which has another name than the Hub."""
    with serving(Loopback) as storage:
        storage.url = storage.url.replace("127.0.0.1", "localhost")
        yield storage


@pytest.fixture(autouse=True, scope="module")
def connections():
    """Recreated before these tests and after them, in case that there are proxies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        close_sessions = getattr(hub_http, "close_session", None) or hub_http.reset_sessions  # before 1.0
        close_sessions()
        yield
        close_sessions()


@pytest.fixture(autouse=True)
def hub(storage, tmp_path, monkeypatch) -> Iterator[Hub]:
    """A Hub with one repository. What `huggingface_hub` read from the environment points there."""
    with serving(Hub) as hub:
        hub.storage = storage
        hub.repositories[NAME] = Repository()
        hub.repositories[NAME].commit({SAFE: WEIGHTS, "config.json": CONFIG})
        settings = {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_TELEMETRY": True,
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": False,
            "HF_HUB_DISABLE_XET": True,
        }
        for name, value in vars(constants).items():
            if isinstance(value, str) and value.startswith(constants.HF_HOME):
                settings[name] = value.replace(constants.HF_HOME, str(tmp_path / "hub"), 1)
        for name, value in settings.items():
            monkeypatch.setattr(constants, name, value)
            if hasattr(file_download, name):  # before 1.0 it has some of them by name
                monkeypatch.setattr(file_download, name, value)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
            monkeypatch.delenv(name, raising=False)
        for user in (file_download, hub_http):
            monkeypatch.setattr(user, "time", SimpleNamespace(sleep=lambda seconds: None))
        reset_sessions()
        yield hub


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "hub" / "hub"


@pytest.fixture
def repository(hub) -> Repository:
    return hub.repositories[NAME]


@pytest.fixture
def offline(monkeypatch):
    """A call that takes the network away."""

    def cut() -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        reset_sessions()

    return cut


def message(*arguments: str, call=hub_file, kind=DownloadError, **settings) -> str:
    """What is said when it cannot be had; always one line."""
    with pytest.raises(kind) as error:
        call(*arguments, **settings)
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


def kept(cache: Path) -> list[str]:
    """The files in the cache that hold bytes of the repository.

    Before 1.0 the beginning of a file whose download failed stays, for the next call.
    """
    names = sorted(path.name for path in cache.glob("models--*/blobs/*"))
    return [name for name in names if not (IS_OLD and name.endswith(".incomplete"))]


def linked(cache: Path) -> list[str]:
    """The files of all commits that are there, whether their bytes are or not."""
    return sorted(path.name for path in cache.glob("models--*/snapshots/*/*"))


# Names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owner/name", ("owner/name", None)),
        ("timm/tf_efficientnet_b0.ns_jft_in1k", ("timm/tf_efficientnet_b0.ns_jft_in1k", None)),
        ("owner/name@main", ("owner/name", "main")),
        ("owner/name@refs/pr/1", ("owner/name", "refs/pr/1")),
        ("owner/name@v1.0", ("owner/name", "v1.0")),
        ("hf-hub:owner/name@v1.0", ("owner/name", "v1.0")),
        ("hf_hub:owner/name", ("owner/name", None)),
    ],
)
def test_repositories(text, expected):
    assert split_hub_id(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "owner/",
        "/name",
        "a/b/c",
        "../name",
        "owner/..",
        "./name",
        "owner/name@",
        "owner/name@../../other",
        "owner/name@/etc/passwd",
        "owner/name@main/../../other",
        "owner/na..me",
        "owner/na me",
        "owner/name\n",
        "owner/näme",
        "https://huggingface.co/owner/name",
        "~/name",
        "C:\\name",
    ],
)
def test_no_repositories(text):
    assert split_hub_id(text) is None


# A file that comes


def test_file_is_fetched_once(hub, storage):
    path = hub_file(NAME, SAFE)
    assert path.name == SAFE
    assert path.read_bytes() == WEIGHTS
    assert hub_file(NAME, SAFE) == path
    assert len(storage.asked("GET")) == 1
    assert [request.method for request in hub.requests] == ["HEAD", "HEAD"], "asked whether it is the latest"


def test_small_file_comes_from_the_hub_itself(storage):
    assert hub_file(NAME, "config.json").read_bytes() == CONFIG
    assert not storage.requests


def test_everything_is_in_the_cache(cache, tmp_path):
    path = hub_file(NAME, SAFE)
    assert cache in path.parents
    assert {entry.name for entry in tmp_path.iterdir()} == {"hub"}
    assert kept(cache) == [sha256(WEIGHTS)]


def test_branches_tags_and_commits(repository):
    first = repository.branches["main"]
    repository.branches["v1"] = first
    repository.commit({SAFE: b"newer"})
    repository.commit({SAFE: b"another"}, "work/on-it")
    assert hub_file(NAME, SAFE).read_bytes() == b"newer"
    assert hub_file(NAME, SAFE, revision="v1").read_bytes() == WEIGHTS
    assert hub_file(NAME, SAFE, revision=first).read_bytes() == WEIGHTS
    assert hub_file(NAME, SAFE, revision="work/on-it").read_bytes() == b"another"


def test_a_commit_that_is_there_is_not_asked_for(hub, repository):
    commit = repository.branches["main"]
    path = hub_file(NAME, SAFE, revision=commit)
    hub.requests.clear()
    assert hub_file(NAME, SAFE, revision=commit) == path
    assert not hub.requests


def test_latest_commit_of_a_branch(repository):
    old = hub_file(NAME, SAFE)
    repository.commit({SAFE: b"newer"})
    new = hub_file(NAME, SAFE)
    assert (old.read_bytes(), new.read_bytes()) == (WEIGHTS, b"newer")


def test_offline_after_one_download(offline):
    path = hub_file(NAME, SAFE)
    offline()
    assert hub_file(NAME, SAFE) == path


def test_offline_without_a_download(offline, hub):
    offline()
    text = message(NAME, SAFE)
    assert f"{SAFE} of {NAME} is not in the cache" in text
    assert "HF_HUB_OFFLINE" in text
    assert not hub.requests


def test_hub_that_is_down_after_one_download(hub):
    path = hub_file(NAME, SAFE)
    hub.prepare(f"/{NAME}/resolve/main/{SAFE}", Answer(status=503), method="HEAD")
    assert hub_file(NAME, SAFE) == path


def test_nobody_listens(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    for user in (constants, file_download):
        if hasattr(user, "HUGGINGFACE_CO_URL_TEMPLATE"):
            monkeypatch.setattr(user, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    text = message(NAME, SAFE)
    assert f"{SAFE} of {NAME} is not in the cache" in text
    assert "refused" in text


# Tokens


@pytest.mark.parametrize("way", ["argument", "environment", "log-in"])
def test_private_repository(way, hub, storage, repository, monkeypatch):
    repository.token = "hf_secret"
    assert "private: log in with `hf auth login` or set HF_TOKEN" in message(NAME, SAFE)
    if way == "environment":
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
    elif way == "log-in":
        path = Path(constants.HF_TOKEN_PATH)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("hf_secret")
    token = "hf_secret" if way == "argument" else None
    assert hub_file(NAME, SAFE, token=token).read_bytes() == WEIGHTS
    assert hub.requests[-1].headers["Authorization"] == "Bearer hf_secret"
    assert storage.asked("GET")[0].headers["Authorization"] is None, "not told to another host"


def test_token_that_is_not_one_of_the_private_repository(repository):
    repository.token = "hf_secret"
    assert f"there is no repository {NAME} on the Hub, or it is private" in message(
        NAME, SAFE, token="hf_other"
    )


def test_token_that_the_hub_does_not_know(hub):
    answer = refusal(401, None, "Invalid credentials in Authorization header")
    hub.prepare(f"/{NAME}/resolve/main/{SAFE}", answer, method="HEAD")
    text = message(NAME, SAFE, token="hf_wrong")
    assert "401" in text
    assert "Invalid credentials" in text
    assert "hf auth login" in text
    assert "hf_wrong" not in text


# A file that comes in pieces


def test_cut_connection_is_resumed(storage, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # less than a whole one is thrown away
    half = len(WEIGHTS) // 2
    storage.prepare(STORED, Answer(body=WEIGHTS, cut=half), Answer(body=WEIGHTS))
    assert hub_file(NAME, SAFE).read_bytes() == WEIGHTS
    assert [request.headers["Range"] for request in storage.requests] == [None, f"bytes={half}-"]


def test_storage_that_ignores_ranges(storage):
    half = Answer(body=WEIGHTS, cut=len(WEIGHTS) // 2, ranges=False)
    storage.prepare(STORED, half, Answer(body=WEIGHTS, ranges=False))
    assert hub_file(NAME, SAFE).read_bytes() == WEIGHTS


def test_reset_connection(storage, cache):
    storage.prepare(STORED, Answer(body=WEIGHTS, cut=1000, reset=True), Answer(body=WEIGHTS))
    assert f"{SAFE} of {NAME} cannot be fetched" in message(NAME, SAFE)
    assert kept(cache) == []
    assert hub_file(NAME, SAFE).read_bytes() == WEIGHTS


def test_truncated_file(storage, cache):
    storage.prepare(STORED, Answer(body=WEIGHTS[:-1]))
    assert f"{SAFE} of {NAME} cannot be fetched" in message(NAME, SAFE)
    assert kept(cache) == linked(cache) == []
    storage.prepare(STORED, Answer(body=WEIGHTS))
    assert hub_file(NAME, SAFE).read_bytes() == WEIGHTS


def test_connection_that_is_always_cut(storage, cache):
    storage.prepare(STORED, Answer(body=WEIGHTS, cut=0, ranges=False))
    assert f"{SAFE} of {NAME} cannot be fetched" in message(NAME, SAFE)
    assert kept(cache) == []


@pytest.mark.parametrize("status", [500, 503, 504])
def test_passing_trouble_is_waited_out(status, hub, repository):
    path = f"/{NAME}/resolve/main/{SAFE}"
    right = hub.resolve(NAME, "main", SAFE)
    hub.prepare(path, Answer(status=status), Answer(status=status), right, method="HEAD")
    assert hub_file(NAME, SAFE).read_bytes() == WEIGHTS


# A file that is wrong


def test_file_with_another_digest_is_refused_and_fetched_again(storage, cache):
    storage.prepare(STORED, Answer(body=WEIGHTS[::-1]), Answer(body=WEIGHTS))
    assert "came with another SHA-256 than announced; it was removed" in message(NAME, SAFE)
    assert kept(cache) == linked(cache) == []
    assert hub_file(NAME, SAFE).read_bytes() == WEIGHTS


def test_newer_file_is_checked_like_the_first(storage, repository, cache):
    hub_file(NAME, SAFE)
    repository.commit({SAFE: b"newer"})
    storage.prepare(f"/storage/{sha256(b'newer')}", Answer(body=b"wrong"))
    assert "another SHA-256 than announced" in message(NAME, SAFE)
    assert kept(cache) == [sha256(WEIGHTS)]


def test_file_is_checked_only_when_it_comes(monkeypatch):
    hub_file(NAME, SAFE)
    monkeypatch.setattr(module, "file_digest", lambda path: pytest.fail("read again"))
    assert hub_file(NAME, SAFE, sha256=sha256(WEIGHTS)).read_bytes() == WEIGHTS


def test_wrong_file_that_another_process_removed_first(storage, monkeypatch):
    def too_late(path):
        path.resolve().unlink()
        path.unlink()
        return file_digest(path)

    monkeypatch.setattr(module, "file_digest", too_late)
    assert "another SHA-256 than announced" in message(NAME, SAFE)


@pytest.mark.parametrize("known", [sha256(WEIGHTS), sha256(WEIGHTS)[:8]], ids=["whole", "beginning"])
def test_known_digest(known):
    assert hub_file(NAME, SAFE, sha256=known).read_bytes() == WEIGHTS


@pytest.mark.parametrize("known", ["0" * 64, "0" * 8], ids=["whole", "beginning"])
@pytest.mark.parametrize("file", [SAFE, "config.json"])
def test_file_that_was_replaced_at_its_source(file, known):
    text = message(NAME, file, sha256=known)
    assert f"{file} of {NAME} has SHA-256" in text
    assert "where 00000000 is known" in text
    assert Path(text.rpartition("its path: ")[2]).is_file()


XET_HASH = "a1" * 32


def announce_xet(hub: Hub, monkeypatch, fetch) -> None:
    """Offers the weights by the Xet protocol too, of which `fetch` takes the part."""
    headers = {
        **hub.resolve(NAME, "main", SAFE).headers,
        "X-Xet-Hash": XET_HASH,
        "X-Xet-Refresh-Route": f"{hub.url}/refresh",
    }
    hub.prepare(f"/{NAME}/resolve/main/{SAFE}", Answer(status=302, headers=headers), method="HEAD")
    monkeypatch.setattr(file_download, "is_xet_available", lambda: True)
    monkeypatch.setattr(file_download, "xet_get", fetch)


def test_files_that_are_shared_between_repositories(hub, storage, cache, monkeypatch):
    """Newer releases keep the bytes under another hash, and link to them from where they used to be."""
    if not hasattr(file_download, "shared_blobs_enabled"):
        pytest.skip("this huggingface_hub shares nothing")
    content = [WEIGHTS[::-1], WEIGHTS]
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    announce_xet(
        hub, monkeypatch, lambda incomplete_path, **settings: incomplete_path.write_bytes(content.pop(0))
    )
    assert "another SHA-256 than announced" in message(NAME, SAFE)
    assert not list(cache.rglob(XET_HASH))
    path = hub_file(NAME, SAFE, sha256=sha256(WEIGHTS))
    assert path.read_bytes() == WEIGHTS
    assert path.resolve().name == XET_HASH, "the case that this is about"
    assert hub_file(NAME, SAFE, sha256=sha256(WEIGHTS)[:8]) == path
    assert "has SHA-256" in message(NAME, SAFE, sha256="0" * 64)


# A file that is not there, or not for everyone


def test_no_such_repository():
    assert "there is no repository owner/none on the Hub" in message("owner/none", SAFE)
    assert "there is no repository owner/none@v1 on the Hub" in message("owner/none", SAFE, revision="v1")


def test_no_such_file():
    assert message(NAME, "none.bin", kind=HubFileMissingError) == f"{NAME} has no none.bin."


@pytest.mark.parametrize("revision", ["v7", "0" * 40])
def test_no_such_revision(revision):
    assert message(NAME, SAFE, revision=revision) == f"{NAME} has no revision '{revision}'."


def test_no_such_revision_of_a_cached_repository():
    hub_file(NAME, SAFE)
    assert message(NAME, SAFE, revision="v7") == f"{NAME} has no revision 'v7'."


@pytest.mark.parametrize("status", [401, 403])
def test_gated_repository(status, hub):
    text = f"Access to model {NAME} is restricted.\nVisit https://huggingface.co/{NAME} to ask for access."
    answer = refusal(status, "GatedRepo", text.replace("\n", " "))
    hub.prepare(f"/{NAME}/resolve/main/{SAFE}", answer, method="HEAD")
    assert "asks for its terms to be accepted on the Hub first" in message(NAME, SAFE)


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 501])
@pytest.mark.parametrize("headers", [{}, {"X-Error-Message": "Not today"}], ids=["silent", "told"])
def test_other_refusals_name_the_status(status, headers, hub):
    hub.prepare(f"/{NAME}/resolve/main/{SAFE}", Answer(status=status, headers=headers), method="HEAD")
    text = message(NAME, SAFE)
    assert str(status) in text
    assert NAME in text
    assert ("Not today" in text) == bool(headers)
    assert ("hf auth login" in text) == (status == 403), "where it helps"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_storage_that_refuses(status, storage, cache):
    storage.prepare(STORED, Answer(status=status, body=b"<Error>\n<Code>no</Code>\n</Error>"))
    assert str(status) in message(NAME, SAFE)
    assert kept(cache) == []


def test_server_that_is_no_hub(hub):
    answer = Answer(body=b"<html>log in to this network</html>")
    hub.prepare(f"/{NAME}/resolve/main/{SAFE}", answer, method="HEAD")
    assert f"{SAFE} of {NAME}" in message(NAME, SAFE)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of requests, before 1.0
def test_redirects_without_end(hub):
    path = f"/{NAME}/resolve/main/{SAFE}"
    hub.prepare(path, Answer(status=302, headers={"Location": path}), method="HEAD")
    assert f"{SAFE} of {NAME} cannot be fetched" in message(NAME, SAFE)


@pytest.mark.parametrize("name", ["own--er/name", "owner/" + "n" * 120, "owner/name.git"])
def test_names_that_the_hub_does_not_allow(name, hub):
    assert name in message(name, SAFE)
    assert not hub.requests


def test_faults_of_the_xet_protocol(hub, monkeypatch):
    def fail(**settings):
        raise RuntimeError("Data processing error: CAS service error\nand more")

    announce_xet(hub, monkeypatch, fail)
    assert "cannot be fetched: Data processing error: CAS service error" in message(NAME, SAFE)


def test_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "taken").write_text("")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "taken"))
    assert f"{SAFE} of {NAME} cannot be fetched" in message(NAME, SAFE)


# Weights and config


def test_safe_weights_are_preferred(repository, storage):
    repository.commit({PICKLE: b"pickled"})
    path, config = hub_weights(NAME)
    assert path.name == SAFE
    assert config.read_bytes() == CONFIG
    assert path.parent == config.parent
    assert len(storage.asked("GET")) == 1


def test_pickled_weights_and_no_config(hub):
    hub.repositories["owner/old"] = Repository()
    hub.repositories["owner/old"].commit({PICKLE: b"pickled"})
    path, config = hub_weights("owner/old")
    assert (path.name, path.read_bytes(), config) == (PICKLE, b"pickled", None)


def test_no_weights(hub):
    hub.repositories["owner/empty"] = Repository()
    hub.repositories["owner/empty"].commit({"README.md": b""})
    assert message("owner/empty", call=hub_weights) == f"owner/empty has none of {SAFE}, {PICKLE}."


def test_config_and_weights_are_of_one_commit(hub, repository, monkeypatch):
    """Also when the branch moves on between the two."""

    def fetch_and_move_on(name, file, **settings):
        path = hub_file(name, file, **settings)
        repository.commit({SAFE: b"newer", "config.json": b"newer"})
        return path

    monkeypatch.setattr(module, "hub_file", fetch_and_move_on)
    path, config = hub_weights(NAME)
    assert path.parent == config.parent
    assert (path.read_bytes(), config.read_bytes()) == (WEIGHTS, CONFIG)


def test_weights_of_a_revision_offline(repository, offline):
    first = repository.branches["main"]
    repository.branches["v1"] = first
    repository.commit({SAFE: b"newer"})
    before = hub_weights(NAME, revision="v1")
    offline()
    assert hub_weights(NAME, revision="v1") == before
    assert hub_weights(NAME, revision=first) == before
    assert before[0].read_bytes() == WEIGHTS
    assert "not in the cache" in message(NAME, call=hub_weights)


# Two at once

CHILD = """
import sys
from lightcars.files import file_digest
from lightcars.weights.hub import hub_file

print(file_digest(hub_file(*sys.argv[1:])))
"""


def run_child(hub: Hub, tmp_path: Path, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, NAME, SAFE],
        env={
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_download_once(hub, storage, tmp_path):
    """And a third, offline, takes what they left."""
    both_asked = threading.Barrier(2, timeout=60)
    resolve = hub.resolve

    def resolve_together(*arguments):
        both_asked.wait()
        return resolve(*arguments)

    hub.resolve = resolve_together
    children = [run_child(hub, tmp_path) for _ in range(2)]
    for child in children:
        out, err = child.communicate(timeout=60)
        assert out.split() == [sha256(WEIGHTS)], err
    assert len(storage.asked("GET")) == 1
    asked = len(hub.requests)
    out, err = run_child(hub, tmp_path, HF_HUB_OFFLINE="1").communicate(timeout=60)
    assert out.split() == [sha256(WEIGHTS)], err
    assert len(hub.requests) == asked == 2


# From a repository to a model


TIMM = {
    "architecture": "tf_efficientnet_b0",
    "num_classes": 1000,
    "pretrained_cfg": {
        "input_size": [3, 240, 240],
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
    },
}


def put(hub: Hub, name: str, files: dict[str, bytes]) -> str:
    return hub.repositories.setdefault(name, Repository()).commit(files)


@pytest.mark.parametrize("prefix", ["", "hf-hub:", "hf_hub:"])
def test_repository_of_timm(prefix, hub):
    put(hub, "owner/of-timm", {SAFE: WEIGHTS, "config.json": json.dumps(TIMM).encode()})
    located = locate(f"{prefix}owner/of-timm", "efficientnet_b0")
    assert located.path.read_bytes() == WEIGHTS
    assert located.origin == "owner/of-timm"
    assert located.architecture == "efficientnet_b0"
    assert located.settings["padding"] == "same"
    assert located.exact
    assert located.card is None
    assert located.preprocessing.resolution == 240
    assert located.preprocessing.resize == "crop"
    assert located.preprocessing.crop_fraction == 0.95
    assert located.preprocessing.interpolation == "bicubic"
    assert (located.preprocessing.mean, located.preprocessing.std) == ((0.5,) * 3, (0.25,) * 3)


def test_older_repository_of_timm_with_a_pickle(hub):
    flat = {"architecture": "ghostnet_100", **TIMM["pretrained_cfg"], "crop_mode": "squash"}
    put(hub, "owner/old-timm", {PICKLE: b"pickled", "config.json": json.dumps(flat).encode()})
    located = locate("owner/old-timm", "ghostnet_100")
    assert located.path.name == PICKLE
    assert located.architecture == "ghostnet_100"
    assert located.settings == {}
    assert located.preprocessing.resize == "squash"


def test_repository_of_unknown_making(hub):
    put(hub, "owner/plain", {PICKLE: b"pickled"})
    put(hub, "owner/other", {SAFE: WEIGHTS, "config.json": b'{"model_type": "bert"}'})
    for name in ("owner/plain", "owner/other"):
        located = locate(name, "ghostnet_100")
        assert (located.architecture, located.preprocessing, located.card) == (None, None, None)
        assert not located.exact


def test_located_revision(hub):
    commit = put(hub, "owner/plain", {SAFE: WEIGHTS})
    put(hub, "owner/plain", {SAFE: b"newer"})
    located = locate(f"owner/plain@{commit}", "ghostnet_100")
    assert located.path.read_bytes() == WEIGHTS
    assert located.origin == f"owner/plain@{commit}"


@pytest.mark.parametrize(
    "content", [b"{", b"\xff\xfe", b'{"architecture": "ghostnet_100"}', b'{"format": 99}']
)
def test_broken_config(content, hub):
    put(hub, "owner/broken", {SAFE: WEIGHTS, "config.json": content})
    assert "config.json" in message("owner/broken", "ghostnet_100", call=locate, kind=CheckpointError)


def test_repository_that_is_not_there_is_told_so():
    assert "there is no repository owner/none" in message("owner/none", "ghostnet_100", call=locate)


# There and back


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return ghostnet(width=0.1, out_channels=16, num_classes=5).eval()


def assert_equal(ours, theirs) -> None:
    state = theirs.state_dict()
    assert ours.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in ours.state_dict().items())


def test_there_and_back(hub, model):
    address = push_to_hub(
        model, "owner/new", training=Training(license="mit"), token=hub.write_token, message="First"
    )
    assert address == f"{hub.url}/owner/new"
    repository = hub.repositories["owner/new"]
    files = repository.commits[repository.branches["main"]]
    assert files.keys() == {".gitattributes", "README.md", "config.json", SAFE}
    assert b"license: mit" in files["README.md"]
    assert json.loads(files["config.json"])["family"] == "ghostnet"
    header = json.loads(hub.asked("POST", "/commit/")[0].body.splitlines()[0])
    assert header["value"]["summary"] == "First"
    again = from_pretrained("owner/new")
    assert_equal(again, model)
    assert again.config == model.config
    assert not again.training


def test_what_looks_familiar_goes_there_and_back(hub):
    ours = ghostnet(width=0.1, out_channels=16, num_classes=5).eval()
    size = sum(info.channels for info in ours.feature_info)
    ours.familiarity = Familiarity(
        mean=torch.zeros(size), directions=torch.zeros(size, 1), centers=torch.zeros(5, 1), limit=2.0
    )
    ours.temperature = 0.5
    push_to_hub(ours, "owner/calibrated", token=hub.write_token)
    again = from_pretrained("owner/calibrated")
    assert again.familiarity is not None
    assert (again.temperature, again.familiarity.limit) == (0.5, 2.0)


def test_pushing_again_replaces(hub, model, repository):
    push_to_hub(model, NAME, token=hub.write_token)
    first = repository.branches["main"]
    other = ghostnet(width=0.1, out_channels=16, num_classes=5)
    push_to_hub(other, NAME, token=hub.write_token)
    assert_equal(from_pretrained(NAME), other)
    assert_equal(from_pretrained(f"{NAME}@{first}"), model)
    assert_equal(from_pretrained(NAME, revision=first), model)


def test_private_there_and_back(hub, model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.write_token)
    push_to_hub(model, "owner/new", private=True)
    payload = json.loads(hub.asked("POST", "/api/repos/create")[0].body)
    assert payload.get("visibility", payload.get("private")) in ("private", True)
    hub.repositories["owner/new"].token = hub.write_token
    monkeypatch.delenv("HF_TOKEN")
    assert "private" in message("owner/new", call=from_pretrained)
    assert_equal(from_pretrained("owner/new", token=hub.write_token), model)


@pytest.mark.parametrize("token", ["hf_wrong", None])
def test_pushing_without_permission(token, hub, model):
    text = message(model, "owner/new", call=push_to_hub, token=token)
    assert "owner/new cannot be written to" in text
    assert "401" in text
    assert "hf auth login" in text
    assert "hf_wrong" not in text
    assert "owner/new" not in hub.repositories


def test_pushing_where_others_own(hub, model):
    answer = refusal(403, None, "You don't have the rights to do this")
    hub.prepare("/api/repos/create", answer, method="POST")
    text = message(model, "owner/new", call=push_to_hub, token=hub.write_token)
    assert "403" in text
    assert "You don't have the rights" in text


def test_commit_that_is_refused(hub, model):
    answer = refusal(500, None, "Internal Error")
    hub.prepare("/api/models/owner/new/commit/main", answer, method="POST")
    text = message(model, "owner/new", call=push_to_hub, token=hub.write_token)
    assert "500" in text
    assert "hf auth login" not in text


def test_card_that_the_hub_does_not_accept(hub, model):
    error = '{"errors": [{"message": "\\"license\\" must be one of mit"}], "warnings": []}'
    answer = Answer(status=400, body=error.encode(), headers={"Content-Type": "application/json"})
    hub.prepare("/api/validate-yaml", answer, method="POST")
    text = message(
        model, "owner/new", call=push_to_hub, training=Training(license="mine"), token=hub.write_token
    )
    assert '400 ("license" must be one of mit)' in text


def test_pushing_to_nobody(hub, model, monkeypatch, offline):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert "refused" in message(model, "owner/new", call=push_to_hub, token=hub.write_token)
    offline()
    assert "offline" in message(model, "owner/new", call=push_to_hub, token=hub.write_token)


@pytest.mark.parametrize("name", ["owner/new/more", "own--er/new", "owner/new@main"])
def test_names_that_cannot_be_pushed_to(name, hub, model):
    assert name in message(model, name, call=push_to_hub, token=hub.write_token)
    assert not hub.requests


@pytest.mark.parametrize("name", ["nowhere", "a/b/c"])
def test_neither_folder_nor_repository(name):
    assert "is neither a folder nor a repository" in message(name, call=from_pretrained)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_repository_with_a_broken_config(content, hub, model, tmp_path):
    folder = save(model, tmp_path / "saved")
    put(hub, "owner/broken", {SAFE: (folder / SAFE).read_bytes(), "config.json": content})
    assert "config.json is not JSON" in message("owner/broken", call=from_pretrained, kind=CheckpointError)


def test_architecture_that_is_not_here(hub):
    config = json.dumps({**TIMM, "architecture": "resnet50"}).encode()
    put(hub, "owner/other", {SAFE: WEIGHTS, "config.json": config})
    text = message("owner/other", call=from_pretrained, kind=CheckpointError)
    assert "'resnet50', which this library does not have" in text


def test_entries_of_the_catalog_are_fetched_at_their_revision(hub, monkeypatch):
    """A newer commit of the repository, with other weights, changes nothing; unpinned, it is taken."""
    entry = find_tag("timm/tf_efficientnet_b0.in1k")
    repository = hub.repositories[entry.hub_id] = Repository()
    pinned = replace(entry, revision=repository.commit({SAFE: WEIGHTS}))
    repository.commit({SAFE: b"newer"})
    for row, content in ((pinned, WEIGHTS), (replace(entry, revision=None), b"newer")):
        monkeypatch.setattr("lightcars.weights.locate.find_candidates", lambda model, name, row=row: [row])
        assert locate(entry.tag, entry.model).path.read_bytes() == content
