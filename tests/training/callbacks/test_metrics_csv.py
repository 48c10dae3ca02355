"""What is written and shown after an epoch: the table and the line."""

import pytest

from lightcars.training.callbacks.metrics_csv import COLUMNS, table_text
from lightcars.training.callbacks.progress import epoch_line


def row(epoch: int, top1: float) -> dict[str, float]:
    figures = dict.fromkeys(COLUMNS, 0.5)
    return figures | {"epoch": epoch, "val_top1_percent": top1, "train_loss": 1.23456789, "seconds": 12.3}


def test_the_table_has_six_digits_and_unix_lines():
    text = table_text([row(1, 10.0), row(2, 20.0)])
    lines = text.split("\n")
    assert lines[0].split(",") == list(COLUMNS)
    assert lines[1] == "1,1.23457,0.5,0.5,10,0.5,0.5,12.3"
    assert len(lines) == 4
    assert "\r" not in text
    assert lines[-1] == ""


@pytest.mark.parametrize(("tops", "best"), [((10.0, 20.0), True), ((20.0, 10.0), False), ((20.0,), True)])
def test_the_line_marks_the_best_epoch(tops, best):
    line = epoch_line([row(epoch, top1) for epoch, top1 in enumerate(tops, 1)], 12)
    assert line.startswith(f"epoch {len(tops):>2}/12  train loss 1.235  top-1   0.5 %")
    assert f"top-1 {tops[-1]:5.1f} %  |  12 s" in line
    assert line.endswith("best") == best
