"""Every code and shell block of every page runs, in the page's order, from an empty folder.

`pages.py` has the environment, `programs.py` what the shell finds in PATH, `presumed.py` the files that pages
presume, `published.py` what stands for downloads. A block that cannot run says why: `no-run-REASON` after
its language.
"""

import re
import tomllib

import pytest

from lightcars import finetune
from lightcars.errors import DownloadError
from lightcars.web.runtime import RuntimeOptions, find_runtime
from tests.docs import published
from tests.docs.pages import PAGES, ROOT, SKIP, WHOLE, Reader, blocks, install_programs, name
from tests.docs.presumed import MAKERS, PRESUMED, _class_folders

REASONS = {
    "extra": (
        "needs an extra that the environment of the tests lacks",
        r"wandb|mlflow|executorch|litert|tflite",
    ),
    "hub": ("needs a repository on the Hub", r"hf:|push_to_hub|from_pretrained"),
    "photographs": ("needs photographs, and hours", r"^python -m (scripts|benchmarks)"),
    "machines": ("needs several machines", "--nnodes 2"),
    "tests": ("runs tests, which CI does", r"^pytest "),
    "family": ("run by tests/contracts/test_further_family.py", r"(?i)tiny"),
}
"""Reason of a mark -> what it means, and what a block with it must contain."""

QUICK = {"docs/index.md", "README.md"}
"""Pages that also the quick tests run as a whole."""

EVERY = [block for page in PAGES for block in blocks(page)]
RUN = [page for page in PAGES if any(block.runs for block in blocks(page))]


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A run of one epoch for the pages that presume one."""
    folder = tmp_path_factory.mktemp("presumed")
    _class_folders(folder / "images", folder)
    finetune(folder / "images", model="ghostnet_050", epochs=1, resolution=32, out=folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs") / "bin"
    install_programs(folder)
    return folder


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name(page), marks=() if name(page) in QUICK else pytest.mark.slow)
        for page in RUN
    ],
)
def test_a_page_runs_from_an_empty_folder(page, tmp_path, monkeypatch, programs, request):
    wanted = [block for block in blocks(page) if block.runs]
    if any("--to web" in block.source or "export_web" in block.source for block in wanted):
        require_runtime()
    folder, caches = tmp_path / "reader", tmp_path / "caches"
    folder.mkdir()
    presumed = PRESUMED.get(name(page), ())
    run = request.getfixturevalue("finished_run") if any("runs/" in each for each in presumed) else folder
    for each in presumed:
        MAKERS[each](folder / each, run)
    reader = Reader(folder, programs, caches)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LIGHTCARS_CACHE", str(caches / "lightcars"))
    published.serve(monkeypatch.setattr)
    session = {"__name__": "reader"}
    for block in wanted:
        reader.run(block, session)


def require_runtime():
    """Have the runtime of the web page in the cache before the network is gone."""
    try:
        find_runtime(RuntimeOptions(), lambda _: None)
    except DownloadError as error:
        pytest.skip(f"ONNX Runtime Web cannot be fetched: {error}")


def test_marks_are_known():
    marks = {(block.language, block.mark) for block in EVERY}
    known = {f"{SKIP}{reason}" for reason in REASONS}
    assert {mark for _, mark in marks} <= {"", WHOLE, *known}
    assert ("sh", WHOLE) not in marks, "shell blocks run in order anyway"
    assert known <= {mark for _, mark in marks}, "a reason that no block has"


@pytest.mark.parametrize(
    "block",
    [pytest.param(block, id=f"{name(block.page)}:{block.line}") for block in EVERY if not block.runs],
)
def test_what_does_not_run_has_the_reason_that_it_states(block):
    meaning, sign = REASONS[block.reason]
    lines = [line for line in block.source.splitlines() if not line.startswith(("pip install", "    "))]
    if block.language == "sh":
        assert all(re.search(sign, line) for line in lines), f"not every line {meaning}"
    else:
        assert re.search(sign, block.source), f"it does not look as if it {meaning}"


def test_extras_that_do_not_run_are_not_in_the_environment_of_the_tests():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    own = next(line for line in extras["dev"] if line.startswith("lightcars["))
    assert not re.search(REASONS["extra"][1], own)


def test_presumed_files_are_named_on_their_pages():
    assert {each for presumed in PRESUMED.values() for each in presumed} == set(MAKERS)
    for page, presumed in PRESUMED.items():
        text = "\n".join(block.source for block in blocks(ROOT / page) if block.runs)
        for each in presumed:
            assert re.search(rf"(?<![\w./-]){re.escape(each)}(?![\w-])", text), f"{page} does not name {each}"
