"""Memory of tensors that are gone stays with the process while a processor trains, and only then."""

import platform
import resource

import pytest
import torch

from lightcars.training import malloc as memory
from lightcars.training.malloc import memory_kept

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone is told")
NUMBER = 10_000_000
PAGES = NUMBER * 4 // resource.getpagesize()


def faults() -> int:
    """Pages that the system cleared for one large tensor."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(NUMBER)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@on_glibc
def test_memory_is_kept_on_a_processor():
    with memory_kept(torch.device("cpu")):
        assert min(faults() for _ in range(5)) < PAGES / 100
    assert faults() > PAGES / 100, "it was given back"


@pytest.mark.parametrize(("libc", "device"), [("", "cpu"), ("glibc", "cuda"), ("glibc", "mps")])
def test_other_systems_and_devices_are_left_alone(monkeypatch, libc, device):
    opened = []
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", opened.append)
    with memory_kept(torch.device(device)):
        pass
    assert opened == [], "no library was asked for anything"


def stopping() -> None:
    with memory_kept(torch.device("cpu")):
        faults()
        raise ValueError("stop")


@on_glibc
def test_an_error_ends_it_too():
    with pytest.raises(ValueError, match="stop"):
        stopping()
    assert faults() > PAGES / 100
