"""Which models `lightcars list` shows, in which order, and the latencies that it keeps."""

import json

import pytest

from lightcars.benching import latencies
from lightcars.benching.choosing import SORT_KEYS, Wanted, choose_models
from lightcars.errors import UnknownModelError
from lightcars.models.registry import MODELS
from lightcars.weights.catalog import list_weights


def names(**wanted) -> list[str]:
    return [row.name for row in choose_models(Wanted(**wanted))]


def test_all_in_the_order_of_the_registry():
    rows = choose_models(Wanted())
    assert [row.name for row in rows] == list(MODELS)
    for row in rows:
        entry = MODELS[row.name]
        assert (row.num_params, row.flops, row.paper) == (entry.num_params, entry.flops, entry.paper)
        assert row.name.startswith(f"{row.family}_")


def test_limits_are_included():
    ghostnet = MODELS["ghostnet_100"]
    assert "ghostnet_100" in names(max_params=ghostnet.num_params, max_flops=ghostnet.flops)
    assert "ghostnet_100" not in names(max_params=ghostnet.num_params - 1)
    assert "ghostnet_100" not in names(max_flops=ghostnet.flops - 1)
    assert all(MODELS[name].flops <= 200e6 for name in names(max_flops=200e6))


def test_the_accuracy_is_the_best_one_without_other_data():
    for row in choose_models(Wanted()):
        known = [entry.top1_percent or 0 for entry in list_weights(row.name)]
        own = [
            entry.top1_percent or 0
            for entry in list_weights(row.name)
            if entry.data == "ImageNet-1k" and "jft" not in entry.tag and "in12k" not in entry.tag
        ]
        assert (row.top1_percent or 0) == max(own, default=0) <= max(known, default=0)
    by_name = {row.name: row for row in choose_models(Wanted())}
    assert by_name["efficientnet_lite0"].top1_percent == 75.1
    assert by_name["ghostnet_thesis"].top1_percent is None, "its only weights are for Stanford Cars"


def test_filters_of_accuracy_family_license_and_availability():
    assert names(family="ghostnet") == [name for name in MODELS if name.startswith("ghostnet_")]
    accurate = names(min_top1_percent=84.0)
    assert accurate
    assert "efficientnet_b0" not in accurate
    assert "ghostnet_050" not in accurate, "nothing is published"
    assert "efficientnet_lite0" in names(license="Apache-2.0")
    assert "ghostnet_050" not in names(license="apache-2.0")
    assert {"efficientnet_lite0", "ghostnet_thesis"} <= set(names(available=True))
    assert names(pattern="*_b0", family="efficientnet") == ["efficientnet_b0"]


def test_an_unknown_family():
    with pytest.raises(UnknownModelError, match=r"no family named 'ghostnets'\. Did you mean ghostnet"):
        choose_models(Wanted(family="ghostnets"))


@pytest.mark.parametrize("key", SORT_KEYS)
def test_sorting_leaves_no_model_out(key):
    rows = sorted(choose_models(Wanted()), key=SORT_KEYS[key])
    assert {row.name for row in rows} == set(MODELS)
    if key == "accuracy":
        assert rows[0].top1_percent == max(row.top1_percent or 0 for row in rows)
        assert rows[-1].top1_percent is None
    if key == "flops":
        assert rows[0].flops == min(entry.flops for entry in MODELS.values())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path))
    return tmp_path


def test_latencies_are_measured_once(cache, monkeypatch):
    monkeypatch.setattr(latencies, "SECONDS", 0.01)
    assert latencies.known_latencies() == {}
    measured = dict(latencies.measure_latencies(["ghostnet_050"]))
    assert measured["ghostnet_050"] > 0
    assert latencies.known_latencies() == measured
    monkeypatch.setattr(latencies, "_measure", lambda _: 3.0)
    list(latencies.measure_latencies(["ghostnet_100"]))
    assert latencies.known_latencies() == measured | {"ghostnet_100": 3.0}


@pytest.mark.parametrize(
    "content", ["", "[1]", '{"ghostnet_050": "fast", "gone": 1, "ghostnet_100": 1e999}', "{"]
)
def test_corrupt_latencies_are_ignored(cache, content):
    latencies.latency_file().parent.mkdir(parents=True)
    latencies.latency_file().write_text(content)
    assert latencies.known_latencies() == {}
    latencies.latency_file().write_text(json.dumps({"ghostnet_050": 2}))
    assert latencies.known_latencies() == {"ghostnet_050": 2.0}
