"""ONNX Runtime Web, which runs the model in the browser: one pinned version, each of its files by its digest.

The files come from a folder or package that is named, or once from npm's registry into the cache; or the page
loads them from a public address.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightcars.errors import ConfigError, DownloadError, InputError
from lightcars.web.pins import BACKENDS, DIGESTS, PACKAGE, TARBALL_SHA256, VERSION
from lightcars.weights.download import download

REGISTRY = "https://registry.npmjs.org"
"""Where npm itself looks, unless it is configured otherwise."""
CDN = f"https://cdn.jsdelivr.net/npm/{PACKAGE}@{VERSION}/dist/"
"""A public copy of the registry, for pages that do not hold the runtime themselves."""
FOLDER = "runtime"
"""Of the runtime's files on the site."""
LATER = ("webgpu",)
"""Back ends that not all visitors use; their files are stored for offline use once they are."""
_NPM_TIMEOUT_S = 20
_SUFFIXES = (".tgz", ".tar.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """Where the runtime comes from.

    Attributes:
        source: npm's package as a folder or as a .tgz; None fetches it once from the registry that npm is
            configured for.
        cdn: let the page load it from a public address instead, which then learns of each visitor.
    """

    source: Path | None = None
    cdn: bool = False

    def __post_init__(self) -> None:
        if self.cdn and self.source is not None:
            raise ConfigError(
                "the runtime is either on the site (--runtime) or elsewhere (--cdn); choose one."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The runtime of a page.

    Attributes:
        addresses: back end -> addresses of its files, for `site.json`.
        files: on the site, by path.
        later: files and addresses that not all visitors need.
        elsewhere: addresses on another site, with their integrity.
        cdn: folder of these addresses; None if all files are on the site.
    """

    addresses: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    later: frozenset[str] = frozenset()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    cdn: str | None = None


def find_runtime(options: RuntimeOptions, tell: Callable[[str], None]) -> Runtime:
    """Return the pinned runtime.

    Args:
        options: where it comes from.
        tell: called with a line of text before it is fetched.

    Raises:
        InputError: the named folder or package is missing, or not the pinned version.
        DownloadError: it cannot be fetched.
    """
    if options.cdn:
        return _elsewhere()
    contents = _contents(options.source, tell)
    names = {name: _site_name(name) for name in contents}
    files = {
        names[name]: gzip.compress(content, mtime=0) if name.endswith(".wasm") else content
        for name, content in contents.items()
    }
    needed = {name for backend in BACKENDS if backend not in LATER for name in BACKENDS[backend].values()}
    return Runtime(
        addresses={
            backend: {role: names[name] for role, name in row.items()} for backend, row in BACKENDS.items()
        },
        files=files,
        later=frozenset(names[name] for name in contents if name not in needed),
    )


def _site_name(name: str) -> str:
    """Return the path on the site: .js, because some hosts do not know .mjs. WebAssembly is compressed,
    under a name that hosts send as it is.
    """
    return f"{FOLDER}/{name.removesuffix('.mjs')}.js" if name.endswith(".mjs") else f"{FOLDER}/{name}.bin"


def _elsewhere() -> Runtime:
    integrity = {CDN + name: "sha256-" + _base64(digest) for name, digest in DIGESTS.items()}
    needed = {name for backend in BACKENDS if backend not in LATER for name in BACKENDS[backend].values()}
    return Runtime(
        addresses={
            **{
                backend: {
                    **{role: CDN + name for role, name in row.items()},
                    "integrity": {CDN + name: integrity[CDN + name] for name in row.values()},
                }
                for backend, row in BACKENDS.items()
            },
            "cdn": CDN,
        },
        elsewhere=integrity,
        later=frozenset(CDN + name for name in DIGESTS if name not in needed),
        cdn=CDN,
    )


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def _contents(source: Path | None, tell: Callable[[str], None]) -> dict[str, bytes]:
    """Return the files of the runtime by name, each with the right digest."""
    if source is None:
        source = _fetched(tell)
    if not source.exists():
        raise InputError(f"there is no folder or package {source}.")
    read = _from_folder if source.is_dir() else _from_package
    contents = read(source)
    for name, digest in DIGESTS.items():
        content = contents.get(name)
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            problem = "is not in it" if content is None else "has another SHA-256"
            raise InputError(
                f"{source} is not {PACKAGE} {VERSION}: {name} {problem}. `npm pack {PACKAGE}@{VERSION}` makes"
                " the package."
            )
    return {name: contents[name] for name in DIGESTS}


def _from_folder(folder: Path) -> dict[str, bytes]:
    inner = folder / "dist" if (folder / "dist").is_dir() else folder
    return {name: (inner / name).read_bytes() for name in DIGESTS if (inner / name).is_file()}


def _from_package(path: Path) -> dict[str, bytes]:
    if not path.name.endswith(_SUFFIXES):
        raise InputError(f"{path} is neither a folder nor a package ({', '.join(_SUFFIXES)}).")
    wanted = {f"package/dist/{name}": name for name in DIGESTS}
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name in wanted and member.isfile() else None
                if file is not None:
                    found[wanted[member.name]] = file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read as an npm package ({error}).") from error
    return found


def _fetched(tell: Callable[[str], None]) -> Path:
    """Return the package in the cache, after downloading it if it is not there."""
    url = f"{registry()}/{PACKAGE}/-/{PACKAGE}-{VERSION}.tgz"
    tell(f"getting {PACKAGE} {VERSION} from the cache or the npm registry")
    try:
        return download(url, sha256=TARBALL_SHA256)
    except DownloadError as error:
        raise DownloadError(
            f"{error} Or give the package with --runtime FOLDER or FILE.tgz; --cdn does not need it."
        ) from error


def registry() -> str:
    """Return the address of the registry that npm is configured for, without a slash at its end."""
    known = os.environ.get("npm_config_registry") or _npm_setting()  # noqa: SIM112 - npm's name
    return known.rstrip("/") if known and known.startswith(("http://", "https://")) else REGISTRY


def _npm_setting() -> str | None:
    program = shutil.which("npm")
    if program is None:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        command = [program, "config", "get", "registry"]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_NPM_TIMEOUT_S)
        return ran.stdout.strip()
    return None
