"""Peak resident memory, in a process of its own because the tests' own has peaks behind it."""

from pathlib import Path

import pytest

from lightcars.benching.memory import growth_mib, mark_memory
from lightcars.benching.process import call_in_process


def grow(argument):
    before = bytearray(argument["before_mib"] << 20)
    before = None  # given back: no part of what follows
    mark = mark_memory()
    kept = bytearray(argument["kept_mib"] << 20)
    released = bytearray(argument["released_mib"] << 20)
    del released, kept, before
    return {"growth_mib": growth_mib(mark)}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a peak")
def test_the_peak_after_the_mark_counts():
    answer = call_in_process(f"{__name__}:grow", {"before_mib": 300, "kept_mib": 40, "released_mib": 60})
    assert answer.problem is None
    assert answer.value["growth_mib"] == pytest.approx(100, abs=8)


def test_unknown_memory():
    assert growth_mib(None) is None


def test_without_proc(monkeypatch, tmp_path):
    """As on other systems: the process's peak so far, which never falls."""
    monkeypatch.setattr("lightcars.benching.memory._STATUS", tmp_path / "none")
    monkeypatch.setattr("lightcars.benching.memory._FORGET", tmp_path / "none" / "either")
    mark = mark_memory()
    assert mark > 2**20
    assert growth_mib(mark) >= 0
