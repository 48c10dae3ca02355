"""The command `lightcars`. Its commonest form, `lightcars predict IMAGE`, goes before all other imports."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def run() -> None:
    """Run the command line."""
    if not _answered(sys.argv[1:]):
        from lightcars.cli.main import run as run_any

        run_any()


@dataclass(slots=True)
class _Plain:
    """`predict` with one image file: the weights, the image, and how the answer is shown."""

    run: str | None
    image: str
    top: int = 5
    as_json: bool = False


def _answered(arguments: Sequence[str]) -> bool:
    """Predict with a prepared engine, if there is one and the arguments are plain. No typer, no torch."""
    wanted = _plain(arguments)
    if wanted is None:
        return False
    from lightcars.cli.guesses import print_answer
    from lightcars.cli.output import (
        USER_ERROR,
        complain_in_one_line,
        print_json,
        print_whatever_the_encoding,
    )
    from lightcars.cli.predict_cached import find_answer
    from lightcars.evaluation.guesses import OWN_WEIGHTS

    run = OWN_WEIGHTS if wanted.run is None else wanted.run
    predictions = None
    with suppress(Exception):  # PyTorch then predicts, or says what is wrong
        predictions = find_answer(run, [Path(wanted.image)], top=wanted.top, device=None).predictions
    if predictions is None:
        return False
    print_whatever_the_encoding()
    try:
        if wanted.as_json:
            print_json([prediction.to_plain() for prediction in predictions])
        else:
            for prediction in predictions:
                print_answer(prediction.path, prediction.answer)
    except BrokenPipeError:  # of `lightcars predict car.jpg | head -1`; nothing more is to be flushed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        complain_in_one_line(f"error: cannot write to standard output: {error.strerror or error}.")
        sys.exit(USER_ERROR)
    return True


def _plain(arguments: Sequence[str]) -> _Plain | None:
    """Parse `predict [RUN] IMAGE [--top N] [--json]`, where RUN is a folder; None for all other forms."""
    if arguments[:1] != ["predict"]:
        return None
    names: list[str] = []
    settings: dict[str, int | bool] = {}
    rest = iter(arguments[1:])
    for argument in rest:
        if argument == "--json":
            settings["as_json"] = True
        elif argument == "--top" or argument.startswith("--top="):
            number = next(rest, "") if argument == "--top" else argument.removeprefix("--top=")
            if not (number.isascii() and number.isdigit() and int(number) > 0):
                return None
            settings["top"] = int(number)
        elif argument.startswith("-"):
            return None
        else:
            names.append(argument)
    if not (1 <= len(names) <= 2 and _is_image(names[-1])):
        return None
    if len(names) == 2 and not os.path.isdir(names[0]):  # noqa: PTH112 - any text
        return None
    run = names[0] if len(names) == 2 else None
    return _Plain(run=run, image=names[-1], **settings)  # type: ignore[arg-type]


def _is_image(name: str) -> bool:
    """Return whether it is a file with the suffix of an image, which no weights have."""
    with suppress(ValueError):
        return name.lower().endswith(IMAGE_SUFFIXES) and os.path.isfile(name)  # noqa: PTH113 - any text
    return False
