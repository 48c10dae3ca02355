"""Export a car finder to ONNX, verified in ONNX Runtime."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from lightcars.deploy.graphs import INPUT, program_to_onnx, to_program
from lightcars.deploy.packages import require
from lightcars.errors import ExportError
from lightcars.models.car_finder import CarFinder
from lightcars.text import json_text

OUTPUT = "boxes"
LARGEST_DIFFERENCE = 1e-3
"""Allowed between scores and sides, which are from 0 to 1, in ONNX Runtime and in PyTorch."""


@torch.no_grad()
def write_finder(finder: CarFinder, path: Path) -> None:
    """Write the finder as ONNX, for one image, with its preprocessing and least score as metadata.

    Raises:
        ExportError: its outputs do not match PyTorch's; nothing is written.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    side = finder.preprocessing.resolution
    proto = program_to_onnx(to_program(finder, batch=1, resolution=side, channels=3), outputs=[OUTPUT])
    for key, value in (
        ("preprocessing", asdict(finder.preprocessing)),
        ("least_score", finder.least_score),
    ):
        proto.metadata_props.add(key=key, value=json_text(value, indent=None))
    content = proto.SerializeToString()
    session = require("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    images = torch.randn((1, 3, side, side), generator=torch.Generator().manual_seed(0))
    expected = finder.to("cpu")(images).numpy()
    difference = float(np.abs(session.run([OUTPUT], {INPUT: images.numpy()})[0] - expected).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise ExportError(f"the car finder in ONNX Runtime differs from PyTorch's by {difference:.1e}.")
    path.write_bytes(content)
