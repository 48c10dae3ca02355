"""What is known of one published checkpoint. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lightcars.models.preprocessing import Preprocessing
from lightcars.renamed import takes_old_names

UNPINNED = "unpinned"

IMAGENET, CARS = "ImageNet-1k", "Stanford Cars, val, which selected the epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of our own weights: see `WeightsEntry`."""

    resolution: int
    size_mb: float
    top1_percent: float
    top5_percent: float


@takes_old_names(licence="license")
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WeightsEntry:
    """One published checkpoint.

    Attributes:
        tag: its name here, `source/name`.
        model: the registered model that it fits.
        source: who published it.
        preprocessing: what it expects of its input.
        settings: of the model, where they differ from the registered ones (padding, batch norms).
        num_classes: outputs.
        packaged: folder in `weights/shipped/` of this package that holds them, or None.
        hub_id: repository on the Hugging Face Hub that holds `model.safetensors`, or None.
        revision: commit of that repository, which never changes; None takes its newest one (unpinned).
        package: Python package that holds the file, as `pip` names it, or None.
        file: path of the file inside that package.
        url: address of the file, if it is in none of these.
        sha256: of the file: the whole digest or its beginning; None if no source gives it.
        size_mb: of the file in units of 10**6 bytes; None if no source gives it.
        license: as the source states it; None if it does not.
        data: on which the accuracy was measured.
        top1_percent, top5_percent: published accuracy with this preprocessing.
    """

    tag: str
    model: str
    source: str
    preprocessing: Preprocessing
    settings: Mapping[str, Any] = field(default_factory=dict)
    num_classes: int = 1000
    packaged: str | None = None
    hub_id: str | None = None
    revision: str | None = None
    package: str | None = None
    file: str | None = None
    url: str | None = None
    sha256: str | None = None
    size_mb: float | None = None
    license: str | None = None
    data: str = IMAGENET
    top1_percent: float | None = None
    top5_percent: float | None = None

    def __repr__(self) -> str:
        accuracy = "accuracy unknown" if self.top1_percent is None else f"top-1 {self.top1_percent:g} %"
        return f"WeightsEntry({self.tag!r} for {self.model}, {accuracy} on {self.data})"

    @property
    def pin(self) -> str:
        """What identifies the exact file: "sha256 ...", "commit ..." or "shipped"; else "unpinned"."""
        if self.packaged is not None:
            return "shipped"
        if self.sha256 is not None:
            return f"sha256 {self.sha256[:8]}"
        return UNPINNED if self.revision is None else f"commit {self.revision[:8]}"

    @property
    def needs_download(self) -> bool:
        """Whether it is a file on the network, neither in lightcars nor in a package that pip installs."""
        return self.packaged is None and self.package is None

    @property
    def extra_data(self) -> bool:
        """Whether it was trained on more than ImageNet-1k (JFT, ImageNet-12k or ImageNet-21k)."""
        return any(data in self.tag for data in ("jft", "in12k", "in21k"))
