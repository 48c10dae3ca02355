"""Chromium and npm's packages for the tests of the web page; where they are missing, tests are skipped."""

import shutil
import tarfile
import time
from pathlib import Path

import pytest
from PIL import Image

from lightcars.errors import DownloadError
from lightcars.web.runtime import registry
from lightcars.weights.download import download

CHROMIUM = "chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AXE = ("axe-core", "4.14.1", "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745")
"""Name, version and SHA-256 of the package that checks accessibility."""


def chromium() -> str:
    """Return the path of Chromium, or skip the test."""
    path = shutil.which(CHROMIUM)
    if path is None:
        pytest.skip("Chromium is not installed (a package of Debian: apt-get install chromium)")
    return path


def axe_source() -> str:
    """Return axe-core, or skip the test where it can neither be found nor fetched."""
    name, version, digest = AXE
    try:
        package = download(f"{registry()}/{name}/-/{name}-{version}.tgz", sha256=digest, progress=False)
    except DownloadError as error:
        pytest.skip(f"axe-core cannot be fetched: {error}")
    with tarfile.open(package) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


def camera_file(path: Path, image: Image.Image, frames: int = 3) -> Path:
    """Write an image of even sides as a video that Chromium takes for a camera (Y4M, 4:2:0)."""
    luma, *chroma = image.convert("YCbCr").split()
    half = (image.width // 2, image.height // 2)
    planes = b"".join(plane.tobytes() for plane in (luma, *(part.resize(half) for part in chroma)))
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{image.width} H{image.height} F10:1 Ip A1:1 C420jpeg\n".encode())
        for _ in range(frames):
            file.write(b"FRAME\n" + planes)
    return path


def until(page, script: str, limit_s: float = 20.0):
    """Wait until a script in the page returns something true; the page's policy forbids Playwright's own."""
    from playwright.sync_api import Error

    end = time.monotonic() + limit_s
    while True:
        try:
            found = page.evaluate(script)
        except Error as error:  # the page may reload meanwhile
            if "context was destroyed" not in str(error):
                raise
            found = None
        if found:
            return found
        assert time.monotonic() < end, script
        page.wait_for_timeout(50)
