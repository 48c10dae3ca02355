"""Bulk prediction is as fast as it should be, and the documentation says what was measured."""

from pathlib import Path

from benchmarks.harness.record import records
from benchmarks.speed.bulk_predict import RATIOS

PAGE = Path(__file__).parents[2] / "docs" / "predict.md"


def test_the_targets_are_met_in_every_round():
    results = records()["bulk_predict"]["results"]
    assert results["bulk_over_loop"]["wall"]["min"] >= results["wanted"]["bulk_over_loop"] == 5
    assert results["engine_over_bulk_decoded"]["wall"]["max"] <= results["wanted"]["engine_over_bulk_decoded"]
    assert results["wanted"]["engine_over_bulk_decoded"] == 1.25


def test_the_page_says_what_was_measured():
    results, page = records()["bulk_predict"]["results"], PAGE.read_text(encoding="utf-8")
    for name in RATIOS:
        found = results[name]["wall"]
        assert f"{found['median']:.2f} [{found['min']:.2f} .. {found['max']:.2f}]" in page, name
