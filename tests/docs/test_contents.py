"""The documentation's contents: every page in one group, every public name and room in the API reference."""

import re
from pathlib import Path

import lightcars
from lightcars import layers
from lightcars.models.families import FAMILIES

DOCS = Path(__file__).parents[2] / "docs"
GROUPS = (
    "Start",
    "Models and weights",
    "Training",
    "Deployment and benchmarks",
)
TREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.MULTILINE | re.DOTALL)


def trees(page: str) -> list[str]:
    return TREE.findall((DOCS / page).read_text())


def entries(page: str) -> list[str]:
    return [line for tree in trees(page) for line in tree.splitlines() if line and not line.startswith(":")]


def test_the_contents_have_four_groups():
    captions = [re.findall(r"^:caption: (.*)$", tree, re.MULTILINE) for tree in trees("index.md")]
    assert captions == [[group] for group in GROUPS]


def test_every_page_is_in_one_group():
    pages = [path.stem for path in DOCS.glob("*.md") if path.stem != "index"]
    assert sorted(entries("index.md")) == sorted([*pages, "api/index", "decisions/index", "tutorials/index"])


def test_every_family_has_a_page_in_the_contents():
    pages = [f"models/{path.stem}" for path in (DOCS / "models").glob("*.md")]
    assert sorted(entries("models.md")) == sorted(pages) == sorted(f"models/{name}" for name in FAMILIES)


def test_every_page_of_the_api_reference_is_listed():
    pages = [path.stem for path in (DOCS / "api").glob("*.md") if path.stem != "index"]
    assert sorted(entries("api/index.md")) == sorted(pages)


def documented(prefix: str) -> list[str]:
    """Return the names below a public path that the API reference documents, as often as it does."""
    text = "\n".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    return re.findall(rf"^\.\. auto(?:function|class):: {re.escape(prefix)}\.(\w+)$", text, re.MULTILINE)


def test_every_public_name_is_documented_by_its_public_path():
    assert sorted(documented("lightcars")) == sorted(set(lightcars.__all__) - {"__version__"})
    assert sorted(documented("lightcars.layers")) == sorted(layers.__all__)


def test_the_api_reference_names_modules_that_exist():
    for page in (DOCS / "api").glob("*.md"):
        for module in re.findall(r"^\.\. automodule:: (\S+)$", page.read_text(), re.MULTILINE):
            path = DOCS.parent / "src" / module.replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), module
