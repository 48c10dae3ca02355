"""The metadata of an artifact: class names, preprocessing, temperature, license. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from lightcars.models.preprocessing import Preprocessing
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
        lightcars_version: the version that wrote the artifact.
    """

    model: str
    classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    temperature: float = 1.0
    license: str | None = None
    lightcars_version: str = __version__

    def entries(self) -> dict[str, str]:
        """Return the metadata as names and JSON texts; unknown values are left out."""
        known = {key: value for key, value in asdict(self).items() if value is not None}
        return {key: json.dumps(value, ensure_ascii=False) for key, value in known.items()}

    @classmethod
    def from_entries(cls, entries: Mapping[str, str]) -> Description:
        """Parse the result of `entries`; other names are ignored."""
        values = {key: json.loads(entries[key]) for key in cls.__slots__ if key in entries}
        if "classes" in values:
            values["classes"] = tuple(values["classes"])
        if "preprocessing" in values:
            data = values["preprocessing"]
            values["preprocessing"] = Preprocessing(
                **{**data, "mean": tuple(data["mean"]), "std": tuple(data["std"])}
            )
        return cls(**values)
