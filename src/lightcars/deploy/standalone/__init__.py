"""The standalone folder, which predicts with onnxruntime, numpy and Pillow only: the files beside the model.

`predict.py`, and `models/boxes.py` beside a car finder, are copied into it unchanged; they do not import
lightcars. No torch.
"""

from __future__ import annotations

from importlib import metadata, resources
from pathlib import Path

from lightcars.deploy.description import Description
from lightcars.errors import ExportError

FOLDER_SUFFIX = "-standalone"
MODEL_FILE = "model.onnx"
SCRIPT = "predict.py"
FINDER_FILE = "finder.onnx"
BOXES = "boxes.py"
NEEDS = ("numpy", "onnxruntime", "pillow")


def check_describable(description: Description) -> None:
    """Check that class names and preprocessing are known, which the folder needs.

    Raises:
        ExportError: they are unknown, or the input is neither RGB nor grayscale.
    """
    preprocessing = description.preprocessing
    if description.classes is None or preprocessing is None:
        raise ExportError(
            "the standalone folder needs class names and preprocessing, and these weights lack at least one"
            " of"
            " them; save them with both, or leave --standalone out."
        )
    if len(preprocessing.mean) not in (1, 3):
        raise ExportError(
            f"the standalone folder reads images with 1 or 3 channels, not {len(preprocessing.mean)}."
        )


_FINDER = f"""
`{FINDER_FILE}` finds cars, and each image is cropped to its largest car before it is classified. `--cut`
(`cut=True`) skips this step, for images that are cropped already. The car finder takes `images`
(1, 3, S, S), resized to its resolution S without keeping the aspect ratio and normalized, and returns
`boxes` (1, N, 5): score, left, top, right, bottom, all from 0 to 1. `{BOXES}` merges the boxes of one car.
"""


def write_companions(folder: Path, description: Description, *, finder: bool = False) -> None:
    """Write script, requirements and README beside the model in `folder`."""
    script = resources.files(__package__).joinpath(SCRIPT).read_text(encoding="utf-8")
    needs = [f"{name}  # tested with {metadata.version(name)}" for name in NEEDS]
    for name, text in (
        (SCRIPT, script),
        ("requirements.txt", "\n".join(needs) + "\n"),
        ("README.md", _readme(description, finder=finder)),
    ):
        (folder / name).write_text(text, encoding="utf-8")


def write_boxes(folder: Path) -> None:
    """Write what the script needs to understand a car finder's output."""
    text = resources.files("lightcars.models").joinpath(BOXES).read_text(encoding="utf-8")
    (folder / BOXES).write_text(text, encoding="utf-8")


def _readme(description: Description, *, finder: bool) -> str:
    assert description.classes is not None
    assert description.preprocessing is not None
    license_line = f"License of the weights: {description.license}.\n" if description.license else ""
    side, channels = description.preprocessing.resolution, len(description.preprocessing.mean)
    return f"""# {description.model}, {len(description.classes)} classes

Classifies images with ONNX Runtime, numpy and Pillow; PyTorch is not needed.

    python -m pip install -r requirements.txt
    python predict.py car.jpg
    python predict.py *.jpg --top 3 --json

From Python, in this folder:

    from predict import Classifier
    classifier = Classifier("{MODEL_FILE}")
    print(classifier.predict("car.jpg", top=3))

`{MODEL_FILE}` takes `images` (N, {channels}, {side}, {side}), normalized float32, and returns `logits`
(N, {len(description.classes)}). Its metadata (JSON) holds the class names, the preprocessing and the
temperature by which the logits are divided before the softmax. Out-of-distribution detection is not included.
{_FINDER if finder else ""}{license_line}Exported by lightcars {description.lightcars_version}.
"""
