"""Classify images: `python predict.py car.jpg`.

Needs onnxruntime, numpy and Pillow. The model lies beside this file; class names and preprocessing are in its
metadata.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
from PIL import Image

MODEL = Path(__file__).parent / "model.onnx"
USER_ERROR = 2
MAX_PIXELS = 100_000_000
"""Of an image; a larger one could need several gigabytes of memory."""
MAX_RESOLUTION = 16_384
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Value of the EXIF tag -> the transposition that makes the image upright."""
INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class PredictionError(Exception):
    """An error that the user can fix, in one line."""


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
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads sleep
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            texts = self.session.get_modelmeta().custom_metadata_map
        except Exception as error:
            raise PredictionError(f"{path} is not a model that ONNX Runtime supports ({error}).") from error
        try:
            self.classes = read_classes(texts)
            self.preprocessing = read_preprocessing(texts)
            self.temperature = read_temperature(texts)
        except PredictionError as error:
            raise PredictionError(f"{path}: {error} Export the model again.") from error

    def predict(self, image: str | Path, top: int = 5) -> list[tuple[str, float]]:
        """Return the most likely classes of one image with their probabilities, in descending order."""
        logits = self._logits(self.read(Path(image)))
        exponents = np.exp((logits - logits.max()) / self.temperature)
        probabilities = exponents / exponents.sum()
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [(self.classes[position], float(probabilities[position])) for position in best]

    def read(self, path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return an image as the model's input: (1, C, H, W), normalized."""
        mean, std = (np.array(self.preprocessing[name], np.float32) for name in ("mean", "std"))
        image = fit_square(read_image(path, len(mean)), self.preprocessing)
        pixels = np.asarray(image, np.float32).reshape(image.height, image.width, len(mean))
        normalized = (pixels - mean * 255) / (std * 255)
        return np.ascontiguousarray(normalized.transpose(2, 0, 1)[None])

    def _logits(self, images: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        try:
            (batch,) = self.session.run(["logits"], {"images": images})
        except Exception as error:
            raise PredictionError(
                f"the model does not take images of shape {images.shape}, as its metadata says ({error})."
            ) from error
        logits = np.asarray(batch, np.float64).reshape(-1)
        if logits.shape != (len(self.classes),) or not np.isfinite(logits).all():
            raise PredictionError(
                f"the model returns {logits.size} values, not a finite one for each of {len(self.classes)}"
                " classes."
            )
        return logits


def read_classes(texts: Mapping[str, str]) -> list[str]:
    """Return the class names in the metadata."""
    classes = _parse(texts, "classes")
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise PredictionError("the classes in its metadata are not a list of names.")
    return classes


def read_preprocessing(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the preprocessing in the metadata."""
    content = _parse(texts, "preprocessing")
    if not isinstance(content, dict):
        raise PredictionError("the preprocessing in its metadata is not an object.")
    side, crop = content.get("resolution"), cast(Any, content.get("crop_fraction"))
    mean, std = cast(Any, content.get("mean")), cast(Any, content.get("std"))
    valid = {
        "resolution": type(side) is int and 1 <= side <= MAX_RESOLUTION,
        "mean": _are_numbers(mean),
        "std": _are_numbers(std) and min(std) > 0 and _are_numbers(mean) and len(mean) == len(std),
        "resize": content.get("resize") in ("squash", "crop"),
        "crop_fraction": _is_number(crop) and 1 / MAX_RESOLUTION <= crop <= 1,
        "interpolation": content.get("interpolation") in tuple(INTERPOLATIONS),
    }
    for name, is_valid in valid.items():
        if not is_valid:
            raise PredictionError(f"the preprocessing in its metadata has an invalid {name}.")
    return content


def read_temperature(texts: Mapping[str, str]) -> float:
    """Return the temperature in the metadata; 1 without one."""
    temperature = _parse({"temperature": "1.0", **texts}, "temperature")
    if not _is_number(temperature) or temperature <= 0:
        raise PredictionError("the temperature in its metadata is not a positive number.")
    return float(temperature)


def _parse(texts: Mapping[str, str], name: str) -> Any:
    if name not in texts:
        raise PredictionError(f"its metadata has no {name}.")
    try:
        return json.loads(texts[name])
    except (ValueError, RecursionError) as error:
        raise PredictionError(f"the {name} in its metadata is not valid JSON.") from error


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _are_numbers(values: Any) -> bool:
    """Return whether it is one number for each channel of a grayscale or an RGB image."""
    return isinstance(values, list) and len(values) in (1, 3) and all(map(_is_number, values))


def read_image(path: Path, channels: int) -> Image.Image:
    """Return an image, upright, as RGB (3 channels) or grayscale (1), transparent parts on white."""
    try:
        if path.stat().st_size == 0:
            raise PredictionError(f"{path} is empty (0 bytes); copy it again.")
        with Image.open(path) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise PredictionError(
                    f"{path} has {opened.width} x {opened.height} pixels; the limit is {MAX_PIXELS}."
                )
            return _as_mode(_upright(_loaded(opened, path)), channels)
    except FileNotFoundError as error:
        raise PredictionError(f"there is no image {path}.") from error
    except IsADirectoryError as error:
        raise PredictionError(f"{path} is a folder, not an image.") from error
    except Image.DecompressionBombError as error:
        raise PredictionError(f"{path} has too many pixels; the limit is {MAX_PIXELS}.") from error
    except (PredictionError, MemoryError):
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything for a corrupt file
        raise PredictionError(f"{path} cannot be read as an image ({error}).") from error


def _loaded(image: Image.Image, path: Path) -> Image.Image:
    """Decode the pixels, also of a JPEG that lacks nothing but its end marker.

    Where all pixels are there, the decoder ignores what comes before an end marker that is appended; where
    some are missing, it takes it for them, so that two different endings give different images.
    """
    try:
        image.load()
    except OSError:
        content = path.read_bytes().rstrip(b"\xff")
        endings = (b"", b"\x35\xca" * 64, b"\xca\x71" * 64)
        decoded = [_decoded(content + ending + b"\xff\xd9") for ending in endings]
        first = decoded[0]
        if image.format not in ("JPEG", "MPO") or first is None:
            raise
        if any(other is None or other.tobytes() != first.tobytes() for other in decoded[1:]):
            raise
        return first
    return image


def _decoded(content: bytes) -> Image.Image | None:
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except Exception:  # Pillow's plugins raise nearly anything for a corrupt file
        return None
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; other metadata, which may be invalid, are not looked at."""
    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception:  # Pillow raises nearly anything for corrupt metadata
        orientation = None
    transposition = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if transposition is None else image.transpose(transposition)


def _as_mode(image: Image.Image, channels: int) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # 16 bits to 8
        shades = np.asarray(image, np.int64).clip(0, 65535) // 257
        image = Image.fromarray(shades.astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        pixels = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels)
    return image.convert("L" if channels == 1 else "RGB")


def fit_square(image: Image.Image, preprocessing: Mapping[str, Any]) -> Image.Image:
    """Resize and center-crop an image to the model's square input.

    Of a narrow image, which would become too large, only the part inside the crop is resized.
    """
    side = int(preprocessing["resolution"])
    scaled = int(side / preprocessing["crop_fraction"] + 1e-6)
    width, height = image.size
    if preprocessing["resize"] == "squash":
        size = (scaled, scaled)
    elif width <= height:
        size = (scaled, int(scaled * height / width))
    else:
        size = (int(scaled * width / height), scaled)
    resampling = INTERPOLATIONS[preprocessing["interpolation"]]
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    if size[0] * size[1] > MAX_PIXELS:
        across, down = width / size[0], height / size[1]
        box = (left * across, top * down, (left + side) * across, (top + side) * down)
        return image.resize((side, side), resampling, box=box)
    if size != image.size:
        image = image.resize(size, resampling)
    return image.crop((left, top, left + side, top + side))


def show(path: Path, guesses: list[tuple[str, float]]) -> None:
    """Print one image's classes as a table."""
    print(path)
    for name, probability in guesses:
        print(f"{probability:10.1%}  {name}")


def main() -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Classify images.")
    parser.add_argument("images", nargs="+", type=Path, help="image files")
    parser.add_argument("--top", type=int, default=5, help="number of classes to show (default: 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--model", type=Path, default=MODEL, help="default: model.onnx beside this file")
    arguments = parser.parse_args()
    if arguments.top < 1:
        parser.error(f"--top must be at least 1, not {arguments.top}")
    warnings.simplefilter("ignore")  # Pillow's, on odd metadata and large images
    try:
        classifier = Classifier(arguments.model)
        predictions = [(path, classifier.predict(path, arguments.top)) for path in arguments.images]
    except (PredictionError, MemoryError) as error:
        reason = " ".join(str(error).split()) or "not enough memory."
        print(f"error: {reason}", file=sys.stderr)
        return USER_ERROR
    if arguments.json:
        content = [
            {"image": str(path), "guesses": [{"name": name, "probability": p} for name, p in guesses]}
            for path, guesses in predictions
        ]
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        for path, guesses in predictions:
            show(path, guesses)
    return 0


if __name__ == "__main__":
    sys.exit(main())
