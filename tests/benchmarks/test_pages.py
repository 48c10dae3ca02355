"""Tables and pictures made of results."""

import copy
import json

import pytest
from PIL import Image

import cars_tables
import plots
import speed_tables
from tests.benchmarks.made_records import made_records


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


def test_what_int8_costs_is_told_beside_its_speed(found):
    start = found["optimize"]["results"]["efficientnet_b0"]["batch1"]["starts"]["lightcars int8"]
    row = {"precision": "int8", "top1_change_percent": -0.754}
    seen = {"folder": "val", "fitted": 30, "judged": 66, "nncf": "9.9"}
    start["first_process"] = start["first_process"] | {"measurements": [row], "photographs": seen}
    assert "int8 changes top-1 by -0.75 points" in speed_tables.how_fast(found)
    text = speed_tables.deployed(found)
    assert {row[-1] for row in rows(text) if "int8" in row[1] and len(row) == 8} == {"-0.75"}
    assert "NNCF 9.9, fitted to 30 photographs of `val`; its top-1" in text
    assert "on 66 others" in text


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


def test_checkpointing_shows_memory_and_time(found):
    sides = {
        f"{precision}{saving}": {"mib": mib, "processor_ms": ms}
        for precision in ("fp32", "bf16")
        for saving, mib, ms in (("", 2000.0, 100.0), (", checkpointing", 500.0, 150.0))
    }
    made = {**found["fuse"], "results": {"efficientnet_b0": sides}}
    table = speed_tables.checkpointed({"gradient_checkpointing": made})
    assert rows(table)[1] == ["EfficientNet-B0, bf16", "2,000", "500", "1.50"]


def test_what_is_outside_the_model_is_told_by_workers(found):
    figures = {"real_ms": 200.0, "bare_ms": 150.0, "outside_percent": 25.0}
    made = {**found["fuse"], "model": "ghostnet_100", "resolution": 112}
    table = speed_tables.outside({"finetune_step": {**made, "results": {"workers=0": figures}}})
    assert "| GhostNet 1.0, 112 px |" in table
    assert rows(table) == [["no workers", "200", "150", "25.0 %"]]


def test_gpu_cases(found):
    table = rows(speed_tables.on_gpu(found))
    assert ["EfficientNet-B0, 256 images", "lightcars (torch bf16)", "4", "64,000", "", "50"] in table
    assert "a GPU, CUDA 1.0; a processor" in speed_tables.on_gpu(found)


def test_without_results_a_table_names_the_command():
    assert "`python benchmarks/gpu.py`" in speed_tables.on_gpu({})
    for table in (
        speed_tables.how_fast,
        speed_tables.deployed,
        speed_tables.trained,
        speed_tables.fused,
        speed_tables.checkpointed,
        speed_tables.outside,
    ):
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


TRIAL = {
    "says": "nothing",
    "runs": [{"val_top1_percent": 40.0, "val_top1_percent_by_epoch": [9.0, 40.0], "hours": 0.5}],
}
MADE_BY_A_RUN = {
    "date": "2026-01-02",
    "machine": {"cpu": "a processor", "cores": 2},
    "versions": {"torch": "9.9"},
}


@pytest.fixture
def searched():
    run = {**TRIAL["runs"][0], "val_top1_percent": 44.5, "date": "2026-01-03"}
    longer = {"says": "longer", "runs": [run], "hours": 1.0}
    trials = {
        "start": {**TRIAL, "val_top1_percent_mean": 40.0},
        "longer": {**longer, "val_top1_percent_mean": 44.5},
    }
    c50 = {**TRIAL, "val_top1_percent_mean": 10.0}
    del c50["says"]
    found = {"cars_search": {"results": trials}, "cars_recipes": {"results": {"c-50": c50}}}
    return {name: copy.deepcopy({**MADE_BY_A_RUN, **record}) for name, record in found.items()}


def test_the_search_says_what_each_trial_gives(searched):
    text = cars_tables.search(searched)
    assert [row[0] for row in rows(text)] == ["`c-50`", "`start`", "`longer`"]
    assert [row[3] for row in rows(text)] == ["", "", "+4.5"]
    assert "2026-01-03: a processor, 2 cores; torch 9.9.\n" in text
    searched["cars_search"]["results"]["start"]["runs"][0]["date"] = "2026-01-01"
    assert "2026-01-01 to 2026-01-03: a processor" in cars_tables.search(searched)


def test_the_curves_hold_the_digest_of_what_they_show(searched, tmp_path):
    cars_tables.draw_curves(searched, tmp_path / "search.png")
    before = cars_tables.digest(searched)
    assert Image.open(tmp_path / "search.png").text[plots.SOURCE] == before
    searched["cars_search"]["results"]["longer"]["runs"][0]["val_top1_percent_by_epoch"] = [9.0, 41.0]
    assert cars_tables.digest(searched) != before


def test_first_answers_are_in_seconds():
    row = {"wall_ms": {"median": 1500.0, "min": 1400.0, "max": 1700.0}, "target_ms": 3000.0}
    text = cars_tables.answers({"first_answer": {**MADE_BY_A_RUN, "rounds": 2, "results": {"predict": row}}})
    assert rows(text) == [["`predict`", "1.50 s [1.40 .. 1.70]", "3 s"]]
    assert "; 2 rounds." in text


def test_strange_pictures_are_two_columns_a_folder():
    row = {"first": {"area": 0.995, "found_percent": 85.71}}
    record = {**MADE_BY_A_RUN, "pictures": {"first": ["a.png", "b.png"]}, "results": {"energy": row}}
    text = cars_tables.strange({"strange_pictures": record})
    assert rows(text) == [["energy", "0.99", "86 %"]]
    assert "| first 2: area | first 2: found |" in text


def test_worse_photographs_are_a_row_each():
    row = {"top1_percent": 80.04, "strange_percent": 2.0, "strange_of_right_percent": 1.5}
    text = cars_tables.changed({"changed_photographs": {**MADE_BY_A_RUN, "results": {"blurred": row}}})
    assert rows(text) == [["blurred", "80.0 %", "2.0 %", "1.5 %"]]


def test_without_a_search_there_is_neither_table_nor_picture(tmp_path):
    for table in (cars_tables.search, cars_tables.shipped, cars_tables.answers, cars_tables.changed):
        assert table({}).startswith("Not measured yet; `python benchmarks/")
    cars_tables.draw_curves({}, tmp_path / "search.png")
    assert not (tmp_path / "search.png").exists()
