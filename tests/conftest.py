"""Fixtures of all tests: a fixed seed, one thread, the reference values, and two small tools."""

import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROOT = Path(__file__).parent.parent

os.environ.setdefault("LIGHTCARS_PREDICT_CACHE", "0")  # an engine after every `lightcars predict` takes long

pytest_plugins = ["tests.fixtures.training_runs"]

UNTRACED = ("benchmarks", "contracts", "docs", "parity")
"""Folders whose tests export, compile and count whole models, which is slow under coverage's tracer.

The folders named like rooms test the same code.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave tests of the untraced folders out of the coverage."""
    for item in items:
        if item.path.is_relative_to(ROOT / "tests") and item.path.parent.name in UNTRACED:
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """More threads do not speed up small tensors, and on a busy machine they wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed():
    """Each test gets the same random numbers, in any order of tests."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference values and golden tensors; tests that need it are skipped without it."""
    folder = Path(os.environ.get("LIGHTCARS_SHARED", ROOT.parent / "shared")) / "reference"
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist")
    return folder


@pytest.fixture
def randomize_norms():
    """Give every batch norm of a model weights and statistics that differ from the identity."""

    def randomize(model: nn.Module) -> nn.Module:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 1.5)
        return model

    return randomize


class NoRealMemory(TorchDispatchMode):
    """Fail as soon as an operator allocates a tensor of more than `limit_bytes` that is not on meta."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__()
        self.limit_bytes = limit_bytes

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.device.type != "meta":
                size = leaf.untyped_storage().nbytes()
                assert size <= self.limit_bytes, f"{func} allocated {size} bytes of real memory"
        return result


@pytest.fixture
def no_real_memory():
    """A context in which only tensors on the meta device may be large."""

    def forbid(limit_bytes: int = 2**20) -> AbstractContextManager:
        return NoRealMemory(limit_bytes)

    return forbid
