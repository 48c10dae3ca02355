"""Tables and plots of results."""

import copy
import json

import pytest
from PIL import Image

from benchmarks.tables import cars, compared, families, imagenet, plots, speed, whole
from tests.benchmarks.synthetic_records import synthetic_records


@pytest.fixture
def found(monkeypatch):
    return synthetic_records(monkeypatch)


def rows(text):
    """Cells of the table's rows, below the head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_how_fast_has_a_row_for_each_model_and_batch_that_was_measured(found):
    text, twice = speed.how_fast(found), "5.25 [5.00 .. 5.50]"
    assert rows(text) == [
        ["EfficientNet-B0, 1 image", "torchvision 21 ms", twice, twice, "10.50 [10.00 .. 11.00]"],
        ["GhostNet 1.0, 16 images", "timm 25.2 ms", "6.30 [6.00 .. 6.60]", "", ""],
    ]
    assert "2026-01-02: a CPU, 2 cores; torch 9.9; 2 rounds.\n" in text


def test_the_top1_change_of_int8_is_beside_its_speed(found):
    start = found["optimize"]["results"]["efficientnet_b0"]["batch1"]["starts"]["lightcars int8"]
    row = {"precision": "int8", "top1_change_percent": -0.754}
    seen = {"folder": "val", "fitted": 30, "judged": 66, "nncf": "9.9"}
    start["first_process"] = start["first_process"] | {"measurements": [row], "photographs": seen}
    assert "int8 changes top-1 by -0.75 points" in speed.how_fast(found)
    text = speed.deployed(found)
    assert {row[-1] for row in rows(text) if "int8" in row[1] and len(row) == 8} == {"-0.75"}
    assert "NNCF 9.9, calibrated on 30 images of `val`; the change of top-1" in text
    assert "on 66 other images" in text


def test_how_fast_leaves_out_what_was_not_measured(found):
    text = speed.how_fast({"fuse": found["fuse"]})
    assert text.startswith("| | eager | `lightcars.fuse` |\n|---|---:|---:|\n")
    assert "optimize" not in text


def test_all_sides_are_compared_with_eager_and_with_ours(found):
    cells = {row[1]: row[2:] for row in rows(speed.deployed(found)) if len(row) == 7}
    assert cells["timm openvino"] == [
        "5.25",
        "4.00 [4.00 .. 4.00]",
        "1.31 [1.25 .. 1.38]",
        "2.62 [2.50 .. 2.75]",
        "0",
    ]
    assert cells["`lightcars.optimize` in int8"][1] == "10.50 [10.00 .. 11.00]"
    starts = [row for row in rows(speed.deployed(found)) if len(row) == 6]
    assert [
        "EfficientNet-B0, 1 image", "`lightcars.optimize`", "openvino bf16", "9 s", "9 s", "1 s"
    ] in starts  # fmt: skip


def test_the_training_step_is_against_the_fastest_precision(found):
    cells = {row[1]: row[2:] for row in rows(speed.trained(found))}
    assert cells["timm fp32"] == ["378", "1.26 [1.20 .. 1.32]", "50"]
    assert cells["lightcars bf16"] == ["300", "", "50"]


def test_checkpointing_shows_memory_and_time(found):
    sides = {
        f"{precision}{saving}": {"mib": mib, "processor_ms": ms}
        for precision in ("fp32", "bf16")
        for saving, mib, ms in (("", 2000.0, 100.0), (", checkpointing", 500.0, 150.0))
    }
    made = {**found["fuse"], "results": {"efficientnet_b0": sides}}
    table = speed.checkpointed({"gradient_checkpointing": made})
    assert rows(table)[1] == ["EfficientNet-B0, bf16", "2,000", "500", "1.50"]


def test_the_share_outside_the_model_is_shown_per_number_of_workers(found):
    times = {"real_ms": 200.0, "bare_ms": 150.0, "outside_percent": 25.0}
    made = {**found["fuse"], "model": "ghostnet_100", "resolution": 112}
    table = speed.outside({"finetune_step": {**made, "results": {"workers=0": times}}})
    assert "| GhostNet 1.0, 112 px |" in table
    assert rows(table) == [["no workers", "200", "150", "25.0 %"]]


def test_gpu_cases(found):
    table = rows(speed.on_gpu(found))
    assert ["EfficientNet-B0, 256 images", "lightcars (torch bf16)", "4", "64,000", "", "50"] in table
    assert "a GPU, CUDA 1.0; a CPU" in speed.on_gpu(found)


def test_without_results_a_table_names_the_command():
    assert "`python -m benchmarks.speed.gpu`" in speed.on_gpu({})
    for table in (
        speed.how_fast,
        speed.deployed,
        speed.trained,
        speed.fused,
        speed.checkpointed,
        speed.outside,
    ):
        assert table({}).startswith("Not measured yet: run `python -m ")


def test_other_machines_are_folders(found, tmp_path):
    assert speed.other_machines(tmp_path) == "No other machine has been measured yet.\n"
    (tmp_path / "a-laptop").mkdir()
    (tmp_path / "a-laptop" / "fuse.json").write_text(json.dumps(found["fuse"]))
    text = speed.other_machines(tmp_path)
    assert text.startswith("**a-laptop**\n\n| |")
    assert len(rows(text)) == 2


def test_plots_have_the_digest_of_their_data(found, tmp_path):
    plots.draw_all(found, tmp_path)
    for name, panels_of in plots.PICTURES.items():
        assert Image.open(tmp_path / name).text[plots.SOURCE] == plots.digest(panels_of(found))
    first, second = plots.cpu_panels(found)
    assert [bar.side for bar in first.bars][:2] == ["lightcars.optimize int8", "lightcars.optimize"]
    assert {bar.side: bar.ratio for bar in first.bars}["lightcars.fuse"] == 5.25
    assert second.title == "GhostNet 1.0, 16 images: times faster than timm, eager"
    assert plots.digest([first]) != plots.digest([second])


def test_a_plot_without_data_is_removed(found, tmp_path):
    plots.draw_all({"fuse": found["fuse"]}, tmp_path)
    (tmp_path / "speed-gpu.png").write_bytes(b"old")
    plots.draw_all({"fuse": found["fuse"]}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["speed.png"]


TRIAL = {
    "says": "nothing",
    "runs": [{"val_top1_percent": 40.0, "val_top1_percent_by_epoch": [9.0, 40.0], "hours": 0.5}],
}
RECORD = {
    "date": "2026-01-02",
    "machine": {"cpu": "a CPU", "cores": 2},
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
    return {name: copy.deepcopy({**RECORD, **record}) for name, record in found.items()}


def test_the_search_shows_the_gain_of_each_trial(searched):
    text = cars.search(searched)
    assert [row[0] for row in rows(text)] == ["`c-50`", "`start`", "`longer`"]
    assert [row[3] for row in rows(text)] == ["", "", "+4.5"]
    assert "2026-01-03: a CPU, 2 cores; torch 9.9.\n" in text
    searched["cars_search"]["results"]["start"]["runs"][0]["date"] = "2026-01-01"
    assert "2026-01-01 to 2026-01-03: a CPU" in cars.search(searched)


def test_the_curves_have_the_digest_of_their_data(searched, tmp_path):
    cars.draw_curves(cars.curves(searched), tmp_path / "search.png")
    before = cars.digest(cars.curves(searched))
    assert Image.open(tmp_path / "search.png").text[plots.SOURCE] == before
    searched["cars_search"]["results"]["longer"]["runs"][0]["val_top1_percent_by_epoch"] = [9.0, 41.0]
    assert cars.digest(cars.curves(searched)) != before


def test_the_runs_behind_the_shipped_weights():
    run = {
        "recipe": "cars-lite",
        "resolution": 176,
        "hours": 1.26,
        "val_top1_percent_by_epoch": [80.0, 87.91],
    }
    found = {"train_cars196": trained("efficientnet_lite2", 91.5) | {"runs": [run]}}
    assert rows(cars.training_runs(found)) == [
        ["`cars196`", "`cars-lite`", "176 px", "2", "1.3", "87.91 %"],
    ]
    assert cars.training_curves(found) == {"cars196: cars-lite": [80.0, 87.91]}


def test_each_choice_is_shown_at_both_resolutions():
    row = {
        "says": "without the teacher",
        "model": "ghostnet_thesis",
        "resolution": 176,
        "epochs": 32,
        "val_top1_percent": 84.02,
        "last_epoch": [
            {"resolution": side, "val_top1_percent": top1} for side, top1 in ((176, 83.9), (208, 86.5))
        ],
        "hours": 0.554,
    }
    text = cars.choices({"cars_choices": {**RECORD, "results": {"labels": row}}})
    tops = ["84.02 % at 176 px", "83.90 % at 176 px, 86.50 % at 208 px"]
    assert rows(text) == [["`ghostnet_thesis`", "without the teacher", "32", *tops, "0.55"]]


def test_first_answers_are_in_seconds():
    row = {"wall_ms": {"median": 1500.0, "min": 1400.0, "max": 1700.0}, "target_ms": 3000.0}
    text = cars.answers({"first_answer": {**RECORD, "rounds": 2, "results": {"predict": row}}})
    assert rows(text) == [["`predict`", "1.50 s [1.40 .. 1.70]", "3 s"]]
    assert "; 2 rounds." in text


def test_out_of_distribution_images_are_two_columns_per_folder():
    row = {"first": {"area": 0.995, "found_percent": 85.71}}
    record = {**RECORD, "pictures": {"first": ["a.png", "b.png"]}, "results": {"energy": row}}
    text = cars.out_of_distribution({"strange_pictures": record})
    assert rows(text) == [["energy", "0.99", "86 %"]]
    assert "| first (2 images): AUROC | first (2 images): detected |" in text


def test_corruptions_are_a_row_each():
    row = {"top1_percent": 80.04, "strange_percent": 2.0, "strange_of_right_percent": 1.5}
    record = {**RECORD, "results": {"blurred": row}}
    text = cars.corrupted({"changed_photographs": record})
    assert rows(text) == [["blurred", "80.0 %", "2.0 %", "1.5 %"]]
    other = {
        **record,
        "benchmark": "changed_photographs",
        "date": "2026-01-01",
        "results": {"blurred": {**row, "top1_percent": 70.0}},
    }
    text = cars.corrupted({"changed_photographs": record, "changed_photographs_ghostnet": other})
    assert rows(text) == [["blurred", "80.0 %", "2.0 %", "1.5 %", "70.0 %", "2.0 %", "1.5 %"]]
    assert "| `cars196`: top-1 |" in text
    assert "| `cars196-ghostnet`: top-1 |" in text
    assert ("2026-01-01: " in text, text.count("2026-01-02: ")) == (True, 1)


def trained(model, top1):
    return {
        **RECORD,
        "benchmark": "train_cars196",
        "model": model,
        "parameters": 4_000_000,
        "threads": 1,
        "epochs": 36,
        "hours": 2.04,
        "seed": 0,
        "resolution": 224,
        "val_top1_percent": top1,
        "val_top5_percent": 98.5,
        "val_make_top1_percent": 97.0,
        "val_model_top1_percent": 95.0,
        "val_calibration_error": 0.0204,
        "val_calibration_error_before": 0.1,
        "val_top1_percent_by_resolution": {
            "of the training": {"208": 90.0, "224": 91.0},
            "taken anew": {"208": 90.5, "224": top1},
        },
    }


def test_the_shipped_weights_are_beside_each_other():
    record = trained("efficientnet_lite2", 91.5)
    found = {"train_cars196": record, "train_cars196_ghostnet": trained("ghostnet_thesis", 84.6)}
    table = {row[0]: row[1:] for row in rows(cars.shipped(found))}
    assert table["top-1 on `val`"] == ["91.50 %", "84.60 %"]
    assert table["model"][0] == "`efficientnet_lite2`, 4,000,000 parameters"
    assert table["make"] == ["97.00 %", "97.00 %"]
    assert table["training"][0] == "36 epochs, 2.0 hours, 1 thread, seed 0"
    assert "| `cars196`: top-1 on `val`, % | 208 px | 224 px |" in cars.shipped(found)
    assert table["batch norm statistics re-estimated at that resolution"] == ["90.50", "84.60"]


def test_the_readme_says_the_accuracy_of_the_default_weights():
    ways = {name: {"composites": {"top1_percent": top1}} for name, top1 in
            ((cars.FINDER, 90.2), (cars.TRUE_BOX, 90.9))}  # fmt: skip
    whole_record = {**RECORD, "results": {"ways": ways}}
    record = trained("efficientnet_lite2", 91.5)
    text = cars.summary({"train_cars196": record, "whole_photographs": whole_record})
    assert " ".join(text.split()) == (
        "On [Stanford Cars](docs/cars196.md), an EfficientNet-Lite2 with 4.0 million parameters, the default"
        " of `predict`, reaches 91.5 % top-1 on validation photographs cropped to the car. On composites,"
        " where `predict` must find the car, it reaches 90.2 % (cropped: 90.9 %)."
    )
    assert cars.summary({"train_cars196": record}).startswith("Not measured yet: run `python -m benchmarks")


def test_precisions_are_two_rows_of_each_model():
    counts = {"eager": {"all": 90, "others": 70}, "int8": {"all": 88, "others": 69}}
    row = {"images": 100, "others": 80, "right": counts, "engines": {"int8": "openvino"}}
    text = imagenet.precisions({"imagenet_precisions": {**RECORD, "results": {"lite": row}}})
    assert rows(text) == [["`lite`, all 100", "90", "88"], ["`lite`, the other 80", "70", "69"]]
    assert "Engines: `lite`: int8 by openvino.\n" in text
    assert "2026-01-02: a CPU" in text


def test_families_are_a_row_for_each_model_and_batch():
    ratio = {"ratio": 1.5, "low": 1.25, "high": 2.0}
    ms = {
        "sides": {"lightcars": {"median": 2.0}},
        "peer_over_lightcars": {"timm": ratio, "timm openvino": ratio},
    }
    starts = {"lightcars": {"first_process": {"engine": "onednn", "precision": "bf16"}}}
    batch = {"ms": ms, "eager": "timm", "engines_run": "timm", "starts": starts}
    text = families.optimized({families.OPTIMIZED: {**RECORD, "results": {"net": {"batch16": batch}}}})
    spread = "1.50 [1.25 .. 2.00]"
    assert rows(text) == [["`net`, 16 images", "onednn bf16", "2", f"{spread} (timm)", f"{spread} (timm)"]]


def test_any_models_are_a_row_for_each_batch():
    ratio = {"ratio": 1.5, "low": 1.25, "high": 2.0}
    over = {"eager": {**ratio, "ratio": 3.0}, "openvino": ratio}
    batch = {
        "ms": {"sides": {"lightcars": {"median": 2.0}}, "peer_over_lightcars": over},
        "relative_differences": {"lightcars": 0.0123, "openvino": 0.02},
        "chosen": {"engine": "openvino", "precision": "bf16"},
    }
    text = families.any_model({families.ANY: {**RECORD, "results": {"timm/net": {"batch1": batch}}}})
    expected = ["`timm/net`, 1 image", "openvino bf16", "2", "3.00 [1.25 .. 2.00]", "1.50 [1.25 .. 2.00]"]
    assert rows(text) == [[*expected, "0.012", "0.02"]]


def test_litert_files_are_beside_onnxruntime():
    ratio = {"ratio": 1.5, "low": 1.25, "high": 2.0}
    plain = {"size_bytes": 4_000_000, "difference": 2e-6, "top1_change_percent": None}
    small = {"size_bytes": 1_000_000, "difference": 0.1, "top1_change_percent": -0.5}
    net = {
        "files": {"onnxruntime fp32": plain, "litert int8": small},
        "ms": {"onnxruntime fp32": {"median": 2.0}, "litert int8": {"median": 3.0}},
        "over_onnxruntime": {"litert int8": ratio},
    }
    settings = {"threads": 2, "packages": {"litert-torch": "9.9"}}
    text = families.litert({"litert": {**RECORD, **settings, "results": {"net": net}}})
    assert rows(text) == [
        ["`net`, onnxruntime fp32", "4.0 MB", "2", "", "2e-06", ""],
        ["`net`, litert int8", "1.0 MB", "3", "1.50 [1.25 .. 2.00]", "0.1", "-0.50"],
    ]
    assert "One image, 2 threads; litert-torch 9.9." in text


def test_training_steps_of_families_are_in_the_fastest_precision():
    ratio = {"ratio": 1.5, "low": 1.25, "high": 2.0}
    step = {
        "ms": {"sides": {"lightcars bf16": {"median": 2.0}}},
        "fastest": {"lightcars": "lightcars bf16", "peer": "timm bf16 memory kept"},
        "peer_over_lightcars": ratio,
    }
    settings = {"batch": 64, "resolution": 224, "threads": 2}
    text = families.trained({families.TRAINED: {**RECORD, **settings, "results": {"net": step}}})
    assert rows(text) == [["`net`", "bf16", "2", "1.50 [1.25 .. 2.00] (timm bf16 memory kept)"]]
    assert "64 images of 224 px, 2 threads." in text


def test_compared_models_name_their_fronts(tmp_path):
    common = {"best_epoch": 5, "top5_percent": 9.0, "seconds": 1.0}
    models = [
        {"name": "small", "top1_percent": 2.0, "num_params": 10, "flops": 20, "latency_ms": 3.0, **common},
        {"name": "large", "top1_percent": 4.0, "num_params": 20, "flops": 40, "latency_ms": 1.0, **common},
    ]
    record = {**RECORD, "images": {"train": 5541, "val": 968}, "epochs": 5, "resolution": 96, "seed": 0}
    found = {compared.NAME: {**record, "results": models}}
    text = compared.compared(found)
    fronts = ["multiply-accumulates, parameters, latency", "multiply-accumulates, parameters"]
    assert [row[:3] for row in rows(text)] == [
        ["`large`", fronts[0], "4.00 %"],
        ["`small`", fronts[1], "2.00 %"],
    ]
    assert "5 epochs at 96 px with seed 0, on 5,541 photographs of `train`; 968 of `val`" in text
    compared.draw(found, tmp_path / compared.PICTURE)
    assert Image.open(tmp_path / compared.PICTURE).text[plots.SOURCE] == compared.digest(found)
    compared.draw({}, tmp_path / compared.PICTURE)
    assert not (tmp_path / compared.PICTURE).exists()


def test_without_a_search_there_is_neither_table_nor_plot(tmp_path):
    of_cars = (
        cars.search,
        cars.shipped,
        cars.training_runs,
        cars.choices,
        cars.summary,
        cars.answers,
        cars.corrupted,
        compared.compared,
    )
    of_families = (families.optimized, families.any_model, families.litert, families.trained)
    for table in (*of_cars, imagenet.precisions, *of_families):
        assert table({}).startswith("Not measured yet: run `python -m ")
    cars.draw_curves({}, tmp_path / "search.png")
    assert not (tmp_path / "search.png").exists()


def test_whole_photographs():
    cell = {"top1_percent": 84.33, "overlap": 0.8697}
    told = {kind: {"images": 10, "told_percent": 90.0} for kind in whole.KINDS}
    record = {
        "date": "2026-01-02",
        "machine": {"cpu": "a CPU", "cores": 2},
        "versions": {"torch": "9.9"},
        "benchmark": "whole_photographs",
        "images": {"composites": 300, "whole": 45},
        "slow_images": 20,
        "results": {
            "ways": {
                "cut": {"composites": cell, "whole": cell},
                "finder": {"composites": cell, "whole": cell, "passes": 2.419},
            },
            "finder": {
                "imagenet": told,
                "val_refused_percent": 0.0,
                "val_found_top1_percent": 84.5,
                "val_cut_top1_percent": 84.61,
            },
            "calibration": {"val_error": 0.029, "whole_error": 0.033, "composites_error": 0.0762},
            "levels": {level: {"val": 93.6, "composites": 90.0, "whole": 100.0} for level in whole.LEVELS},
        },
    }
    found = {"whole_photographs": record}
    assert rows(whole.ways(found)) == [
        ["cut", "84.3 %", "0.87", "84.3 %", "0.87", ""],
        ["finder", "84.3 %", "0.87", "84.3 %", "0.87", "2.42"],
    ]
    assert "| way | 300 composites: top-1 | overlap | 45 whole photographs: top-1 |" in whole.ways(found)
    assert rows(whole.told(found))[-1] == ["`val`, cut to the cars", "968", "0.0 %"]
    assert rows(whole.levels(found))[0] == ["`cars196`", "make", "93.6 %", "90.0 %", "100.0 %"]
    both = whole.levels(found | {"whole_photographs_ghostnet": record})
    assert [row[0] for row in rows(both)] == ["`cars196`"] * 3 + ["`cars196-ghostnet`"] * 3
    row = {"images": 150, "cars": 328, "found_percent": 87.2, "named_percent_of_found": 81.12}
    row |= {"named_percent_when_cut": 83.22, "boxes_without_a_car": 7}
    assert "Not measured" in whole.several(found)
    record["results"]["several"] = row
    text = " ".join(whole.several(found).split())
    assert "87.2 % of the 328 cars are found. Of these, 81.1 % are named right" in text
    text = " ".join(whole.finding(found).split())
    assert text.startswith("Top-1 on `val` is 84.50 % with the finder and 84.61 % with `--cut`.")
    assert "2.9 % on `val`, 3.3 % on the whole photographs and 7.6 % on composites" in text
