"""A web server on the loopback address: plain files, faults made to order, and a small Hugging Face Hub."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin")
"""What the Hub keeps on its storage host and names by its SHA-256."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server says once.

    Attributes:
        status, body, headers: as they are sent; a body that is asked for in part is sent in part.
        ranges: whether `Range` is heeded.
        cut: so many bytes of the body are sent, although all of them are announced.
        reset: the cut comes with a reset of the connection instead of its end.
        silent: whether the length is left out.
        before: called between the headers and the body.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    ranges: bool = True
    cut: int | None = None
    reset: bool = False
    silent: bool = False
    before: Callable[[], object] | None = None


@dataclass(frozen=True)
class Request:
    """One request that came."""

    method: str
    path: str
    headers: Message
    body: bytes


class Loopback:
    """Answers by method and path: those that were prepared, each once, then those of `reply`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[Request] = []
        self.faults: list[str] = []
        self._prepared: dict[tuple[str, str], list[Answer]] = {}
        self._lock = threading.Lock()

    def prepare(self, path: str, *answers: Answer, method: str = "GET") -> str:
        """The next answers for a path; the last of them stays. Returns the address."""
        self._prepared[method, path] = list(answers)
        return f"{self.url}{path}"

    def offer(self, path: str, answer: Answer) -> None:
        """The answer for a path, unless there are others for it."""
        with self._lock:
            self._prepared.setdefault(("GET", path), [answer])

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            prepared = self._prepared.get((request.method, request.path))
            if prepared:
                return prepared.pop(0) if len(prepared) > 1 else prepared[0]
        return self.reply(request)

    def reply(self, request: Request) -> Answer:
        return Answer(status=404)

    def asked(self, method: str, part: str = "") -> list[Request]:
        """The requests so far, by method and a part of the path."""
        return [one for one in self.requests if one.method == method and part in one.path]


class Handler(BaseHTTPRequestHandler):
    """Sends an answer; the connection is closed after it."""

    loopback: Loopback

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, urlsplit(self.path).path, self.headers, body)
        answer = self.loopback.answer(request)
        status, body, headers = in_part(answer, self.headers.get("Range"), self.headers.get("If-Range"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if not answer.silent and "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        sent = body if answer.cut is None else body[: answer.cut]
        self.wfile.write(sent[: len(sent) // 2])
        if answer.before is not None:
            answer.before()
        self.wfile.write(sent[len(sent) // 2 :])
        if answer.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    do_GET = do_HEAD = do_POST = respond

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def in_part(
    answer: Answer, wanted: str | None, version: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers, for `Range: bytes=N-` those of the rest, if it is of that version."""
    headers = dict(answer.headers)
    if version is not None and version not in (headers.get("ETag"), headers.get("Last-Modified")):
        wanted = None
    if wanted is None or not answer.ranges or answer.status != 200:
        return answer.status, answer.body, headers
    start, length = int(wanted.removeprefix("bytes=").removesuffix("-")), len(answer.body)
    if start >= length:
        return 416, b"", {**headers, "Content-Range": f"bytes */{length}"}
    return 206, answer.body[start:], {**headers, "Content-Range": f"bytes {start}-{length - 1}/{length}"}


class Server(ThreadingHTTPServer):
    """Keeps what went wrong in a thread, and ends a connection that is to be reset without a farewell."""

    daemon_threads = True
    loopback: Loopback

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError):  # the other side may go when it likes
            self.loopback.faults.append(repr(error))

    def shutdown_request(self, request: Any) -> None:
        linger = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        if linger[:4] != bytes(4):
            self.close_request(request)
        else:
            super().shutdown_request(request)


@contextmanager
def serving(kind: type[Loopback]) -> Iterator[Any]:
    """A server of that kind, until the end of the context."""
    handler = type("OneHandler", (Handler,), {})
    with Server(("127.0.0.1", 0), handler) as server:
        loopback = kind(server.server_address[1])
        handler.loopback = server.loopback = loopback
        thread = threading.Thread(target=server.serve_forever, args=(0.005,))
        thread.start()
        try:
            yield loopback
        finally:
            server.shutdown()
            thread.join()
    assert not loopback.faults


@dataclass
class Repository:
    """Files of each commit, and which commit each branch is at."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None

    def commit(self, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Puts files on a branch, beside those that are there; the hash of the commit."""
        before = self.commits.get(self.branches.get(branch, ""), {})
        name = hashlib.sha1(f"{len(self.commits)}{branch}".encode()).hexdigest()
        self.commits[name] = {**before, **files}
        self.branches[branch] = name
        return name


