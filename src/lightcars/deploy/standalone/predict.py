"""Says what is on photographs: `python predict.py photo.jpg`.

Needs onnxruntime, numpy and Pillow. The model lies beside this file and brings class names and preprocessing
in its metadata.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MODEL = Path(__file__).parent / "model.onnx"
USER_ERROR = 2


class PredictionError(Exception):
    """What the user can mend, in one line."""


class Classifier:
    """A model with its class names and preprocessing.

    Args:
        path: of the .onnx file.
    """

    def __init__(self, path: str | Path = MODEL) -> None:
        if not Path(path).is_file():
            raise PredictionError(f"there is no model {path}.")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # no idle work
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            texts = self.session.get_modelmeta().custom_metadata_map
            self.classes: list[str] = json.loads(texts["classes"])
            self.preprocessing: dict[str, Any] = json.loads(texts["preprocessing"])
            self.temperature = float(json.loads(texts.get("temperature", "1.0")))
        except KeyError as error:
            raise PredictionError(f"{path} does not say its {error.args[0]}.") from error
        except Exception as error:
            raise PredictionError(f"{path} is not a model that ONNX Runtime takes ({error}).") from error

    def predict(self, image: str | Path, top: int = 5) -> list[tuple[str, float]]:
        """The likeliest classes of one photograph with their probabilities, the first one first."""
        (batch,) = self.session.run(["logits"], {"images": self.read(Path(image))})
        logits = batch[0].astype(np.float64)
        exponents = np.exp((logits - logits.max()) / self.temperature)
        probabilities = exponents / exponents.sum()
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [(self.classes[position], float(probabilities[position])) for position in best]

    def read(self, path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
        """A photograph as the model's input: (1, C, H, W), normalized."""
        mean, std = (np.array(self.preprocessing[name], np.float32) for name in ("mean", "std"))
        photo = fit_square(read_image(path, len(mean)), self.preprocessing)
        pixels = np.asarray(photo, np.float32).reshape(photo.height, photo.width, len(mean))
        normalized = (pixels - mean * 255) / (std * 255)
        return np.ascontiguousarray(normalized.transpose(2, 0, 1)[None])


def read_image(path: Path, channels: int) -> Image.Image:
    """The photograph, upright, as RGB (3 channels) or grayscale (1); transparent parts on white."""
    try:
        if path.stat().st_size == 0:
            raise PredictionError(f"{path} is empty (0 bytes); copy it again.")
        with Image.open(path) as image:
            image.load()
            photo = ImageOps.exif_transpose(image)
            if photo.mode == "F":
                raise ValueError("its pixels are floating-point numbers; save it with 8 or 16 bits")
            if photo.mode.startswith("I"):  # 16 bits in 256 shades
                shades = np.asarray(photo, np.int64).clip(0, 65535) // 257
                photo = Image.fromarray(shades.astype(np.uint8))
            if "A" in photo.getbands() or "transparency" in photo.info:
                pixels = photo.convert("RGBA")
                photo = Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels)
            return photo.convert("L" if channels == 1 else "RGB")
    except FileNotFoundError as error:
        raise PredictionError(f"there is no image {path}.") from error
    except IsADirectoryError as error:
        raise PredictionError(f"{path} is a folder, not an image.") from error
    except (PredictionError, MemoryError):
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything for a broken file
        raise PredictionError(f"{path} cannot be read as an image ({error}).") from error


def fit_square(photo: Image.Image, preprocessing: dict[str, Any]) -> Image.Image:
    """Scales and cuts the photograph to the model's square."""
    side = int(preprocessing["resolution"])
    scaled = int(side / preprocessing["crop_fraction"] + 1e-6)
    width, height = photo.size
    if preprocessing["resize"] == "squash":
        size = (scaled, scaled)
    elif width <= height:
        size = (scaled, int(scaled * height / width))
    else:
        size = (int(scaled * width / height), scaled)
    kind = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    if size != photo.size:
        photo = photo.resize(size, kind[preprocessing["interpolation"]])
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return photo.crop((left, top, left + side, top + side))


def show(path: Path, guesses: list[tuple[str, float]]) -> None:
    """One photograph's classes for people."""
    print(path)
    for name, probability in guesses:
        print(f"{probability:10.1%}  {name}")


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description="Say what is on photographs, with probabilities.")
    parser.add_argument("images", nargs="+", type=Path, help="photographs")
    parser.add_argument("--top", type=int, default=5, help="classes to show (default: 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--model", type=Path, default=MODEL, help="default: model.onnx beside this file")
    arguments = parser.parse_args()
    if arguments.top < 1:
        parser.error(f"--top must be at least 1, not {arguments.top}")
    warnings.simplefilter("ignore")  # Pillow's, on odd metadata and large photographs
    try:
        classifier = Classifier(arguments.model)
        answers = [(path, classifier.predict(path, arguments.top)) for path in arguments.images]
    except PredictionError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    if arguments.json:
        content = [
            {"image": str(path), "guesses": [{"name": name, "probability": p} for name, p in guesses]}
            for path, guesses in answers
        ]
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        for path, guesses in answers:
            show(path, guesses)
    return 0


if __name__ == "__main__":
    sys.exit(main())
