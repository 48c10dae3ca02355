"""What `finetune` returns."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from lightcars.errors import RunError
from lightcars.models.image_model import ImageModel
from lightcars.models.inline import as_data_url
from lightcars.progress import in_notebook
from lightcars.runs.folder import RunFolder
from lightcars.runs.selection import shows_top5
from lightcars.tables import html_table

_SHOWN: Mapping[str, tuple[str, str]] = {
    "top1_percent": ("top-1", "{:.2f} %"),
    "top5_percent": ("top-5", "{:.2f} %"),
    "loss": ("loss", "{:.3f}"),
}
"""Metric -> its name and format for people."""


@dataclass(frozen=True, slots=True, repr=False)
class FinetuneResult:
    """The result of a fine-tune; a notebook shows its metrics and curves.

    Attributes:
        model: of the best epoch, in evaluation mode.
        metrics: `best_epoch`, `epochs`, the metrics of the best epoch, and those on the test split if they
            were asked for, as in `metrics.json`. `selected_on` is "test" where that split selected the epoch;
            then `note` warns of it.
        run: the run folder.
    """

    model: ImageModel
    metrics: dict[str, Any]
    run: Path

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name} {value}" for name, value in self._summary())
        return f"FinetuneResult({type(self.model).__name__} in {self.run}: {metrics})"

    def show(self) -> None:
        """Show the curves: in a notebook below the cell, elsewhere in the viewer of images.

        Raises:
            RunError: the run folder has no curves any more.
        """
        if in_notebook():
            import_module("IPython.display").display(self)
            return
        path = RunFolder(self.run).curves
        try:
            with Image.open(path) as image:
                image.show()
        except OSError as error:
            raise RunError(f"{path} cannot be read; `lightcars report` also draws the curves.") from error

    def _repr_html_(self) -> str:
        rows = [*self._summary(), ("run folder", str(self.run))]
        html = html_table(("", ""), rows, title=type(self.model).__name__)
        with suppress(OSError):
            curves = as_data_url("png", RunFolder(self.run).curves.read_bytes())
            html += f'<img src="{curves}" alt="loss, accuracy and learning rate">'
        return html

    def _summary(self) -> list[tuple[str, str]]:
        """Return the metrics that matter, as text."""
        metrics, several = self.metrics, shows_top5(self.model.config.num_classes)
        rows = [("best epoch", f"{metrics['best_epoch']} of {metrics['epochs']}")]
        for split in ("val", "test"):
            for name, (title, form) in _SHOWN.items():
                value = metrics.get(f"{split}_{name}")
                if value is not None and (several or title != "top-5"):
                    rows.append((f"{split} {title}", form.format(value)))
        return rows + ([("note", metrics["note"])] if metrics.get("note") else [])
