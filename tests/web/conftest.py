"""What the tests of the web page share: Chromium, the page of the shipped weights, and a server for it."""

import threading
from contextlib import contextmanager

import pytest
import torch

from lightcars import ghostnet
from lightcars.errors import DownloadError
from lightcars.web.export import export_web
from lightcars.web.page import CAR, PageOptions
from lightcars.web.runtime import RuntimeOptions, find_runtime
from lightcars.web.server import SiteServer
from tests.web.browser import ARGUMENTS, chromium

WEIGHTS = "cars196-ghostnet"
"""The smallest weights for Stanford Cars that ship with the package."""


@pytest.fixture(scope="session")
def runtime():
    """The runtime that is pinned, from the cache or the registry."""
    try:
        return find_runtime(RuntimeOptions(), lambda _: None)
    except DownloadError as error:
        pytest.skip(f"ONNX Runtime Web cannot be fetched: {error}")


@pytest.fixture(scope="session")
def site(runtime, tmp_path_factory):
    """The page of weights for Stanford Cars that ship with the package."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("web") / "site"
    export_web(ghostnet(weights=WEIGHTS), folder, page=PageOptions(subject=CAR))
    torch.set_num_threads(before)
    return folder


@contextmanager
def serving(folder, **settings):
    """A server for a folder, in a thread of its own."""
    with SiteServer(folder, port=0, **settings) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def served(site):
    """The address of the page."""
    with serving(site) as server:
        yield server.address("localhost")


@pytest.fixture(scope="session")
def playwright():
    chromium()
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as found:
        yield found


@pytest.fixture(scope="session")
def browser(playwright):
    launched = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
    yield launched
    launched.close()


@pytest.fixture
def tab(browser):
    """An empty page in a context of its own; no error in it stays unseen."""
    context = browser.new_context(service_workers="block", locale="en-US")
    page = context.new_page()
    page.set_default_timeout(20_000)
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert problems == []
