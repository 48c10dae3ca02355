"""Metrics by torchmetrics, against counting by hand; it is imported when a metric is computed, not before."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from lightcars.errors import MissingExtraError
from lightcars.evaluation.metrics import calibration_error, top_k_hits


@pytest.mark.parametrize("top_k", [1, 5, 50])
def test_hits_of_each_class(top_k):
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(300, 12, generator=generator), torch.arange(300) % 11
    ranked = logits.argsort(dim=1, descending=True)[:, :top_k]
    hits = (ranked == labels[:, None]).any(dim=1)
    counted = [int(hits[labels == label].sum()) for label in range(12)]
    assert top_k_hits(logits, labels, top_k).tolist() == counted
    assert counted[11] == 0, "the class without images"


def test_a_model_with_one_class():
    assert top_k_hits(torch.randn(4, 1), torch.zeros(4, dtype=torch.int64), 5).tolist() == [4]


def test_a_probability_of_one_is_in_the_last_bin():
    """Else 0.99 and 1.0, wrong and right, would be two errors that do not cancel out."""
    confidences, hits = np.array([0.99, 1.0]), np.array([True, False])
    assert calibration_error(confidences, hits, 15) == pytest.approx(0.495)


def test_predicting_imports_no_torchmetrics():
    code = (
        "import sys, lightcars.evaluation.predict, lightcars.evaluation.evaluate, lightcars.reports;"
        " assert 'torchmetrics' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_torchmetrics_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lightcars\[cars\]'"):
        top_k_hits(torch.eye(2), torch.tensor([0, 1]), 1)
