"""Where progress bars are shown."""

import sys
from types import SimpleNamespace

import pytest

from lightcars.progress import in_notebook, shows_bars, wants_progress


@pytest.fixture(params=["plain", "ipython", "notebook"])
def place(request, monkeypatch) -> str:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    if request.param != "plain":
        shell = SimpleNamespace() if request.param == "ipython" else SimpleNamespace(kernel=object())
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    return request.param


def test_a_notebook_is_told_from_a_shell(place):
    assert in_notebook() == (place == "notebook")
    assert wants_progress(None) == (place == "notebook")
    assert wants_progress(True)
    assert not wants_progress(False)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_bars_need_a_terminal_or_a_notebook(place, monkeypatch, is_terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    assert shows_bars(True) == (is_terminal or place == "notebook")
    assert not shows_bars(False)
