"""The notebooks of docs/tutorials run as they stand, and show the outputs of a whole run."""

import re
from pathlib import Path

import nbformat
import pytest

from scripts import notebooks

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted(notebooks.TUTORIALS.glob("*.ipynb"))
READ = {path.stem: nbformat.read(path, as_version=4) for path in TUTORIALS}


def test_every_notebook_is_listed():
    text = (notebooks.TUTORIALS / "index.md").read_text()
    assert sorted(re.findall(r"^(\w+)$", text, re.MULTILINE)) == sorted(READ)


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_notebooks_run(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    notebooks.run(path, tmp_path)


@pytest.mark.parametrize("name", READ)
def test_notebooks_hold_the_outputs_of_one_whole_run(name):
    cells = [cell for cell in READ[name].cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert not [
        output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"
    ]


@pytest.mark.parametrize("name", READ)
def test_notebooks_install_extras_that_exist_on_colab(name):
    install = next(cell for cell in READ[name].cells if cell.cell_type == "code")
    extras = re.search(r"lightcars\[([\w,]+)\]", install.source)
    assert extras is not None
    known = (ROOT / "pyproject.toml").read_text()
    assert all(re.search(rf"^{extra} = \[", known, re.MULTILINE) for extra in extras[1].split(","))


@pytest.mark.parametrize("name", READ)
def test_links_lead_to_pages(name):
    for cell in READ[name].cells:
        for link in re.findall(r"\]\((\.\./[\w./-]+)", cell.source):
            assert (notebooks.TUTORIALS / link).is_file(), link
