"""Free memory: the least of what machine, control groups and `ulimit -v` leave."""

import resource
import subprocess
import sys

import pytest
import torch

from lightcars import memory_limits
from lightcars.memory_limits import free_bytes, is_out_of_memory


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with 1,000 bytes of free memory and control groups to be made."""
    monkeypatch.setattr(memory_limits, "_machine_bytes", lambda: 1000)
    monkeypatch.setattr(memory_limits, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory_limits, "PROC", tmp_path / "proc")
    (tmp_path / "proc").mkdir()

    def make(lines, **groups):
        (tmp_path / "proc" / "cgroup").write_text(lines)
        for path, files in groups.items():
            folder = tmp_path / "cgroup" / path.replace("_", "/")
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (folder / name.replace("__", ".")).write_text(text)

    return make


def test_the_machine_has_its_page_cache_too(monkeypatch, tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:    3000 kB\n")
    monkeypatch.setattr(memory_limits, "MEMINFO", meminfo)
    assert memory_limits._machine_bytes() == 3000 * 1024
    meminfo.write_text("MemFree:  10 kB\n")
    assert memory_limits._machine_bytes() > 3000 * 1024, "of sysconf"


def test_the_machine_alone(machine):
    assert free_bytes() == 1000
    machine("0::/app\n")
    assert free_bytes() == 1000


@pytest.mark.parametrize(("limit", "free"), [("max", 1000), ("700", 500), ("100", 0), ("nonsense", 1000)])
def test_version_2(machine, limit, free):
    machine("0::/app/inner\n", app_inner={"memory.max": limit, "memory.current": "200\n"})
    assert free_bytes() == free


def test_the_page_cache_is_free(machine):
    """The system gives it back; after a data set was read it fills the group."""
    files = {"memory.max": "700", "memory.current": "690", "memory.stat": "anon 90\ninactive_file 600\n"}
    machine("0::/app\n", app=files)
    assert free_bytes() == 610


def test_the_group_above_counts_too(machine):
    inner = {"memory.max": "max", "memory.current": "5"}
    machine("0::/app/inner\n", app_inner=inner, app={"memory.max": "300", "memory.current": "100"})
    assert free_bytes() == 200


def test_version_1(machine):
    files = {"memory.limit_in_bytes": "600", "memory.usage_in_bytes": "100"}
    machine("3:cpu:/x\n9:memory:/app\n", memory_app=files)
    assert free_bytes() == 500


@pytest.mark.parametrize("lines", ["", "garbage\n", "::\n", "0::../../..\n"])
def test_odd_tables(machine, lines):
    machine(lines)
    assert free_bytes() == 1000


CHILD = """
import resource
from lightcars.memory_limits import free_bytes
resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
free = free_bytes()
assert 2**26 < free < 2**29, free
held = bytearray(2**27)
assert free - free_bytes() >= 2**27
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is not enforced there")
def test_the_limit_of_the_process():
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    subprocess.run([sys.executable, "-c", CHILD], check=True)


def test_errors_of_memory():
    assert is_out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as torchs:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(torchs.value)
    assert is_out_of_memory(OSError(12, "Cannot allocate memory"))
    assert not is_out_of_memory(RuntimeError("size mismatch"))
