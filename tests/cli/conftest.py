"""What the tests of the command line share: the command in this process, drawn cars, one finished run."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from lightcars import Recipe, finetune
from lightcars.cli.main import run
from lightcars.data.drawn_cars import draw_cars
from lightcars.recipes.recipe import ModelRecipe


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a mistake that the user can mend."""
        assert self.code == 2, self.err
        assert self.out == ""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors are slower on two threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def terminal(monkeypatch, capsys) -> Callable[[int], None]:
    """Makes stdout a terminal of so many columns."""

    def resize(columns: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    return resize


@pytest.fixture
def lightcars(monkeypatch, capsys) -> Callable[..., Outcome]:
    """Runs `lightcars` with some arguments, in this process, with warnings shown as for a user."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def command(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["lightcars", *map(str, arguments)])
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            with pytest.raises(SystemExit) as ended:
                run()
        printed = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return command


@pytest.fixture(scope="session")
def cars(tmp_path_factory) -> Path:
    """Class folders with 5 and 2 drawn cars of each of eight kinds."""
    return draw_cars(tmp_path_factory.mktemp("drawn") / "cars", train=5, val=2)


@pytest.fixture(scope="session")
def finished(cars, tmp_path_factory) -> Path:
    """A finished run of two epochs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    result = finetune(
        cars,
        recipe=Recipe(
            model=ModelRecipe(name="ghostnet_050", settings={"width": 0.1, "out_channels": 16}),
            epochs=2,
            resolution=32,
            batch_size=8,
            precision="32-true",
            memory_format="channels_last",
        ),
        out=tmp_path_factory.mktemp("finished") / "run",
    )
    torch.set_num_threads(before)
    return result.run
