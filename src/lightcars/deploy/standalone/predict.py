"""Classify images: `python predict.py car.jpg`.

Needs onnxruntime, numpy and Pillow. The model lies beside this file; class names and preprocessing are in its
metadata. If there is a car finder too, images are cut to their largest car first.
"""

from __future__ import annotations

import argparse
import importlib.util
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
FINDER_FILE = "finder.onnx"
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


Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


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
        self.session, texts = open_model(path)
        finder = Path(path).with_name(FINDER_FILE)
        self.finder = CarFinder(finder) if finder.is_file() else None
        try:
            self.classes = read_classes(texts)
            self.preprocessing = read_preprocessing(texts)
            self.temperature = read_temperature(texts)
        except PredictionError as error:
            raise PredictionError(f"{path}: {error} Export the model again.") from error

    def predict(self, image: str | Path, top: int = 5, cut: bool = False) -> list[tuple[str, float]]:
        """Return the most likely classes of one image with their probabilities, in descending order.

        Args:
            image: path of the image.
            top: number of classes.
            cut: whether the image is cut to its car already, so that none is looked for.
        """
        return self.find_and_predict(Path(image), top, cut)[1]

    def find_and_predict(self, path: Path, top: int, cut: bool) -> tuple[Box | None, list[tuple[str, float]]]:
        """Return the box around the largest car, None if there is none, and what `predict` returns."""
        channels = len(self.preprocessing["mean"])
        if cut or self.finder is None:
            return None, self._guesses(read_image(path, channels), top)
        image = read_image(path, 3)
        box = self.finder.find(image)
        part = image if box is None else image.crop(box)
        return box, self._guesses(part.convert("L" if channels == 1 else "RGB"), top)

    def _guesses(self, image: Image.Image, top: int) -> list[tuple[str, float]]:
        logits = self._logits(to_input(image, self.preprocessing))
        exponents = np.exp((logits - logits.max()) / self.temperature)
        probabilities = exponents / exponents.sum()
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [(self.classes[position], float(probabilities[position])) for position in best]

    def read(self, path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return an image as the model's input: (1, C, H, W), normalized."""
        return to_input(read_image(path, len(self.preprocessing["mean"])), self.preprocessing)

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


class CarFinder:
    """A graph that finds cars: `images` -> `boxes` (1, N, 5) of score, left, top, right, bottom from 0 to 1.

    Args:
        path: of the .onnx file, beside which is `boxes.py`.
    """

    def __init__(self, path: Path) -> None:
        self.session, texts = open_model(path)
        try:
            self.preprocessing = read_preprocessing(texts)
            self.least_score = float(_parse(texts, "least_score"))
        except PredictionError as error:
            raise PredictionError(f"{path}: {error} Export the model again.") from error
        self.boxes = load_module(path.with_name("boxes.py"))

    def find(self, image: Image.Image) -> Box | None:
        """Return the box around the largest car in an RGB image, in pixels; None if there is none."""
        (cells,) = self.session.run(["boxes"], {"images": to_input(image, self.preprocessing)})
        found = self.boxes.snap(self.boxes.separate(cells[0], least_score=self.least_score)[:, 1:])
        if not len(found):
            return None
        box: Box = self.boxes.to_pixel_box(found[self.boxes.areas(found).argmax()], image.size)
        return box


def load_module(path: Path) -> Any:
    """Load a Python file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise PredictionError(f"there is no {path}, which belongs to the car finder; copy it too.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def open_model(path: str | Path) -> tuple[onnxruntime.InferenceSession, Mapping[str, str]]:
    """Open a model; return it with its metadata."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads sleep
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return session, session.get_modelmeta().custom_metadata_map
    except Exception as error:
        raise PredictionError(f"{path} is not a model that ONNX Runtime supports ({error}).") from error


def to_input(image: Image.Image, preprocessing: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return an RGB or grayscale image as a model's input: (1, C, H, W), normalized."""
    mean, std = (np.array(preprocessing[name], np.float32) for name in ("mean", "std"))
    fitted = fit_square(image, preprocessing)
    pixels = np.asarray(fitted, np.float32).reshape(fitted.height, fitted.width, len(mean))
    normalized = (pixels - mean * 255) / (std * 255)
    return np.ascontiguousarray(normalized.transpose(2, 0, 1)[None])


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


def show(path: Path, guesses: list[tuple[str, float]], hint: str = "") -> None:
    """Print one image's classes as a table, after a hint if there is one."""
    print(path)
    if hint:
        print(hint)
    for name, probability in guesses:
        print(f"{probability:10.1%}  {name}")


def main() -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Classify images.")
    parser.add_argument("images", nargs="+", type=Path, help="image files")
    parser.add_argument("--top", type=int, default=5, help="number of classes to show (default: 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--cut", action="store_true", help="the images are cropped to their car already")
    parser.add_argument(
        "--model", type=Path, default=MODEL, help="path of the model (default: model.onnx beside this file)"
    )
    arguments = parser.parse_args()
    if arguments.top < 1:
        parser.error(f"--top must be at least 1, not {arguments.top}")
    warnings.simplefilter("ignore")  # Pillow's, on odd metadata and large images
    try:
        classifier = Classifier(arguments.model)
        predictions = [
            (path, *classifier.find_and_predict(path, arguments.top, arguments.cut))
            for path in arguments.images
        ]
    except (PredictionError, MemoryError) as error:
        reason = " ".join(str(error).split()) or "not enough memory."
        print(f"error: {reason}", file=sys.stderr)
        return USER_ERROR
    looked = classifier.finder is not None and not arguments.cut
    if arguments.json:
        content = [
            {
                "image": str(path),
                "guesses": [{"name": name, "probability": p} for name, p in guesses],
                **({"car_found": box is not None, "box": box} if looked else {}),
            }
            for path, box, guesses in predictions
        ]
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        for path, box, guesses in predictions:
            show(path, guesses, "no car found" if looked and box is None else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
