"""A folder that predicts with onnxruntime, numpy and Pillow alone: what lies in it beside the model.

`predict.py` is copied into it as it is; it imports nothing of lightcars. No torch.
"""

from __future__ import annotations

from importlib import metadata, resources
from pathlib import Path

from lightcars.deploy.description import Description
from lightcars.errors import ExportError

FOLDER_SUFFIX = "-standalone"
MODEL_FILE = "model.onnx"
SCRIPT = "predict.py"
NEEDS = ("numpy", "onnxruntime", "pillow")


def check_describable(description: Description) -> None:
    """The folder needs class names and preprocessing, of photographs.

    Raises:
        ExportError: the weights do not say them, or take other images than RGB and grayscale.
    """
    preprocessing = description.preprocessing
    if description.classes is None or preprocessing is None:
        raise ExportError(
            "the weights do not say their class names and preprocessing, without which nobody can predict;"
            " save them with both, or leave the standalone folder out."
        )
    if len(preprocessing.mean) not in (1, 3):
        raise ExportError(
            f"the standalone folder reads photographs of 1 or 3 channels, not of {len(preprocessing.mean)}."
        )


def write_companions(folder: Path, description: Description) -> None:
    """Writes script, requirements and README beside the model in `folder`."""
    script = resources.files(__package__).joinpath(SCRIPT).read_text(encoding="utf-8")
    needs = [f"{name}  # tried with {metadata.version(name)}" for name in NEEDS]
    for name, text in (
        (SCRIPT, script),
        ("requirements.txt", "\n".join(needs) + "\n"),
        ("README.md", _readme(description)),
    ):
        (folder / name).write_text(text, encoding="utf-8")


def _readme(description: Description) -> str:
    assert description.classes is not None
    assert description.preprocessing is not None
    license_line = f"License of the weights: {description.license}.\n" if description.license else ""
    side, channels = description.preprocessing.resolution, len(description.preprocessing.mean)
    return f"""# {description.model}, {len(description.classes)} classes

Says what is on a photograph, with ONNX Runtime, numpy and Pillow; PyTorch is not needed.

    python -m pip install -r requirements.txt
    python predict.py photo.jpg
    python predict.py *.jpg --top 3 --json

From Python, in this folder:

    from predict import Classifier
    classifier = Classifier("{MODEL_FILE}")
    print(classifier.predict("photo.jpg", top=3))

`{MODEL_FILE}` takes `images` (N, {channels}, {side}, {side}), normalized float32, and gives `logits`
(N, {len(description.classes)}). Its metadata hold the class names, the preprocessing and the
temperature that logits are divided by for probabilities (JSON). It does not warn of pictures that look like
none of the classes.
{license_line}Made by lightcars {description.lightcars_version}.
"""
