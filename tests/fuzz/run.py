"""Feed damaged files to everything that reads files.

    python -m tests.fuzz.run --inputs 10000 [KIND ...]

Each kind runs in a process of its own, with limits of memory and time. Every input must end in a result or
in one of the library's errors. Prints a line for each kind and each bad input; exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from random import Random
from types import FrameType

from lightcars.errors import LightcarsError
from tests.fuzz.kinds import KINDS, Kind

SECONDS = 10
"""Of CPU time for one input, so that other processes of the machine do not matter."""
WAIT_SECONDS = 60
"""Of wall time for one that waits; a hang that Python cannot interrupt is ended after twice as long."""
TIMERS = {
    signal.ITIMER_PROF: (signal.SIGPROF, SECONDS),
    signal.ITIMER_REAL: (signal.SIGALRM, WAIT_SECONDS),
}
MEMORY_BYTES = 2 << 30
"""Address space beyond that of the process at its start."""
MAX_BAD = 20
"""A kind is given up after so many bad inputs."""


class OutOfTime(BaseException):
    """An input takes too long; not an Exception, so that no reader catches it."""


def main() -> int:
    """Run the kinds that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--inputs", type=int, default=300, help="of each kind (default: 300)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the outcomes to this file")
    arguments = parser.parse_args()
    outcomes = {}
    for name in sorted(arguments.kinds, key=lambda name: KINDS[name].torch):
        if KINDS[name].torch:
            import torch  # noqa: F401  # once, before the processes fork
        start = time.monotonic()
        outcomes[name] = outcome = fuzz(name, arguments.inputs, arguments.seed)
        took = time.monotonic() - start
        counts = f"{outcome['accepted']} accepted, {outcome['refused']} refused, {len(outcome['bad'])} bad"
        _say(f"{name}: {counts} ({took:.0f} s)")
        for bad in outcome["bad"]:
            _say(f"  {bad}")
    if arguments.json:
        arguments.json.write_text(json.dumps(outcomes))
    return int(any(outcome["bad"] for outcome in outcomes.values()))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def fuzz(name: str, inputs: int, seed: int) -> dict:
    """Run the inputs of a kind in processes; after a crash the next one goes on behind it."""
    total = {"accepted": 0, "refused": 0, "bad": []}
    with tempfile.TemporaryDirectory(prefix="lightcars-fuzz-") as folder:
        work, start = Path(folder), 0
        while start < inputs and len(total["bad"]) < MAX_BAD:
            child = os.fork()
            if not child:
                os._exit(_in_child(name, range(start, inputs), seed, work))
            status = _wait(child, work / "progress")
            found = [json.loads(line) for line in _lines(work / "log")]
            done = [one for one in found if one["number"] >= start]
            for one in done:
                if one["outcome"] == "bad":
                    total["bad"].append(f"{name} {seed}:{one['number']}: {one['error']}")
                else:
                    total[one["outcome"]] += 1
            start = done[-1]["number"] + 1 if done else start
            if status:  # the input behind the last logged one ended the process
                total["bad"].append(f"{name} {seed}:{start}: the process ended with {status}")
                start += 1
    return total


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _wait(child: int, progress: Path) -> int:
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.05)
        if progress.exists() and time.time() - progress.stat().st_mtime > 2 * WAIT_SECONDS:
            os.kill(child, signal.SIGKILL)


def _in_child(name: str, numbers: range, seed: int, work: Path) -> int:
    """Read each input and log its outcome; returns the exit code."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)  # libraries in C print there
    warnings.simplefilter("ignore")
    kind, folder = KINDS[name], work / "files"
    folder.mkdir(exist_ok=True)
    try:
        seeds = kind.seeds(folder)
        for suffix, content in seeds.items():  # the valid files are read before memory is limited
            kind.read(_placed(kind, folder, suffix, content))
        _limit_memory()
        with (work / "log").open("a") as log:
            for number in numbers:
                (work / "progress").touch()
                outcome, error = _outcome(kind, seeds, folder, Random(f"{name}:{seed}:{number}"))
                log.write(json.dumps({"number": number, "outcome": outcome, "error": error}) + "\n")
                log.flush()
    except BaseException:
        (work / "log").open("a").write(
            json.dumps({"number": numbers.stop, "outcome": "bad", "error": traceback.format_exc()}) + "\n"
        )
    return 0


def _placed(kind: Kind, folder: Path, suffix: str, content: bytes) -> Path:
    path = folder / kind.place.replace("*", suffix)
    path.write_bytes(content)
    return path


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _outcome(kind: Kind, seeds: dict[str, bytes], folder: Path, random: Random) -> tuple[str, str]:
    suffix = random.choice(sorted(seeds))
    path = _placed(kind, folder, suffix, kind.mutate(seeds[suffix], random))
    for timer, (number, seconds) in TIMERS.items():
        signal.signal(number, _out_of_time)
        signal.setitimer(timer, seconds)
    try:
        kind.read(path)
    except LightcarsError as error:
        return "refused", str(error)[:200]
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "lightcars" in frame.filename]
        last = ours[-1] if ours else where
        return "bad", f"{type(error).__name__}: {str(error)[:200]} ({last.filename}:{last.lineno})"
    else:
        return "accepted", ""
    finally:
        for timer in TIMERS:
            signal.setitimer(timer, 0)


def _out_of_time(_number: int, _frame: FrameType | None) -> None:
    raise OutOfTime


if __name__ == "__main__":
    sys.exit(main())
