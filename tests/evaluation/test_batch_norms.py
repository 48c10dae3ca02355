"""Batch norms: the statistics of whole images, and nothing from channels that are dead."""

import pytest
import torch
from torch import nn

from lightcars.data.dataset import ImageDataset, decode
from lightcars.data.layouts import find_data
from lightcars.data.pixels import normalize, to_pixels
from lightcars.evaluation.batch_norms import settle_batch_norms
from lightcars.evaluation.evaluate import logits_of
from lightcars.runs.trained import load_trained


@pytest.fixture
def trained(finished):
    return load_trained(finished.run)


@pytest.fixture
def photos(drawn, trained):
    return decode(find_data(drawn).split("train"), trained.preprocessing)


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def test_the_first_norm_has_the_statistics_of_all_images(trained, photos):
    model, first = trained.model, norms(trained.model)[0]
    seen = []
    hook = first.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    images = torch.stack([to_pixels(photos.image(i)) for i in range(len(photos.labels))])
    with torch.no_grad():
        model(normalize(images, trained.preprocessing))
    hook.remove()
    first.running_mean.fill_(7.0)
    settle_batch_norms(trained, photos)
    torch.testing.assert_close(first.running_mean, seen[0].mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(first.running_var, seen[0].var((0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert not model.training


def test_batches_mix_the_classes(trained, photos, monkeypatch):
    """Of one class each, their variances would leave out what tells classes apart."""
    seen = []
    monkeypatch.setattr(ImageDataset, "__getitem__", watched(ImageDataset.__getitem__, seen))
    settle_batch_norms(trained, photos, batch_size=8)
    assert len(set(seen)) == len(seen) == len(photos.labels) // 8 * 8
    assert len({int(photos.labels[position]) for position in seen[:8]}) > 2


def watched(getitem, seen):
    def get(self, key):
        seen.append(key)
        return getitem(self, key)

    return get


def test_a_dead_channel_says_always_the_same(trained, photos):
    stem = trained.model.stem
    convolution = next(module for module in stem.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        convolution.weight[0] *= 1e-7
    before = norms(trained.model)[0].weight.detach().clone()
    silenced = settle_batch_norms(trained, photos)
    after = norms(trained.model)[0].weight
    assert silenced >= 1
    assert after[0] == 0.0
    assert torch.equal(after[1:], before[1:]), "living ones keep their weight"
    logits = logits_of(trained, ImageDataset(photos), 8)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
@pytest.mark.parametrize(("variance", "dead"), [(1e-4, False), (2e-6, True)])
def test_what_is_dead_does_not_depend_on_epsilon(trained, photos, eps, variance, dead):
    """EfficientNets in TensorFlow's form have 1e-3; channels with smaller variances are used there."""
    stem = trained.model.stem
    for norm in norms(trained.model):
        norm.eps = eps
    convolution = next(module for module in stem.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        convolution.weight[0] *= (variance / norms(trained.model)[0].running_var[0]).sqrt()
    settle_batch_norms(trained, photos)
    first = norms(trained.model)[0]
    assert variance / 5 < first.running_var[0] < variance * 5
    assert (first.weight[0] == 0.0) == dead
