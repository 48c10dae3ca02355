"""Building: devices that are not there, fresh weights, and what the thesis form cannot train on."""

import pytest
import torch

import lightcars
from lightcars.errors import DeviceError, InputError
from lightcars.models.build import build_model, build_skeleton, resolve_device
from lightcars.models.ghostnet.config import GhostNetConfig

SMALL = GhostNetConfig(width=0.1, num_classes=3)


@pytest.mark.parametrize("device", ["nonsense", "gpu", "cpu:x", ""])
def test_no_device(device):
    with pytest.raises(DeviceError, match="is not a device"):
        build_model(SMALL, device=device)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps"])
def test_device_that_this_machine_does_not_have(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="use device='cpu'"):
        build_model(SMALL, device=device)


def test_a_cuda_device_beyond_the_last(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1").index == 1
    with pytest.raises(DeviceError, match="no cuda:7: the CUDA devices are cuda:0 to cuda:1"):
        resolve_device("cuda:7")


def test_devices_of_other_makers(monkeypatch):
    monkeypatch.setattr(torch.xpu, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"has no XPU device; use device='cpu'\.$"):
        build_model(SMALL, device="xpu")
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 1)
    assert resolve_device("xpu") == torch.device("xpu")
    with pytest.raises(DeviceError, match=r"^there is no xpu:3: there are 1 xpu devices\.$"):
        resolve_device("xpu:3")
    monkeypatch.delattr(torch, "hpu", raising=False)
    with pytest.raises(DeviceError, match=r"^torch knows no backend for 'hpu'; import its vendor's package"):
        build_model(SMALL, device="hpu")


def test_no_device_is_torchs_default():
    assert resolve_device(None) == torch.device("cpu")
    with torch.device("meta"):
        assert resolve_device(None) == torch.device("meta")


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_device_by_name_or_object(device):
    assert resolve_device(device) == torch.device("cpu")
    assert build_model(SMALL, device=device).stem.conv.weight.device.type == "cpu"


def test_skeleton_has_no_memory():
    assert {tensor.device.type for tensor in build_skeleton(SMALL).state_dict().values()} == {"meta"}


def test_fresh_weights_differ_between_models_and_after_a_reset():
    first, second = build_model(SMALL), build_model(SMALL)
    assert not torch.equal(first.stem.conv.weight, second.stem.conv.weight)
    before = first.stem.conv.weight.detach().clone()
    first.reset_parameters()
    assert not torch.equal(first.stem.conv.weight, before)


@pytest.mark.parametrize("form", ["official", "thesis"])
def test_initial_weights_of_ghostnet_follow_the_form(form):
    """The official form keeps the variance of a map; the thesis's counts all groups' output channels."""
    model = build_model(GhostNetConfig(form=form))
    depthwise = model.blocks[-1].expand.cheap.conv.weight
    variance = 1 / 9 if form == "official" else 2 / (9 * depthwise.shape[0])
    assert depthwise.std().item() == pytest.approx(variance**0.5, rel=0.1)
    model.reset_parameters()
    assert depthwise.std().item() == pytest.approx(variance**0.5, rel=0.1)


def test_thesis_form_refuses_to_train_on_one_image():
    model = build_model(GhostNetConfig(width=0.1, form="thesis"))
    with pytest.raises(InputError, match=r"batch of one image.*model.eval\(\)"):
        model(torch.randn(1, 3, 64, 64))
    assert model.eval()(torch.randn(1, 3, 64, 64)).shape == (1, 1000)


@pytest.mark.parametrize("form", ["official", "thesis"])
def test_one_image_of_the_smallest_size_is_refused_in_training(form):
    model = build_model(GhostNetConfig(width=0.1, form=form))
    with pytest.raises(InputError, match=r"one image.*model\.eval\(\)"):
        model(torch.randn(1, 3, 32, 32))
    assert model.eval()(torch.randn(1, 3, 32, 32)).shape == (1, 1000)


def test_thesis_form_gives_the_maps_of_one_training_image():
    assert len(build_model(GhostNetConfig(width=0.1, form="thesis")).features(torch.randn(1, 3, 64, 64))) == 5


def test_thesis_form_trains_on_one_image_with_its_vector_norm_frozen():
    model = build_model(GhostNetConfig(width=0.1, form="thesis"))
    model.neck[1].eval()
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 1000)


def test_official_form_trains_on_one_image():
    assert lightcars.ghostnet(width=0.1)(torch.randn(1, 3, 64, 64)).shape == (1, 1000)
