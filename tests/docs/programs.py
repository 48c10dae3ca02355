"""Programs of the pages' shell blocks as the tests run them: short, offline, and none that stays up.

`lightcars` is this source. Whatever a page asks for, it trains one epoch and measures briefly. It takes
published weights from `tests/docs/published.py`, and stops a server once it has answered. `pip install`
checks the names of extras.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
EPOCHS = ("--epochs", "1")
SMALL = ("--resolution", "64")
SHORTER = {"finetune": EPOCHS, "compare": (*EPOCHS, *SMALL), "bench": ("--seconds", "0.05", *SMALL)}
"""Command -> the options that end it soon; of options that are given twice the last one counts."""


def lightcars(arguments: Sequence[str]) -> None:
    if arguments[0] == "serve":
        port = free_port()
        scheme = "https" if "--certificate" in arguments else "http"
        command = [sys.executable, "-m", "lightcars", *arguments, "--port", str(port)]
        ask_once(command, f"{scheme}://localhost:{port}/")
        return
    from lightcars.cli.start import run
    from tests.docs import published

    published.serve()
    sys.argv = ["lightcars", *arguments, *SHORTER.get(arguments[0], ())]
    run()


def pip(arguments: Sequence[str]) -> None:
    """Check `pip install ...` without doing it."""
    assert arguments[0] == "install", arguments
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    ours = [
        found for argument in arguments if (found := re.match(r"(?:lightcars|\.)(?:\[(.+)\])?$", argument))
    ]
    unknown = {extra for found in ours if found[1] for extra in found[1].split(",")} - extras.keys()
    assert not unknown, unknown


def tensorboard(arguments: Sequence[str]) -> None:
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", *arguments, "--port", str(port)]
    ask_once(command, f"http://localhost:{port}/")


def torchrun(arguments: Sequence[str]) -> None:
    os.execv(sys.executable, [sys.executable, "-m", "torch.distributed.run", *arguments, *EPOCHS])


def curl(arguments: Sequence[str]) -> None:
    """Print the file of an address, which lies in this folder."""
    sys.stdout.buffer.write(Path(arguments[-1].rpartition("/")[2]).read_bytes())


def mkcert(arguments: Sequence[str]) -> None:
    """Write a certificate and a key that nobody trusts."""
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    files = ("-out", given["-cert-file"], "-keyout", given["-key-file"])
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", *files)
    subprocess.run(made, check=True, capture_output=True)


PROGRAMS: dict[str, Callable[[Sequence[str]], None]] = {
    program.__name__: program for program in (lightcars, pip, tensorboard, torchrun, curl, mkcert)
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask_once(command: Sequence[str], address: str, *, patience_s: float = 60) -> None:
    """Start a server, wait for an answer, and stop it with Ctrl-C."""
    nobody = ssl.create_default_context()
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
    with subprocess.Popen(command) as server:
        until = time.monotonic() + patience_s
        try:
            while True:
                try:
                    with urllib.request.urlopen(address, context=nobody, timeout=10) as answer:
                        assert b"<html" in answer.read().lower()
                    break
                except urllib.error.URLError:
                    if server.poll() is not None or time.monotonic() > until:
                        raise
                    time.sleep(0.2)
        finally:
            server.send_signal(signal.SIGINT)
    assert server.returncode == 0, server.returncode


if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](sys.argv[2:])
