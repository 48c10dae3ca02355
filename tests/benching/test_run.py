"""`bench`: each case runs in its own processes, and a problem in one is a problem of its row only."""

import json
import sys
from pathlib import Path

import pytest
import torch

from lightcars import Accuracy, BenchSettings, bench, load, save
from lightcars.benching.process import ProcessResult
from lightcars.deploy import cpu
from lightcars.models.origin import WeightsOrigin

running = sys.modules["lightcars.benching.run"]

TIMINGS = {"calls": 20, "latency_ms": 4.0, "p95_ms": 5.0, "memory_mib": 30.0}
SET_UP = {"setup_s": 2.0, "difference": 1e-6, "problem": None}
BOTH = BenchSettings(engines=("eager", "torch"), precisions=("fp32",), threads=1)


@pytest.fixture
def asked(monkeypatch):
    """Replaces processes: records their tasks, and returns results that a test may replace."""

    class Asked(list):
        def __init__(self) -> None:
            self.answers = {"set_up": ProcessResult(SET_UP, None), "predict": ProcessResult(TIMINGS, None)}
            self.answers["train"] = self.answers["predict"]

    record = Asked()

    def call(target, task, *, environment):
        function = target.removeprefix("lightcars.benching.child:")
        record.append((function, task, environment, Path(task["folder"]).is_dir()))
        answer = record.answers.get((function, task["engine"]), record.answers[function])
        return answer(task) if callable(answer) else answer

    monkeypatch.setattr(running, "call_in_process", call)
    monkeypatch.setattr(cpu, "has_bf16", lambda: True)
    return record


def test_eager_is_only_measured_and_an_engine_is_set_up_first(tiny, asked):
    result = bench({"mine": tiny}, BOTH)
    assert [(function, task["engine"]) for function, task, _, _ in asked] == [
        ("predict", "eager"),
        ("set_up", "torch"),
        ("predict", "torch"),
    ]
    eager = next(row for row in result.rows if row.engine == "eager")
    assert (eager.setup_s, eager.difference, eager.problem) == (None, None, None)
    engine = next(row for row in result.rows if row.engine == "torch")
    assert (engine.setup_s, engine.difference) == (2.0, 1e-6)
    assert (engine.latency_ms, engine.p95_ms, engine.calls, engine.memory_mib) == (4.0, 5.0, 20, 30.0)


def test_both_processes_of_an_engine_share_folder_and_compiler_cache(tiny, asked):
    settings = BenchSettings(engines=("torch", "compile"), precisions=("fp32",), threads=1)
    bench({"mine": tiny}, settings)
    folders = [task["folder"] for _, task, _, _ in asked]
    caches = [environment["TORCHINDUCTOR_CACHE_DIR"] for _, _, environment, _ in asked]
    assert all(there for *_, there in asked)
    for shared in (folders, caches):
        assert shared[0] == shared[1] != shared[2] == shared[3]
    assert not any(Path(folder).exists() for folder in folders), "nothing stays"


def test_the_processes_get_the_model_as_it_is(tiny, asked):
    def compare(task):
        loaded = load(task["weights"])
        assert loaded.config == tiny.config
        assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), tiny.parameters(), strict=True))
        return ProcessResult(TIMINGS, None)

    asked.answers["predict"] = compare
    tiny.train()
    bench({"mine": tiny}, BOTH)
    assert tiny.training
    assert {task["seconds"] for _, task, _, _ in asked} == {2.0}


def test_the_processes_know_which_weights_are_untrained(tiny, asked, tmp_path):
    bench({"fresh": tiny, "loaded": load(save(tiny, tmp_path))}, BOTH)
    known = [(task["model"], task["untrained"]) for function, task, _, _ in asked if function == "set_up"]
    assert known == [("fresh", True), ("loaded", False)]


def test_throughput_is_of_the_whole_batch(tiny, asked):
    settings = BenchSettings(engines=("eager",), precisions=("fp32",), batches=(8,), threads=1)
    (row,) = bench({"mine": tiny}, settings).rows
    assert row.images_per_second == 2000.0


@pytest.mark.parametrize("function", ["set_up", "predict"])
def test_a_crash_is_a_row_and_the_rest_goes_on(tiny, asked, function):
    asked.answers[function, "torch"] = ProcessResult(None, "its process crashed (SIGSEGV)")
    result = bench({"one": tiny, "two": tiny}, BOTH)
    assert len(result.rows) == 4
    crashed = [row for row in result.rows if row.engine == "torch"]
    assert [(row.latency_ms, row.problem) for row in crashed] == [
        (None, "its process crashed (SIGSEGV)"),
        (None, "its process crashed (SIGSEGV)"),
    ]
    assert [row.latency_ms for row in result.rows if row.engine == "eager"] == [4.0, 4.0]
    assert result.problems == [
        "one, torch fp32, batch 1: its process crashed (SIGSEGV)",
        "two, torch fp32, batch 1: its process crashed (SIGSEGV)",
    ]


