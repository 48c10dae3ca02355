"""Errors of converters, as one line with the operator or the line of code that is not supported. No torch."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from lightcars.deploy.packages import quietly
from lightcars.errors import ExportError, LightcarsError


@contextmanager
def conversion_errors(engine: str) -> Iterator[None]:
    """Raise what a converter raises as an ExportError of one line, with the operator that it lacks."""
    try:
        yield
    except LightcarsError:
        raise
    except Exception as error:
        raise ExportError(f"{engine} does not support this model: {conversion_problem(error)}") from error


_OPERATOR = re.compile(r"\b(?:aten|prims|torchvision)(?:::|\.)\w+(?:\.\w+)?")
_CODE = re.compile(r'File "(?:[^"\n]*/)?([^"/\n]+)", line (\d+), in \w+(?:\n[ \t]+(\S[^\n]*))?')
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_REASON = 200


def conversion_problem(error: BaseException) -> str:
    """Return why a conversion failed in one line, with the operator or the line of code if it is known."""
    texts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(texts) < 10:
        texts.append(_COLOR.sub("", str(cause)))
        cause = cause.__cause__ or cause.__context__
    lines = [line.strip() for line in texts[0].splitlines() if line.strip()]
    reason = lines[0][:_LONGEST_REASON] if lines else type(error).__name__
    if _OPERATOR.search(reason):
        return reason
    for text in reversed(texts):  # the original error names the operator
        if operator := _OPERATOR.search(text):
            return f"operator {operator.group()} is not supported"
    for text in texts:
        if code := _CODE.search(text):
            file, line, source = code.groups()
            return f"{reason} (in {file}, line {line}{': ' + source.strip()[:80] if source else ''})"
    return reason


@contextmanager
def no_output() -> Iterator[None]:
    """Discard the graphs that torch.export logs and prints when it fails."""
    with quietly(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield
