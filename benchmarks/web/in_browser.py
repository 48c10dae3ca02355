"""Does the web page classify as `lightcars predict` does, how fast, and how large is it?

Method: the page of the shipped weights with the car finder, as the command exports it, in Chromium
without a GPU, driven by Playwright; once for each way to store the weights. Accuracy: photographs of
`val`, each through the page's own decoding, resizing and models, beside `lightcars.predict`. First
answer: a new profile opens the page and gets a photograph at once; wall-clock time until the answer is
shown. Further answers: from handing over a file until its answer is shown.
`python -m benchmarks.web.in_browser --data cars196` takes a few minutes.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

import lightcars
from benchmarks.harness.ratios import rounded, table
from benchmarks.harness.record import RESULTS, write
from lightcars.data.layouts import Sample, find_data
from lightcars.runs.trained import load_trained
from lightcars.web.export import WebPage, export_web
from lightcars.web.page import CAR, PageOptions
from lightcars.web.pins import VERSION
from lightcars.web.server import SiteServer
from lightcars.web.storage import STORAGES, Storage
from lightcars.weights.car_finder import load_car_finder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
ANSWER = """
async (content) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "photograph"));
  const cars = document.getElementById("cars");
  const answered = new Promise((resolve) => {
    const observer = new MutationObserver(() => (observer.disconnect(), resolve()));
    observer.observe(cars, { childList: true });
  });
  const input = document.getElementById("file");
  const began = performance.now();
  input.files = transfer.files;
  input.dispatchEvent(new Event("change"));
  await answered;
  return {
    ms: performance.now() - began,
    name: cars.querySelector(".name").textContent,
    unfamiliar: cars.querySelector(".unfamiliar") !== null,
  };
}
"""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a page, and return its address."""
    with SiteServer(folder, port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.address("localhost")
        server.shutdown()


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    """Open the page in a new profile, and wait until it is ready."""
    context = browser.new_context(service_workers="block", locale="en-US")
    page = context.new_page()
    page.goto(address)
    page.get_by_text("Ready.", exact=True).wait_for()
    yield page
    context.close()


def first_answer_s(browser: Browser, address: str, path: Path) -> float:
    """Return the time from opening the page in a new profile to the first answer."""
    context = browser.new_context(service_workers="block", locale="en-US")
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator("#file").wait_for(state="attached")
    page.set_input_files("#file", path)
    page.locator("#cars .name").first.wait_for()
    took = time.perf_counter() - began
    context.close()
    return took


def answers(page: Page, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the page's answer for each file."""
    contents = (base64.b64encode(path.read_bytes()).decode() for path in paths)
    return [page.evaluate(ANSWER, content) for content in tqdm(contents, total=len(paths), leave=False)]


def samples_of(data: Path, number: int) -> tuple[list[Sample], Sequence[str]]:
    """Return `number` photographs of `val`, evenly spread over the classes."""
    found = find_data(data)
    samples = found.split("val")
    step = len(samples) / min(number, len(samples))
    return [samples[int(i * step)] for i in range(min(number, len(samples)))], found.classes


def measured(browser: Browser, folder: Path, paths: Sequence[Path], rounds: int) -> dict[str, Any]:
    """Return answers and latencies of one page."""
    with served(folder) as address:
        first = [first_answer_s(browser, address, paths[0]) for _ in range(rounds)]
        with opened(browser, address) as page:
            answers(page, paths[:3])
            found = answers(page, paths)
            isolated = page.evaluate("self.crossOriginIsolated")
    return {"first_s": first, "answers": found, "isolated": isolated}


def median(values: Sequence[float]) -> float:
    return rounded(sorted(values)[len(values) // 2])


def shared(some: Sequence[object], others: Sequence[object]) -> float:
    """Return how many percent of the values are equal."""
    return rounded(100 * sum(a == b for a, b in zip(some, others, strict=True)) / len(some))


def summary(
    found: dict[str, Any], ours: Sequence[lightcars.Prediction], truth: Sequence[str], sizes: dict[str, int]
) -> dict[str, Any]:
    """Return accuracy, agreement, latencies and sizes."""
    names = [answer["name"] for answer in found["answers"]]
    latencies = [answer["ms"] for answer in found["answers"]]
    python = [prediction.guesses[0].name for prediction in ours]
    return {
        **sizes,
        "top1_percent": shared(names, truth),
        "python_top1_percent": shared(python, truth),
        "same_class_percent": shared(names, python),
        "same_familiar_percent": shared(
            [answer["unfamiliar"] for answer in found["answers"]],
            [prediction.familiar is False for prediction in ours],
        ),
        "first_answer_s": {"median": median(found["first_s"]), "max": rounded(max(found["first_s"]))},
        "answer_ms": {"median": median(latencies), "max": rounded(max(latencies))},
        "cross_origin_isolated": found["isolated"],
    }


def parsed() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="photographs of Stanford Cars with `val`")
    options.add_argument("--photographs", type=int, default=300, help="of `val` (default 300)")
    options.add_argument("--rounds", type=int, default=5, help="first answers (default 5)")
    options.add_argument("--storage", choices=STORAGES, action="append", help="only these (default: all)")
    options.add_argument("--chromium", default=shutil.which("chromium"), help="path of the browser")
    options.add_argument("--out", type=Path, default=RESULTS / "in_browser.json")
    return options.parse_args()


def exported(folder: Path, storage: Storage) -> WebPage:
    """Write the page as `lightcars export cars196 --to web` does: with the car finder."""
    finder = load_car_finder(torch.device("cpu"))
    model = load_trained("cars196", "cpu").model
    return export_web(model, folder, page=PageOptions(subject=CAR), finder=finder, storage=storage)


def main() -> None:
    arguments = parsed()
    from playwright.sync_api import sync_playwright

    samples, classes = samples_of(arguments.data, arguments.photographs)
    paths, truth = [Path(sample.path) for sample in samples], [classes[sample.label] for sample in samples]
    ours = lightcars.predict("cars196", paths, top=1)
    results = {}
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as work:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=list(ARGUMENTS))
        version = browser.version
        for storage in arguments.storage or STORAGES:
            page = exported(Path(work) / storage, storage)
            sizes = {name: getattr(page, name) for name in ("page_bytes", "model_bytes", "runtime_bytes")}
            found = measured(browser, page.path, paths, arguments.rounds)
            results[storage] = summary(found, ours, truth, sizes)
            print(storage, results[storage])
        browser.close()
    print(
        table(
            ("weights", "top-1", "of predict", "same class"),
            [
                [
                    name,
                    *(
                        f"{row[key]:.2f}"
                        for key in ("top1_percent", "python_top1_percent", "same_class_percent")
                    ),
                ]
                for name, row in results.items()
            ],
        )
    )
    write(
        arguments.out,
        "in_browser",
        weights="cars196",
        photographs=len(paths),
        rounds=arguments.rounds,
        chromium=version,
        runtime=VERSION,
        results=results,
    )


if __name__ == "__main__":
    main()
