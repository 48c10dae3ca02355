"""Until a device is done."""

import pytest
import torch

from lightcars.models.device import wait_for


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_accelerators_are_waited_for_and_cpus_are_not(monkeypatch, device):
    waited = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    wait_for(torch.device("cpu"))
    assert waited == []
    wait_for(torch.device(device))
    assert waited == [torch.device(device)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_work_on_a_gpu_is_over(device):
    large = torch.randn(4096, 4096, device=device)
    done = torch.cuda.Event()
    for _ in range(20):
        large = large @ large
    done.record()
    wait_for(torch.device(device))
    assert done.query()
