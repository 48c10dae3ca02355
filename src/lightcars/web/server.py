"""A small server for an exported page, on this machine or for phones in the same network. No torch."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from lightcars.errors import ConfigError, InputError, RunError
from lightcars.web.offline import SERVICE_WORKER, media_type
from lightcars.web.page import INDEX, SITE_FILE, parse_site
from lightcars.web.policy import headers

TIMEOUT_S = 30.0
"""Of a connection on which nothing happens."""
CHUNK_BYTES = 1 << 20
LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"
_OUTSIDE = "192.0.2.1"
"""An address for documentation; nothing is sent to it."""


class SiteServer(ThreadingHTTPServer):
    """Serves the files of one folder, and nothing else.

    Args:
        folder: what `lightcars export --to web` wrote.
        host: address to listen on.
        port: 0 for any that is free.
        certificate: PEM file for HTTPS; it may hold the key too.
        key: PEM file of its key.

    Raises:
        InputError: the folder is not an exported page.
        ConfigError: the certificate or its key cannot be used.
        RunError: the address or port is taken or not allowed.
    """

    daemon_threads = True
    allow_reuse_address = os.name != "nt"  # there it would let two servers share a port
    request_queue_size = 64

    def __init__(
        self,
        folder: Path,
        host: str = LOOPBACK,
        port: int = 8000,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        site = _read_site(folder)
        self.tls = None if certificate is None else _tls(certificate, key)
        runtime = site.get("runtime")
        cdn = runtime.get("cdn") if isinstance(runtime, dict) else None
        handler = partial(_Handler, folder=folder.resolve(), headers=headers(cdn))
        try:
            super().__init__((host, port), handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RunError(
                f"cannot listen on {host}, port {port}: {reason}; choose another --port."
            ) from error

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer one connection, in its own thread."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(TIMEOUT_S)
        with self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore connections that break; visitors close them whenever they like."""

    def address(self, host: str | None = None) -> str:
        """Return the address of the page, by default on the host that the server listens on."""
        scheme, default = ("http", 80) if self.tls is None else ("https", 443)
        name, port = host or str(self.server_address[0]), self.server_address[1]
        return f"{scheme}://{name}/" if port == default else f"{scheme}://{name}:{port}/"


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD with files of the folder."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lightcars", ""
    timeout = TIMEOUT_S
    no_cache: ClassVar[str] = "no-cache"  # files may be exported again; unchanged ones are not sent again

    def __init__(self, *arguments: Any, folder: Path, headers: Mapping[str, str]) -> None:
        self.folder, self.site_headers = folder, headers
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        path = file_of(self.folder, self.path)
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND, "There is no such file")
            return
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
            unchanged = self.headers.get("If-None-Match") == tag
            self.send_response(HTTPStatus.NOT_MODIFIED if unchanged else HTTPStatus.OK)
            self.send_header("ETag", tag)
            self.send_header("Cache-Control", self.no_cache)
            if not unchanged:
                self.send_header("Content-Type", media_type(path.name))
                self.send_header("Content-Length", str(status.st_size))
            self.end_headers()
            if with_body and not unchanged:
                remaining = status.st_size
                while remaining and (chunk := file.read(min(CHUNK_BYTES, remaining))):
                    self.wfile.write(chunk)
                    remaining -= len(chunk)

    def end_headers(self) -> None:
        """Add the headers of the site."""
        for name, value in self.site_headers.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing for each request."""


def file_of(folder: Path, target: str) -> Path | None:
    """Return the file that a request is for; None if it is not a regular file of the site.

    Args:
        folder: of the site, resolved.
        target: of the request, such as "/app/main.js?x".
    """
    name = unquote(urlsplit(target).path).removeprefix("/") or INDEX
    parts = name.split("/")
    if "\0" in name or "\\" in name or any(not part or part.startswith((".", "_")) for part in parts):
        return None
    path = folder.joinpath(*parts)
    with contextlib.suppress(OSError, ValueError):
        resolved = path.resolve(strict=True)
        if resolved.is_relative_to(folder) and resolved.is_file():
            return resolved
    return None


def network_address() -> str | None:
    """Return the address by which other devices in the network reach this machine; None without a network."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((_OUTSIDE, 9))  # chooses an interface; UDP sends nothing
        return str(probe.getsockname()[0])
    return None


def _read_site(folder: Path) -> dict[str, Any]:
    try:
        site = parse_site((folder / SITE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is not what lightcars export --to web wrote ({SITE_FILE} is missing or invalid)."
        ) from error
    missing = [name for name in (INDEX, SERVICE_WORKER) if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder} has no {missing[0]}; export the page again.")
    return site


def _tls(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"the certificate {certificate} or its key cannot be used: {reason}.") from error
    return context


def _no_password() -> str:
    raise ValueError("the key has a password; store it without one")
