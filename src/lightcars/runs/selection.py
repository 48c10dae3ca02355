"""What is shown of metrics: the note on those of the split that selected the epoch, and top-5."""

from __future__ import annotations

CHOSEN_ON_TEST = "chosen on test: too good"
"""The note on metrics of the test split, if that split selected the epoch."""


def note_on(split: str | None, select_on: str | None) -> str | None:
    """Return the note on metrics of `split` for a model whose epoch was selected on `select_on`."""
    return CHOSEN_ON_TEST if split == select_on == "test" else None


def note_on_choice(select_on: str | None) -> str | None:
    """Return the note on an epoch's metrics on the split that selected it."""
    return note_on(select_on, select_on)


def shown_split(select_on: str) -> str:
    """Return the split that selects the epoch as outputs name it: "val", or test with the note."""
    return f"test ({CHOSEN_ON_TEST})" if select_on == "test" else select_on


def shows_top5(num_classes: int) -> bool:
    """Return whether top-5 accuracy means anything: with five classes or fewer it is always 100 %."""
    return num_classes > 5
