"""Tables that other programs read: no formulas, any file name, constant memory."""

import csv
import json
import sys
import tracemalloc

import pytest
from pyarrow import parquet

from lightcars.errors import MissingExtraError
from lightcars.evaluation.bulk.formats import FORMATS, Columns, check_installed
from lightcars.evaluation.cells import from_cell

NOT_UTF8 = "caf\udce9.jpg"
ROWS = [
    {
        "image": "=1+1.jpg",
        "familiar": True,
        "guesses": [{"name": "@Audi", "probability": 0.75}, {"name": 'B "M" W,\n', "probability": 1e-9}],
    },
    {"image": NOT_UTF8, "familiar": None, "guesses": [{"name": "Fiat", "probability": 1.0}]},
    {"image": "bad.jpg", "error": "-bad"},
]
COLUMNS = Columns(top=2, has_familiarity=True)


def test_csv(tmp_path):
    path = tmp_path / "table.csv"
    FORMATS[".csv"](ROWS, path, COLUMNS)
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["image", "guess_1", "probability_1", "guess_2", "probability_2", "familiar", "error"]
    assert rows[0] == ["'=1+1.jpg", "'@Audi", "0.75", 'B "M" W,\n', "1e-09", "true", ""]
    assert [from_cell(row[0]) for row in rows] == [row["image"] for row in ROWS]
    assert rows[1] == ["caf\\udce9.jpg", "Fiat", "1", "", "", "", ""]
    assert rows[2] == ["bad.jpg", "", "", "", "", "", "'-bad"]


def test_jsonl(tmp_path):
    path = tmp_path / "table.jsonl"
    FORMATS[".jsonl"](ROWS, path, COLUMNS)
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == ROWS


def test_parquet(tmp_path):
    path = tmp_path / "table.parquet"
    FORMATS[".parquet"](ROWS, path, COLUMNS)
    table = parquet.read_table(path)
    assert table.column_names == COLUMNS.names
    assert table["image"].to_pylist() == ["=1+1.jpg", "caf\\udce9.jpg", "bad.jpg"]
    assert table["probability_1"].to_pylist() == [0.75, 1.0, None]
    assert table["familiar"].to_pylist() == [True, None, None]
    assert table["error"].to_pylist() == [None, None, "-bad"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_table_without_rows_and_one_without_a_detector(tmp_path, suffix):
    columns = Columns(top=1, has_familiarity=False)
    assert columns.names == ["image", "guess_1", "probability_1", "error"]
    FORMATS[suffix]([], tmp_path / "empty", columns)
    FORMATS[suffix](ROWS[2:], tmp_path / "table", columns)
    assert (tmp_path / "table").stat().st_size > 0


@pytest.mark.parametrize("suffix", FORMATS)
def test_memory_does_not_grow_with_the_rows(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("lightcars.evaluation.bulk.formats.ROW_GROUP", 200)

    def peak(number: int) -> int:
        rows = ({"image": f"{position:0300d}", "error": "x"} for position in range(number))
        tracemalloc.start()
        try:
            FORMATS[suffix](rows, tmp_path / "table", COLUMNS)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(500)
    assert peak(6000) < 2 * peak(1000), "a list of 6000 rows would take 3 MB"


def test_parquet_without_pyarrow(monkeypatch):
    check_installed(".parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    check_installed(".csv")
    with pytest.raises(MissingExtraError, match="writing parquet needs pyarrow: pip install"):
        check_installed(".parquet")
