"""Does one command label a million images, when it is killed in between?

The images are small JPEGs, hard links of a hundred different ones, in folders of a thousand. The model is a
small GhostNet with random weights at 32 px, so that files and rows cost more than the model.

Method: `lightcars predict RUN FOLDER --out table.csv` is started, killed by SIGKILL when it has done a part
of the images, and started again. Then every image must have one row, in order. The resident memory of both
processes is read every second, from /proc.

Reading: `missing` and `twice` should be 0, and memory at the end not above that in the middle.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import lightcars
from benchmarks.harness.neighbors import Neighbors
from benchmarks.harness.options import parser
from benchmarks.harness.ratios import rounded
from benchmarks.harness.record import finish
from lightcars.models.preprocessing import Preprocessing

DIFFERENT = 100
PER_FOLDER = 1000
SIDE = 32
POLL_S = 1.0


def names(folder: Path, number: int) -> Iterator[str]:
    """Yield the names of the images in the order of the table."""
    for position in range(number):
        yield str(folder / f"{position // PER_FOLDER:05d}" / f"{position % PER_FOLDER:03d}.jpg")


def write_images(folder: Path, number: int) -> None:
    contents = []
    for seed in range(DIFFERENT):
        noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).resize((SIDE, SIDE)).save(buffer, "JPEG")
        contents.append(buffer.getvalue())
    originals = []
    for position, content in enumerate(contents):
        originals.append(folder.parent / f"original-{position}.jpg")
        originals[-1].write_bytes(content)
    for position, name in enumerate(names(folder, number)):
        if position % PER_FOLDER == 0:
            Path(name).parent.mkdir(parents=True)
        os.link(originals[position % DIFFERENT], name)


def write_model(folder: Path) -> None:
    model = lightcars.create_model("ghostnet_050", width=0.1, out_channels=16, num_classes=10)
    preprocessing = Preprocessing(resolution=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3)
    classes = [f"class {label}" for label in range(10)]
    lightcars.save(model.eval(), folder, classes=classes, preprocessing=preprocessing)


def rows_of(part: Path) -> int:
    """Return the number of rows that an unfinished table has."""
    with suppress(FileNotFoundError), (part / "rows.jsonl").open("rb") as file:
        return sum(1 for _ in file)
    return 0


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


def run(command: list[str], until: Callable[[], bool]) -> dict[str, Any]:
    """Run the command, and kill it once `until` says so."""
    begun = time.perf_counter()
    memory = []
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        while process.poll() is None:
            memory.append(memory_mib(process.pid))
            if until():
                process.send_signal(signal.SIGKILL)
            time.sleep(POLL_S)
        errors.seek(0)
        if process.returncode not in (0, -signal.SIGKILL):
            raise SystemExit(errors.read().decode())
    memory = [value for value in memory if value] or [0.0]  # 0 once the process has ended
    return {
        "s": rounded(time.perf_counter() - begun),
        "killed": process.returncode == -signal.SIGKILL,
        "memory_mib": {
            "middle": rounded(memory[len(memory) // 2]),
            "end": rounded(memory[-1]),
            "at most": rounded(max(memory)),
        },
    }


def check(table: Path, folder: Path, number: int) -> dict[str, int]:
    """Compare the table's names with the images."""
    missing = twice = rows = failed = 0
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        expected = names(folder, number)
        last = ""
        for row in reader:
            rows += 1
            failed += bool(row["error"])
            if row["image"] == last:
                twice += 1
                continue
            last = row["image"]
            while next(expected, last) != last:
                missing += 1
    missing += sum(1 for _ in expected)
    return {"rows": rows, "missing": missing, "twice": twice, "failed": failed}


def main() -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--images", type=int, default=1_000_000)
    options.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder)")
    options.add_argument("--engine", default="auto")
    options.add_argument("--batch-size", type=int, default=128)
    options.add_argument("--kill-at", type=float, default=0.4, help="share of the images that are done then")
    arguments = options.parse_args()
    if arguments.quick:
        arguments.images, arguments.engine = 3000, "eager"
    number, neighbors = arguments.images, Neighbors(0)
    root = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        begun = time.perf_counter()
        write_images(root / "images", number)
        write_model(root / "model")
        written_s = time.perf_counter() - begun
        table = root / "table.csv"
        part = root / "table.csv.part"
        settings = ["--engine", arguments.engine, "--batch-size", str(arguments.batch_size), "--top", "1"]
        command = [sys.executable, "-m", "lightcars", "predict", str(root / "model"), str(root / "images")]
        command += ["--out", str(table), *settings]
        first = run(command, lambda: rows_of(part) >= arguments.kill_at * number)
        done = rows_of(part)
        second = run(command, lambda: False)
        results = {
            "images": number,
            "written_s": rounded(written_s),
            "done_when_killed": done,
            "first": first,
            "second": second,
            "images_per_s_of_second": rounded((number - done) / second["s"]),
            **check(table, root / "images", number),
        }
    finally:
        shutil.rmtree(root, ignore_errors=True)
    for name, value in results.items():
        print(f"{name}: {value}")
    finish(
        "million_images",
        arguments,
        neighbors,
        results,
        engine=arguments.engine,
        batch_size=arguments.batch_size,
    )
    if not first["killed"] or results["missing"] or results["twice"] or results["rows"] != number:
        raise SystemExit("the command was not killed, or rows are missing or there twice.")


if __name__ == "__main__":
    main()
