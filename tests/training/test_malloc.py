"""Memory of tensors that are gone stays with the process while a CPU trains, and only then."""

import json
import platform
import subprocess
import sys

import pytest
import torch

from lightcars.training import malloc as memory
from lightcars.training.malloc import memory_kept

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone is told")

IN_A_NEW_PROCESS = """
import contextlib, json, resource, torch
from lightcars.training.malloc import memory_kept

NUMBER = 40_000_000

def fraction_cleared():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * NUMBER
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return faults * resource.getpagesize() / NUMBER

with memory_kept(torch.device("cpu")):
    kept = min(fraction_cleared() for _ in range(5))
returned = fraction_cleared()
with contextlib.suppress(ValueError), memory_kept(torch.device("cpu")):
    fraction_cleared()
    raise ValueError
print(json.dumps({"kept": kept, "returned": returned, "returned after an error": fraction_cleared()}))
"""
"""The fraction of one large block's pages that the system clears. Other tests shape the heap of this process,
and before glibc 2.38 the aligned blocks of tensors fit into freed ones of their own size by chance only."""


@on_glibc
def test_memory_is_kept_within_and_returned_at_the_end():
    command = [sys.executable, "-c", IN_A_NEW_PROCESS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cleared = json.loads(done.stdout)
    assert cleared["kept"] < 0.01
    assert cleared["returned"] > 0.01
    assert cleared["returned after an error"] > 0.01


@pytest.mark.parametrize(("libc", "device"), [("", "cpu"), ("glibc", "cuda"), ("glibc", "mps")])
def test_other_systems_and_devices_are_left_alone(monkeypatch, libc, device):
    opened = []
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", opened.append)
    with memory_kept(torch.device(device)):
        pass
    assert opened == [], "no library was asked for anything"
