"""What an artifact says of itself: class names, preprocessing, temperature. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from lightcars.models.preprocessing import Preprocessing
from lightcars.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Travels inside every artifact, as texts of JSON under the names of these attributes.

    Attributes:
        model: class of the model.
        classes: names of the outputs in order, if known.
        preprocessing: from a photograph to the input, if known.
        temperature: what logits are divided by for probabilities.
        license: of the weights, if they are the catalog's and it is known.
        lightcars_version: that made the artifact.
    """

    model: str
    classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    temperature: float = 1.0
    license: str | None = None
    lightcars_version: str = __version__

    def entries(self) -> dict[str, str]:
        """Names and JSON, for any format's metadata; what is unknown is left out."""
        known = {key: value for key, value in asdict(self).items() if value is not None}
        return {key: json.dumps(value, ensure_ascii=False) for key, value in known.items()}

    @classmethod
    def from_entries(cls, entries: Mapping[str, str]) -> Description:
        """Back from `entries`; names that are not ours are passed over."""
        values = {key: json.loads(entries[key]) for key in cls.__slots__ if key in entries}
        if "classes" in values:
            values["classes"] = tuple(values["classes"])
        if "preprocessing" in values:
            data = values["preprocessing"]
            values["preprocessing"] = Preprocessing(
                **{**data, "mean": tuple(data["mean"]), "std": tuple(data["std"])}
            )
        return cls(**values)
