"""Tables and pictures made of results."""

import json

import pytest
from PIL import Image

import plots
import speed_tables

from .made_records import made_records


@pytest.fixture
def found(monkeypatch):
    return made_records(monkeypatch)


def rows(text):
    """Cells of the table's rows, below the head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_how_fast_has_a_row_for_each_model_and_batch_that_was_measured(found):
    text, twice = speed_tables.how_fast(found), "5.25 [5.00 .. 5.50]"
    assert rows(text) == [
        ["EfficientNet-B0, 1 image", "torchvision 21 ms", twice, twice, "10.50 [10.00 .. 11.00]"],
        ["GhostNet 1.0, 16 images", "timm 25.2 ms", "6.30 [6.00 .. 6.60]", "", ""],
    ]
    assert "2026-01-02: a processor, 2 cores; torch 9.9; 2 rounds.\n" in text


def test_how_fast_leaves_out_what_was_not_measured(found):
    text = speed_tables.how_fast({"fuse": found["fuse"]})
    assert text.startswith("| | eager | `lightcars.fuse` |\n|---|---:|---:|\n")
    assert "optimize" not in text


def test_all_sides_are_shown_against_eager_and_against_ours(found):
    cells = {row[1]: row[2:] for row in rows(speed_tables.deployed(found)) if len(row) == 7}
    assert cells["timm openvino"] == [
        "5.25",
        "4.00 [4.00 .. 4.00]",
        "1.31 [1.25 .. 1.38]",
        "2.62 [2.50 .. 2.75]",
        "0",
    ]
    assert cells["`lightcars.optimize` in int8"][1] == "10.50 [10.00 .. 11.00]"
    starts = [row for row in rows(speed_tables.deployed(found)) if len(row) == 6]
    assert [
        "EfficientNet-B0, 1 image", "`lightcars.optimize`", "openvino bf16", "9 s", "9 s", "1 s"
    ] in starts  # fmt: skip


def test_the_training_step_is_against_the_fastest_precision(found):
    cells = {row[1]: row[2:] for row in rows(speed_tables.trained(found))}
    assert cells["timm fp32"] == ["378", "1.26 [1.20 .. 1.32]", "50"]
    assert cells["lightcars bf16"] == ["300", "", "50"]


def test_gpu_cases(found):
    table = rows(speed_tables.on_gpu(found))
    assert ["EfficientNet-B0, 256 images", "lightcars (torch bf16)", "4", "64,000", "", "50"] in table
    assert "a GPU, CUDA 1.0; a processor" in speed_tables.on_gpu(found)


def test_without_results_a_table_names_the_command():
    assert "`python benchmarks/gpu.py`" in speed_tables.on_gpu({})
    for table in (speed_tables.how_fast, speed_tables.deployed, speed_tables.trained, speed_tables.fused):
        assert table({}).startswith("Not measured yet; `python benchmarks/")


def test_other_machines_are_folders(found, tmp_path):
    assert speed_tables.other_machines(tmp_path) == "No other machine has been measured.\n"
    (tmp_path / "a-laptop").mkdir()
    (tmp_path / "a-laptop" / "fuse.json").write_text(json.dumps(found["fuse"]))
    text = speed_tables.other_machines(tmp_path)
    assert text.startswith("**a-laptop**\n\n| |")
    assert len(rows(text)) == 2


def test_pictures_hold_the_digest_of_what_they_show(found, tmp_path):
    plots.draw_all(found, tmp_path)
    for name, panels_of in plots.PICTURES.items():
        assert Image.open(tmp_path / name).text[plots.SOURCE] == plots.digest(panels_of(found))
    first, second = plots.processor_panels(found)
    assert [bar.side for bar in first.bars][:2] == ["lightcars.optimize int8", "lightcars.optimize"]
    assert {bar.side: bar.ratio for bar in first.bars}["lightcars.fuse"] == 5.25
    assert second.title == "GhostNet 1.0, 16 images: times faster than timm, eager"
    assert plots.digest([first]) != plots.digest([second])


def test_a_picture_without_figures_goes(found, tmp_path):
    plots.draw_all({"fuse": found["fuse"]}, tmp_path)
    (tmp_path / "speed-gpu.png").write_bytes(b"old")
    plots.draw_all({"fuse": found["fuse"]}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["speed.png"]
