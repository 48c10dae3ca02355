"""The metadata of an artifact: class names, preprocessing, temperature, license. No torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lightcars.models.preprocessing import Preprocessing
from lightcars.text import json_text
from lightcars.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Metadata stored in every artifact, as JSON under the names of these attributes.

    Attributes:
        model: class name of the model.
        classes: names of the outputs in order, if known.
        preprocessing: from an image to the input, if known.
        temperature: logits are divided by it before the softmax.
        license: of the weights, if known.
        precision: of the weights in the artifact: fp32, fp16 or int8. Input and output are always float32.
        lightcars_version: the version that wrote the artifact.
    """

    model: str
    classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    temperature: float = 1.0
    license: str | None = None
    precision: str = "fp32"
    lightcars_version: str = __version__

    def entries(self) -> dict[str, str]:
        """Return the metadata as names and JSON texts; unknown values are left out."""
        known = {key: value for key, value in asdict(self).items() if value is not None}
        return {key: json_text(value, indent=None) for key, value in known.items()}
