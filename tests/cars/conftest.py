"""What the tests of the fine-tune share: drawn cars, a model of a few layers, and one finished run."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lightcars import FinetuneResult, finetune
from lightcars.cars.drawing import draw_cars
from lightcars.cars.recipe import ModelRecipe

from .tiny_settings import TINY_RECIPE


@dataclass(frozen=True)
class Finished:
    """A run that is done, with the data it was made from."""

    data: Path
    result: FinetuneResult

    @property
    def run(self) -> Path:
        return self.result.run


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors are slower on two threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real photographs and their devkit; tests that need it are skipped without it."""
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("LIGHTCARS_SHARED", root.parent / "shared")) / "cars196"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """Class folders with 6 and 3 drawn cars of each of eight kinds."""
    return draw_cars(tmp_path_factory.mktemp("drawn") / "cars", train=6, val=3)


@pytest.fixture
def drawn_copy(drawn, tmp_path) -> Path:
    """The same files, to be spoilt: what is removed or replaced here stays in `drawn`."""
    copy = tmp_path / "copy"
    for path in drawn.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(drawn)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    return copy


@pytest.fixture(scope="session")
def tiny() -> Callable[..., FinetuneResult]:
    """`finetune` with a model of four blocks and a recipe of three epochs unless told otherwise."""

    def run(data, out, *, recipe=TINY_RECIPE, model=None, **settings):
        if isinstance(model, nn.Module):
            recipe = replace(recipe, model=ModelRecipe())
        return finetune(data, model=model, recipe=recipe, out=out, **settings)

    return run


@pytest.fixture(scope="session")
def finished(drawn, tiny, tmp_path_factory) -> Finished:
    """One finished run for all tests that only look at it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    result = tiny(drawn, tmp_path_factory.mktemp("finished") / "run")
    torch.set_num_threads(before)
    return Finished(drawn, result)


@pytest.fixture(scope="session")
def table() -> Callable[[Path], list[dict[str, str]]]:
    """The rows of a run's metrics.csv, without the seconds, which differ from run to run."""

    def read(run: Path) -> list[dict[str, str]]:
        with (run / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            assert float(row.pop("seconds")) > 0
        return rows

    return read


@pytest.fixture(scope="session")
def same_weights() -> Callable[[torch.nn.Module, torch.nn.Module], bool]:
    """Whether two models have the same tensors, bit for bit."""

    def compare(one: torch.nn.Module, other: torch.nn.Module) -> bool:
        first, second = one.state_dict(), other.state_dict()
        return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)

    return compare


@pytest.fixture
def run_script(tmp_path):
    """Runs a script in a process of its own, which may start others as the tests' modules are found there."""

    def run(content: str, *arguments: object) -> None:
        script = tmp_path / "script.py"
        script.write_text(content)
        ended = subprocess.run(
            [sys.executable, script, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr[-2000:]

    return run
