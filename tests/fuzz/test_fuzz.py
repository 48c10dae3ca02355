"""Damaged files of every kind end in a result or in one of our errors, within limits of memory and time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.kinds import KINDS
from tests.fuzz.mutate import mutate_bytes, mutate_json, mutate_text

ROOT = Path(__file__).parents[2]
INPUTS = 300


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict:
    """What became of 300 inputs of each kind; every kind has its own process."""
    if not hasattr(os, "fork"):
        pytest.skip("the limits need a POSIX system")
    pytest.importorskip("scipy")
    pytest.importorskip("pyarrow")
    target = tmp_path_factory.mktemp("fuzz") / "outcomes.json"
    command = [sys.executable, "-m", "tests.fuzz.run", "--inputs", str(INPUTS), "--json", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert target.exists(), done.stderr
    return json.loads(target.read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_every_outcome_is_a_result_or_one_of_our_errors(outcomes, kind):
    outcome = outcomes[kind]
    assert outcome["bad"] == []
    assert outcome["accepted"] + outcome["refused"] == INPUTS


def test_damage_is_neither_harmless_nor_total(outcomes):
    """Otherwise the inputs would test nothing but the first check."""
    for kind, outcome in outcomes.items():
        assert outcome["accepted"] > 0, kind
        assert outcome["refused"] > 0 or kind == "cache record", kind


@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_text, mutate_json])
def test_inputs_follow_from_the_seed(mutate):
    content = b'{"a": [1, 2, {"b": "text"}], "c": null}'
    made = [mutate(content, Random(number)) for number in range(50)]
    assert made == [mutate(content, Random(number)) for number in range(50)]
    assert len(set(made)) > 25