class Hub(Loopback):
    """What `huggingface_hub` needs of the Hub for downloads and uploads."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.repositories: dict[str, Repository] = {}
        self.storage: Loopback | None = None
        """Another server, to which requests for large files are sent on."""
        self.write_token = "hf_writer"

    def reply(self, request: Request) -> Answer:
        if request.path.startswith("/api/"):
            return self.reply_to_writer(request)
        repository, _, rest = request.path[1:].partition("/resolve/")
        revision, _, file = rest.partition("/")
        return self.resolve(repository, unquote(revision), unquote(file), bearer(request))

    def resolve(self, name: str, revision: str, file: str, bearer: str = "") -> Answer:
        """One file, or where its bytes are."""
        repository = self.repositories.get(name)
        if repository is None or (repository.token and bearer != repository.token):
            status = 404 if bearer else 401  # so that nobody learns of private ones
            return refusal(status, "RepoNotFound", "Repository not found")
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            return refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        content = repository.commits[commit].get(file)
        headers = {"X-Repo-Commit": commit}
        if content is None:
            return refusal(404, "EntryNotFound", "Entry not found", headers)
        headers["ETag"] = f'"{etag(file, content)}"'
        if file.endswith(LARGE) and self.storage is not None:
            return self.send_on(self.storage, content, headers)
        return Answer(body=content, headers=headers)

    def send_on(self, storage: Loopback, content: bytes, headers: dict[str, str]) -> Answer:
        """As the Hub does it: the redirect says what the file is, the storage host has its bytes."""
        path = f"/storage/{sha256(content)}"
        storage.offer(path, Answer(body=content, headers={"ETag": '"of the storage"'}))
        linked = {
            "Location": f"{storage.url}{path}",
            "X-Linked-Etag": headers["ETag"],
            "X-Linked-Size": str(len(content)),
        }
        return Answer(status=302, headers={**headers, **linked, "ETag": '"of the redirect"'})

    def reply_to_writer(self, request: Request) -> Answer:
        if bearer(request) != self.write_token:
            return refusal(401, None, "Invalid credentials in Authorization header")
        if request.method != "POST":
            return refusal(404, "RepoNotFound", "Repository not found")
        data = [json.loads(line) for line in request.body.splitlines()]
        if request.path == "/api/repos/create":
            return self.create(data[0])
        if request.path == "/api/validate-yaml":
            return as_json({"errors": [], "warnings": []})
        name, action, branch = request.path.removeprefix("/api/models/").rsplit("/", 2)
        return {"preupload": self.preupload, "commit": self.commit}[action](name, unquote(branch), data)

    def create(self, wanted: Mapping[str, Any]) -> Answer:
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.repositories:
            return refusal(409, None, "You already created this model repo", url=f"{self.url}/{name}")
        self.repositories[name] = Repository()
        self.repositories[name].commit({".gitattributes": b""})
        return as_json({"url": f"{self.url}/{name}"})

    def preupload(self, name: str, branch: str, data: Sequence[Mapping[str, Any]]) -> Answer:
        """Every file shall come within the commit."""
        wanted = {"uploadMode": "regular", "shouldIgnore": False}
        return as_json({"files": [{"path": file["path"], **wanted} for file in data[0]["files"]]})

    def commit(self, name: str, branch: str, data: Sequence[Mapping[str, Any]]) -> Answer:
        values = [item["value"] for item in data if item["key"] == "file"]
        files = {value["path"]: base64.b64decode(value["content"]) for value in values}
        commit = self.repositories[name].commit(files, branch)
        return as_json({"commitUrl": f"{self.url}/{name}/commit/{commit}", "commitOid": commit})


def bearer(request: Request) -> str:
    """The token that came along."""
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def refusal(
    status: int, code: str | None, message: str, headers: Mapping[str, str] | None = None, **content: str
) -> Answer:
    """An error as the Hub tells it."""
    told = {"X-Error-Message": message, **(headers or {}), **({"X-Error-Code": code} if code else {})}
    answer = as_json({"error": message, **content})
    return Answer(status=status, body=answer.body, headers={**answer.headers, **told})


def as_json(content: Any) -> Answer:
    return Answer(body=json.dumps(content).encode(), headers={"Content-Type": "application/json"})


def etag(file: str, content: bytes) -> str:
    """SHA-256 of a large file, the hash that git gives a small one."""
    if file.endswith(LARGE):
        return sha256(content)
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
