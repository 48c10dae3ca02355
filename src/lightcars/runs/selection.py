"""What every output says of metrics on the split that selected the epoch."""

from __future__ import annotations

CHOSEN_ON_TEST = "chosen on test: too good"
"""What every output says of figures on the split that chose the epoch, where that is the test split."""


def note_on(split: str | None, select_on: str | None) -> str | None:
    """What the reader has to know about figures on `split` of a model whose epoch `select_on` chose."""
    return CHOSEN_ON_TEST if split == select_on == "test" else None


def note_on_choice(select_on: str | None) -> str | None:
    """What the reader has to know about the figures of an epoch on the split that chose it."""
    return note_on(select_on, select_on)


def shown_split(select_on: str) -> str:
    """The split that chooses the epoch, as outputs name it: "val", or test with what that means."""
    return f"test ({CHOSEN_ON_TEST})" if select_on == "test" else select_on
