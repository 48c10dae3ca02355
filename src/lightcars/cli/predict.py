"""`lightcars predict`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from lightcars.cli.guesses import print_answer
from lightcars.cli.loading import is_registered
from lightcars.cli.output import print_json
from lightcars.cli.predict_cached import Answer, find_answer, prepare_next
from lightcars.deploy.runners import ENGINES
from lightcars.errors import InputError
from lightcars.outputs import FORCE_HELP, check_output_file

if TYPE_CHECKING:
    from lightcars.data.car_names import Level
    from lightcars.evaluation.guesses import Prediction
    from lightcars.evaluation.options import PredictOptions

EAGER = "eager"
TABLES = (".csv", ".jsonl", ".parquet")
"""Suffixes of tables; `lightcars.evaluation.bulk.formats` writes them."""
MORE_SUFFIXES = {".gif", ".tif", ".tiff", ".avif", ".heic"}
"""Suffixes of files that are taken for images rather than for runs."""


def predict(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] IMAGE...",
            help="Images: files, folders, patterns such as 'cars/**/*.jpg', http(s) addresses, or - for an"
            " image on standard input. Before them a run folder of `lightcars finetune`, a checkpoint folder"
            " or published weights \\[default: cars196, which ships with lightcars].",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Weights in place of RUN: a tag of `lightcars weights`, such as imagenet for its 1,000"
            " classes,"
            " or a folder. If RUN is a name from `lightcars list`: weights of that model."
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes to show.")] = 5,
    picture: Annotated[
        Path | None, typer.Option(help="Plot the image with its prediction to this PNG (one image).")
    ] = None,
    cam: Annotated[
        Path | None,
        typer.Option(help="Plot the Grad-CAM map of the most likely class to this PNG (one image)."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... \\[default: cuda if available].")] = None,
    force: Annotated[bool, typer.Option("--force", help=FORCE_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    files_from: Annotated[
        Path | None,
        typer.Option(help="Read names of images from this file, one per line; - for standard input."),
    ] = None,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="Names in --files-from end with NUL, as from find -print0.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help=f"Write a table: {', '.join(TABLES)}. After an interruption, the same command resumes."
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help=f"auto, eager, {', '.join(ENGINES)}; auto is eager below 1,000 images, and otherwise the"
            " fastest that `lightcars optimize` finds."
        ),
    ] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16, or auto for the faster one.")] = "fp32",
    batch_size: Annotated[int, typer.Option(min=1, help="Images per forward pass.")] = 32,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads that read images \\[default: number of cores].", show_default=False
        ),
    ] = None,
    level: Annotated[
        str,
        typer.Option(
            help="Detail of car names: make, model or full. Probabilities of classes with the same name are"
            " summed."
        ),
    ] = "full",
    cut: Annotated[
        bool | None,
        typer.Option(
            "--cut/--no-cut",
            help="--cut: images are cropped to their car already, so the car is not searched for;"
            " --no-cut: find the car for any weights \\[default: find it for weights of cars].",
            show_default=False,
        ),
    ] = None,
    all_cars: Annotated[
        bool, typer.Option("--all", help="Classify every car that is found, not only the largest one.")
    ] = False,
) -> None:
    """Classify images and show probabilities, or write a table of any number of them.

    Without RUN, the classes are the 196 cars of Stanford Cars (1991 to 2012). The car is found in the image
    first; if there are several, the largest one.
    These weights are for non-commercial research, as are the photographs that they were trained on.
    Images that cannot be read are named, and the exit code is 1.

    Example: lightcars predict car.jpg, or lightcars predict runs/first *.jpg --top 3,
    or lightcars predict photos --out table.csv, or lightcars predict cat.jpg --weights imagenet
    """
    # Before torch is loaded: its threads, which would spin while they wait, share the cores with those that
    # read images.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if null and files_from is None:
        raise InputError("--null requires --files-from.")
    run, images = run_and_images(arguments or [], weights, listed=files_from is not None)
    from lightcars.evaluation.options import PredictOptions

    options = PredictOptions(level=cast("Level", level), cut=cut, all_cars=all_cars)
    plotted = picture is not None or cam is not None
    plain = files_from is None and out is None and _is_plain(images) and engine in ("auto", EAGER)
    if plotted and (files_from is not None or out is not None or (len(images) == 1 and not plain)):
        raise InputError("--picture and --cam plot one image file, without --out, --files-from and --engine.")
    if plain or plotted:
        paths = [Path(image) for image in images]
        answer = Answer()
        if not plotted and engine != EAGER:
            answer = find_answer(run, paths, top=top, device=device, level=level, cut=cut, all_cars=all_cars)
        predictions = answer.predictions
        if predictions is None:
            predictions = predict_all(
                run, paths, top=top, picture=picture, cam=cam, device=device, force=force, options=options
            )
        if as_json:
            print_json(predictions_as_plain(predictions))
        else:
            print_predictions(predictions)
        if answer.to_prepare is not None:
            prepare_next(answer.to_prepare, run)
        return
    from lightcars.cli.predict_many import Request, predict_many
    from lightcars.evaluation.bulk.engine import EngineChoice

    predict_many(
        Request(
            run=run,
            images=tuple(images),
            files_from=files_from,
            separator="\0" if null else "\n",
            top=top,
            choice=EngineChoice(engine=engine, precision=precision, batch_size=batch_size),
            device=device,
            workers=workers or os.cpu_count() or 1,
            options=options,
        ),
        out=out,
        force=force,
        as_json=as_json,
    )


def _is_plain(images: list[str]) -> bool:
    """Return whether it is one file, which needs neither batches nor threads."""
    from lightcars.evaluation.bulk.names import STDIN, is_several, is_url

    return len(images) == 1 and not (is_url(images[0]) or images[0] == STDIN or is_several(images[0]))


def run_and_images(
    arguments: list[str], weights: str | None = None, *, listed: bool = False
) -> tuple[str, list[str]]:
    """Split the arguments into the model and the images.

    `weights` takes the place of the model; after a registered name it is a tag of that model. With `listed`
    there are further images in a list, so that none is needed here.

    Raises:
        InputError: there are no images, or an argument cannot be one.
    """
    from lightcars.evaluation.bulk.names import check_name
    from lightcars.evaluation.guesses import OWN_WEIGHTS
    from lightcars.runs.places import holds_model
    from lightcars.weights.catalog import find_tag

    for argument in arguments:
        check_name(argument)
    if not arguments:
        if not listed:
            raise InputError("name images: lightcars predict IMAGE...")
        return weights or OWN_WEIGHTS, []
    if weights is not None:
        return _with_weights(arguments, weights, listed=listed)
    if is_registered(arguments[0]):
        raise InputError(
            f"{arguments[0]} is a model without weights; add --weights imagenet, or another tag."
        )
    runs = [holds_model(Path(argument)) or find_tag(argument) is not None for argument in arguments]
    first, rest = arguments[0], arguments[1:]
    if runs[0]:
        if not rest and not listed:
            raise InputError(f"name images too: lightcars predict {first} IMAGE...")
        return first, rest
    if any(runs):
        raise InputError(f"{arguments[runs.index(True)]} must come before the images.")
    if (not rest and not listed) or _is_image(first):
        return OWN_WEIGHTS, arguments
    return first, rest


def _is_image(name: str) -> bool:
    """Return whether the first of several arguments is an image rather than a run."""
    from lightcars.evaluation.bulk.names import STDIN, is_pattern, is_url
    from lightcars.models.images import IMAGE_SUFFIXES

    path = Path(name)
    known = is_url(name) or name == STDIN or is_pattern(name)
    return known or os.path.lexists(name) or path.suffix.lower() in IMAGE_SUFFIXES | MORE_SUFFIXES


def _with_weights(arguments: list[str], weights: str, *, listed: bool) -> tuple[str, list[str]]:
    from lightcars.runs.places import holds_model
    from lightcars.weights.availability import preferred
    from lightcars.weights.catalog import find_candidates, unknown_weights

    first, rest = arguments[0], arguments[1:]
    if holds_model(Path(first)):
        raise InputError(f"{first} has its own weights; leave out --weights, or {first}.")
    if not is_registered(first):
        return weights, arguments
    candidates = find_candidates(first, weights)
    if not candidates:
        raise unknown_weights(first, weights)
    if not rest and not listed:
        raise InputError(f"name images too: lightcars predict {first} IMAGE... --weights {weights}")
    return preferred(candidates).tag, rest


def predict_all(
    run: str | Path,
    images: list[Path],
    *,
    top: int,
    picture: Path | None = None,
    cam: Path | None = None,
    device: str | None = None,
    force: bool = False,
    options: PredictOptions | None = None,
) -> list[Prediction]:
    """Predict, and write the plots that were asked for; an existing one is replaced only with `force`."""
    from lightcars.evaluation.predict import predict as run_predict
    from lightcars.plots import check_picture

    for option, path in (("--picture", picture), ("--cam", cam)):
        if path is None:
            continue
        if len(images) != 1:
            raise InputError(f"{option} plots one image, not {len(images)}.")
        check_picture(path)
        check_output_file(path, inputs=[run, *images], force=force)
    if picture is not None and cam is not None and picture.resolve() == cam.resolve():
        raise InputError(f"--picture and --cam are two plots; {cam} cannot be both.")
    predictions = run_predict(
        run, images, top=top, device=device, **({} if options is None else asdict(options))
    )
    if picture is not None:
        from lightcars.models.images import read_image
        from lightcars.reports import draw_prediction

        draw_prediction(read_image(images[0], 3), predictions[0], picture)
    if cam is not None:
        from lightcars.evaluation.activation_map import explain
        from lightcars.reports import draw_activation_map

        draw_activation_map(explain(run, images[0], device=device, box=predictions[0].box), cam)
    return predictions


def predictions_as_plain(predictions: list[Prediction]) -> list[dict[str, Any]]:
    """Return the predictions as plain data for JSON."""
    return [prediction.to_plain() for prediction in predictions]


def print_predictions(predictions: list[Prediction]) -> None:
    """Print the predictions as tables."""
    for prediction in predictions:
        print_answer(prediction.path, prediction.answer)
