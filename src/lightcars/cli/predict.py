"""`lightcars predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightcars.cli.loading import is_registered
from lightcars.cli.output import print_json, print_line, print_table
from lightcars.errors import InputError
from lightcars.outputs import FORCE_HELP, check_output_file

if TYPE_CHECKING:
    from lightcars.evaluation.predict import Prediction


MORE_SUFFIXES = {".gif", ".tif", ".tiff", ".avif", ".heic"}
"""Suffixes of files that are taken for images rather than for runs."""
OOD_HINT = "out of distribution: hardly looks like any of the classes; it should fill the image and be sharp"


def predict(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] IMAGE",
            help="Images; before them a run folder of `lightcars finetune`, a checkpoint folder or"
            " published weights \\[default: cars196, which ships with lightcars].",
            show_default=False,
        ),
    ],
    weights: Annotated[
        str | None,
        typer.Option(
            help="A tag of `lightcars weights` or a folder, in place of RUN: imagenet for the 1,000"
            " classes of ImageNet; or for a name from `lightcars list` that is given as RUN."
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
) -> None:
    """Classify images and show probabilities.

    Without RUN the classes are the 196 cars of Stanford Cars (1991 to 2012); the car should fill the image.
    These weights are for non-commercial research, as are the photographs that they were trained on.

    Example: lightcars predict car.jpg, or lightcars predict runs/first *.jpg --top 3,
    or lightcars predict cat.jpg --weights imagenet
    """
    run, images = run_and_images(arguments, weights)
    predictions = predict_all(run, images, top=top, picture=picture, cam=cam, device=device, force=force)
    if as_json:
        print_json(predictions_as_plain(predictions))
    else:
        print_predictions(predictions)


def run_and_images(arguments: list[str], weights: str | None = None) -> tuple[str, list[Path]]:
    """Split the arguments into the model and the images.

    `weights` takes the place of the model; after a registered name it is a tag of that model.

    Raises:
        InputError: there are no images, or an argument cannot be one.
    """
    from lightcars.evaluation.predict import OWN_WEIGHTS
    from lightcars.models.images import IMAGE_SUFFIXES
    from lightcars.runs.trained import holds_model
    from lightcars.weights.catalog import find_tag

    _check_names(arguments)
    paths = [Path(argument) for argument in arguments]
    if weights is not None:
        return _with_weights(arguments, weights)
    if is_registered(arguments[0]):
        raise InputError(f"say which weights {arguments[0]} gets: --weights imagenet, or another tag.")
    runs = [holds_model(path) or find_tag(str(path)) is not None for path in paths]
    first, rest = paths[0], paths[1:]
    if runs[0]:
        if not rest:
            raise InputError(f"name images too: lightcars predict {first} IMAGE...")
        return arguments[0], rest
    if any(runs):
        raise InputError(f"{paths[runs.index(True)]} goes before the images.")
    if first.is_dir():
        raise InputError(f"{first} is neither a run nor a checkpoint; name its images: {first}/*.jpg")
    if not rest or first.exists() or first.suffix.lower() in IMAGE_SUFFIXES | MORE_SUFFIXES:
        return OWN_WEIGHTS, paths
    return arguments[0], rest


def _check_names(arguments: list[str]) -> None:
    if "" in arguments:
        raise InputError("the name of an image is empty; is a shell variable unset?")
    for argument in arguments:
        if "://" in argument:
            raise InputError(f"images are local files; download {argument} first.")


def _with_weights(arguments: list[str], weights: str) -> tuple[str, list[Path]]:
    from lightcars.runs.trained import holds_model
    from lightcars.weights.availability import preferred
    from lightcars.weights.catalog import find_candidates, unknown_weights

    first, rest = arguments[0], arguments[1:]
    if holds_model(Path(first)):
        raise InputError(f"{first} has its own weights; leave out --weights, or {first}.")
    if not is_registered(first):
        return weights, [Path(argument) for argument in arguments]
    candidates = find_candidates(first, weights)
    if not candidates:
        raise unknown_weights(first, weights)
    if not rest:
        raise InputError(f"name images too: lightcars predict {first} IMAGE... --weights {weights}")
    return preferred(candidates).tag, [Path(argument) for argument in rest]


def predict_all(
    run: str | Path,
    images: list[Path],
    *,
    top: int,
    picture: Path | None = None,
    cam: Path | None = None,
    device: str | None = None,
    force: bool = False,
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
    predictions = run_predict(run, images, top=top, device=device)
    if picture is not None:
        from lightcars.models.images import read_image
        from lightcars.reports import draw_prediction

        draw_prediction(read_image(images[0], 3), predictions[0], picture)
    if cam is not None:
        from lightcars.evaluation.activation_map import explain
        from lightcars.reports import draw_activation_map

        draw_activation_map(explain(run, images[0], device=device), cam)
    return predictions


def predictions_as_plain(predictions: list[Prediction]) -> list[dict[str, Any]]:
    """Return the predictions as plain data for JSON."""
    return [
        {
            "image": str(prediction.path),
            "familiar": prediction.familiar,
            "guesses": [{"name": g.name, "probability": g.probability} for g in prediction.guesses],
        }
        for prediction in predictions
    ]


def print_predictions(predictions: list[Prediction]) -> None:
    """Print the predictions as tables."""
    for prediction in predictions:
        rows = [(f"{guess.probability:.1%}", guess.name) for guess in prediction.guesses]
        print_line(prediction.path)
        if prediction.familiar is False:
            typer.echo(OOD_HINT)
        print_table(("probability", "class"), rows, right=("probability",))
