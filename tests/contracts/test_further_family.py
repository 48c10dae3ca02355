"""CONTRIBUTING.md's "Add a model family", followed to the letter in a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = (
    "tests/contracts/tiny_family.py",
    "tests/contracts/test_every_model.py",
    "tests/models/test_registry.py",
)
LEAST_TESTS = 40
"""Were the family not registered, none would be selected."""


def code_blocks() -> list[str]:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.partition("## Add a model family\n")[2].partition("\n## ")[0]
    return re.findall(r"```python no-run-family\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def with_tiny(tmp_path) -> Path:
    """The folder that holds a copy of the package with one more family."""
    package = tmp_path / "lightcars"
    shutil.copytree(ROOT / "src" / "lightcars", package, ignore=shutil.ignore_patterns("__pycache__"))
    config, model, imports, row = code_blocks()
    folder = package / "models" / "tiny"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Tiny."""\n')
    (folder / "config.py").write_text(config)
    (folder / "model.py").write_text(model)
    families = package / "models" / "families.py"
    table = families.read_text(encoding="utf-8")
    table = table.replace("\nif TYPE_CHECKING:\n", f"{imports}\nif TYPE_CHECKING:\n", 1)
    table = table.replace("\n)\n\nFAMILIES", f"\n{row.rstrip()},\n)\n\nFAMILIES", 1)
    families.write_text(table, encoding="utf-8")
    return tmp_path


def test_a_further_family_is_a_folder_and_a_row(with_tiny):
    environment = os.environ | {"PYTHONPATH": str(with_tiny), "OMP_NUM_THREADS": "1"}
    environment |= {"LIGHTCARS_CACHE": str(with_tiny / "cache")}
    options = ("-q", "-p", "no:cacheprovider", "-k", "tiny", "-m", "not slow")
    command = [sys.executable, "-m", "pytest", *options, *TESTS]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.stdout[-5000:]}{ran.stderr[-2000:]}"
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) >= LEAST_TESTS, ran.stdout
