"""The service worker, which keeps one version of the site for use without a network. No torch."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from lightcars.text import json_text
from lightcars.web.page import HEADERS_FILE, INDEX, source_text
from lightcars.web.policy import headers

SERVICE_WORKER = "service-worker.js"
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
    ".bin": "application/octet-stream",
}
"""Suffix -> media type of the site's files."""


def media_type(name: str) -> str:
    """Return the media type of a file of the site; packed WebAssembly has a name that no host unpacks.

    >>> media_type("app/main.js"), media_type("runtime/ort.wasm.bin")
    ('text/javascript; charset=utf-8', 'application/octet-stream')
    """
    suffix = PurePosixPath(name).suffix
    return TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def integrity_of(content: bytes) -> str:
    """Return the digest of a file as browsers check it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content).digest()).decode()


def service_worker(
    files: Mapping[str, bytes], elsewhere: Mapping[str, str], later: Collection[str], cdn: str | None
) -> bytes:
    """Return the text of the service worker.

    Args:
        files: of the site, by path.
        elsewhere: addresses of files on another site, with their integrity.
        later: files that are stored once they are used, not on the first visit.
        cdn: as in `headers`.
    """
    rows = [
        {
            "url": "./" if name == INDEX else name,
            "type": media_type(name),
            "integrity": integrity_of(content),
            "later": name in later,
        }
        for name, content in files.items()
        if name != HEADERS_FILE
    ]
    rows += [
        {"url": url, "type": media_type(url), "integrity": integrity, "later": url in later}
        for url, integrity in elsewhere.items()
    ]
    body = source_text(SERVICE_WORKER)
    listed = "".join(
        f"const {name} = {json_text(value, indent=1)};\n"
        for name, value in (("FILES", rows), ("HEADERS", dict(headers(cdn))))
    )
    version = hashlib.sha256((listed + body).encode()).hexdigest()[:16]
    return f'const VERSION = "{version}";\n{listed}\n{body}'.encode()
