"""The application: its commands, and errors shown as one line."""

from __future__ import annotations

import errno
import sys
import time
import warnings
from typing import Annotated, NoReturn

import typer

from lightcars.cli.bench import bench
from lightcars.cli.compare import compare
from lightcars.cli.convert import convert
from lightcars.cli.data import data
from lightcars.cli.demo import demo
from lightcars.cli.evaluate import evaluate
from lightcars.cli.export import export
from lightcars.cli.finetune import finetune
from lightcars.cli.help import make_helpful
from lightcars.cli.info import info
from lightcars.cli.list_models import list_models
from lightcars.cli.optimize import optimize
from lightcars.cli.output import USER_ERROR, complain_in_one_line, print_whatever_the_encoding
from lightcars.cli.predict import predict
from lightcars.cli.recipes import app as recipes
from lightcars.cli.report import report
from lightcars.cli.serve import serve
from lightcars.cli.weights import app as weights
from lightcars.errors import LightcarsError
from lightcars.memory_limits import is_out_of_memory
from lightcars.training.distributed.processes import is_first_process
from lightcars.version import __version__

OUT_OF_MEMORY = "not enough memory; lower the resolution or the batch size, or raise the memory limit."
FIRST_SPEAKS_S = 5.0
"""How long the other processes of a run wait for the first one to report an error."""

app = typer.Typer(
    name="lightcars",
    help="Lightweight image classifiers: inspect, fine-tune, evaluate, predict, deploy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    pass


app.command(name="list")(list_models)
app.command()(info)
app.command()(finetune)
app.command()(evaluate)
app.command()(predict)
app.add_typer(recipes, name="recipes")
app.command()(report)
app.add_typer(weights, name="weights")
app.command()(convert)
app.command()(export)
app.command()(serve)
app.command()(optimize)
app.command()(bench)
app.command()(compare)
app.command()(demo)
app.add_typer(data, name="data")
make_helpful(app)


def _show_warning(message: Warning | str, *_: object) -> None:
    complain_in_one_line(f"warning: {message}")


def run() -> None:
    """Run the command line; a user error is one line and exit code 2."""
    print_whatever_the_encoding()
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        app()
    except LightcarsError as error:
        _end(str(error))
    except OSError as error:
        if error.errno == errno.ENOMEM:
            _end(OUT_OF_MEMORY)
        _end(f"{error.filename or 'a file'}: {error.strerror or error}.")
    except (MemoryError, RuntimeError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        _end(OUT_OF_MEMORY)


def _end(problem: str) -> NoReturn:
    """Print an error and exit, also in one of several processes of a run.

    The first process mostly has the same error, and its exit ends the others before they repeat it.
    """
    if not is_first_process():
        time.sleep(FIRST_SPEAKS_S)
    complain_in_one_line(f"error: {problem}")
    sys.exit(USER_ERROR)