def test_an_engine_whose_outputs_differ_is_measured_and_named(tiny, asked):
    problem = "outputs differ by 3.0e-02 of the largest logit, the limit is 1e-04"
    asked.answers["set_up"] = ProcessResult({**SET_UP, "difference": 0.03, "problem": problem}, None)
    row = next(row for row in bench({"mine": tiny}, BOTH).rows if row.engine == "torch")
    assert (row.latency_ms, row.difference, row.problem) == (4.0, 0.03, problem)


def test_the_fastest_comes_first_in_the_order_of_models_and_batches(tiny, asked):
    asked.answers["predict", "torch"] = ProcessResult({**TIMINGS, "latency_ms": 1.0}, None)
    asked.answers["set_up", "compile"] = ProcessResult(None, "no compiler")
    settings = BenchSettings(
        engines=("compile", "eager", "torch"), precisions=("fp32",), batches=(2, 1), threads=1
    )
    rows = bench({"zoe": tiny, "ada": tiny}, settings).rows
    groups = [("zoe", 2), ("zoe", 1), ("ada", 2), ("ada", 1)]
    assert [(row.model, row.batch, row.engine) for row in rows] == [
        (*group, engine) for group in groups for engine in ("torch", "eager", "compile")
    ]


def test_training_steps_are_asked_once_each(tiny, asked):
    result = bench({"mine": tiny}, BenchSettings(train=True, threads=1))
    assert [function for function, *_ in asked] == ["train"] * 4
    assert {row.what for row in result.rows} == {
        *("fp32 contiguous", "fp32 channels_last", "bf16 contiguous", "bf16 channels_last")
    }
    assert "mine, 16 x 32 px, training step" in str(result)


def test_accuracy_goes_to_the_rows_of_its_resolution(tiny, asked):
    known = Accuracy(top1_percent=75.0, data="val of cars", resolution=32)
    accuracies = {"mine": known}
    assert {row.accuracy for row in bench({"mine": tiny, "x": tiny}, BOTH, accuracies=accuracies).rows} == {
        *(known, None)
    }
    larger = BenchSettings(engines=("eager",), precisions=("fp32",), resolution=64, threads=1)
    (row,) = bench({"mine": tiny}, larger, accuracies=accuracies).rows
    assert row.accuracy is None, "at other sizes it is not known"


def test_published_accuracy_is_the_catalogs():
    from lightcars import published_accuracy

    def origin(tag: str, **changed) -> WeightsOrigin:
        return WeightsOrigin(weights=tag, source="timm", kept=1, **changed)

    found = published_accuracy(origin("timm/ghostnet_100.in1k"))
    assert (found.data, found.resolution) == ("ImageNet-1k, as published", 224)
    assert 70 < found.top1_percent < 80
    assert published_accuracy(None) is None
    assert published_accuracy(origin("runs/first")) is None
    assert published_accuracy(origin("timm/ghostnet_100.in1k", initialized=("classifier.weight",))) is None
    assert published_accuracy(origin("timm/ghostnet_100.in1k", adapted=("stem.weight",))) is None
    unknown = origin("lukemelas/efficientnet_b0")
    assert published_accuracy(unknown) is None, "no source states it"


def test_json_and_text_tell_machine_and_versions(tiny, asked):
    result = bench({"mine": tiny}, BOTH)
    content = json.loads(result.to_json())
    assert content["machine"].endswith("; 1 thread")
    assert content["versions"]["torch"] == torch.__version__
    assert content["train"] is False
    (row,) = [row for row in content["rows"] if row["engine"] == "torch"]
    assert (row["model"], row["batch"], row["resolution"], row["threads"]) == ("mine", 1, 32, 1)
    text = str(result).splitlines()
    assert text[0] == result.machine
    assert text[2] == "mine, 1 x 32 px"
    assert text[3].split("  ") != []
    assert any(line.startswith("torch fp32  4.00  5.00    250.0     30   2.0       1e-06") for line in text)


def test_a_compiled_model_is_the_one_inside(tiny, asked):
    (row,) = bench(
        {"mine": torch.compile(tiny)}, BenchSettings(engines=("eager",), precisions=("fp32",), threads=1)
    ).rows
    assert row.latency_ms == 4.0


def test_in_real_processes(tiny):
    """One engine from end to end; the others go the same way."""
    settings = BenchSettings(engines=("torch",), precisions=("fp32",), threads=1, seconds=0.01)
    (row,) = bench({"mine": tiny}, settings).rows
    assert row.problem is None
    assert row.calls >= 3
    assert 0 < row.latency_ms <= row.p95_ms
    assert 0 < row.memory_mib < 2000
    assert row.difference <= 1e-4
    assert row.setup_s > 0
