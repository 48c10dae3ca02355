"""Results of `bench`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path

from lightcars.benching.rows import BenchRow
from lightcars.tables import html_table, text_table
from lightcars.text import json_text

HEAD = ("", "ms", "p95 ms", "images/s", "MiB", "set-up s", "differs by")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BenchResult:
    """All rows, sorted by latency for each model and batch size; as text, a table.

    Attributes:
        rows: one for each case, also for those that could not be measured.
        train: whether they are training steps.
        machine: the CPU, and the GPU if that was measured.
        versions: of the packages that were used.
    """

    rows: tuple[BenchRow, ...]
    train: bool
    machine: str
    versions: dict[str, str | None] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Problems of the rows, one line each."""
        return [
            f"{row.model}, {row.what}, batch {row.batch}: {row.problem}" for row in self.rows if row.problem
        ]

    def tables(self) -> list[tuple[str, list[tuple[str, ...]]]]:
        """Return a title for each model and batch size, with cells in the columns of `HEAD` for each row."""
        titles = dict.fromkeys(map(_title, self.rows))
        return [(title, [_cells(row) for row in self.rows if _title(row) == title]) for title in titles]

    def __repr__(self) -> str:
        models = ", ".join(dict.fromkeys(row.model for row in self.rows))
        kind = "training steps" if self.train else "forward passes"
        return f"BenchResult({len(self.rows)} rows of {kind}: {models})"

    def _repr_html_(self) -> str:
        tables = [html_table(HEAD, rows, right=HEAD[1:], title=title) for title, rows in self.tables()]
        return "".join([f"<p>{escape(self.machine)}</p>", *tables, *map(_paragraph, self.problems)])

    def __str__(self) -> str:
        tables = [f"{title}\n{text_table(HEAD, rows)}" for title, rows in self.tables()]
        return "\n\n".join([self.machine, *tables, *self.problems])

    def to_json(self) -> str:
        """Return all of it as one JSON object."""
        return json_text(asdict(self))

    def draw(self, path: str | Path) -> Path:
        """Plot accuracy over latency as a PNG; where no accuracy is known, images per second over latency.

        Raises:
            MissingExtraError: matplotlib is not installed.
            ConfigError: another suffix than .png, or nothing to plot.
            RunError: it cannot be written.
        """
        from lightcars.benching.plot import draw_bench

        return draw_bench(self.rows, Path(path), machine=self.machine, train=self.train)


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _title(row: BenchRow) -> str:
    step = ", training step" if row.memory_format else ""
    return f"{row.model}, {row.batch} x {row.resolution} px{step}"


def _cells(row: BenchRow) -> tuple[str, ...]:
    def cell(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return (
        row.what,
        cell(row.latency_ms, ".2f"),
        cell(row.p95_ms, ".2f"),
        cell(row.images_per_second, ".1f"),
        cell(row.memory_mib, ".0f"),
        cell(row.setup_s, ".1f"),
        cell(row.difference, ".0e")
        if row.top1_change_percent is None
        else f"top-1 {row.top1_change_percent:+.2f}",
    )
