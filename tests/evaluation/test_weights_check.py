"""Labels of images from their folders and names, and what a check says."""

import numpy as np
import pytest
import torch
from PIL import Image

from lightcars.errors import CheckpointError, DataError, UnknownWeightsError
from lightcars.evaluation.weights_check import check_weights, labeled_images
from lightcars.weights.catalog import find_tag
from lightcars.weights.convert.export import state_dict_for
from lightcars.weights.imagenet import imagenet_classes
from lightcars.zoo import create_model

CRANE = imagenet_classes().index("crane bird")


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(path)


@pytest.mark.parametrize("name", ["n02012849_crane.png", "n02012849.png", "crane bird.png", "Crane_Bird.png"])
def test_labels_from_file_names(tmp_path, name):
    put(tmp_path / name)
    assert [sample.label for sample in labeled_images(tmp_path, imagenet_classes())] == [CRANE]


@pytest.mark.parametrize("name", ["n02012849", "crane bird"])
def test_labels_from_subfolders(tmp_path, name):
    put(tmp_path / name / "1.png")
    assert [sample.label for sample in labeled_images(tmp_path, imagenet_classes())] == [CRANE]


def test_wordnet_ids_are_for_imagenet_alone(tmp_path):
    put(tmp_path / "n02012849_crane.png")
    with pytest.raises(
        DataError, match=r"1 of 1 images are not labeled with a class of the model .first: .*crane"
    ):
        labeled_images(tmp_path, ("crane bird", "tench"))


def test_nothing_to_check(tmp_path):
    with pytest.raises(DataError, match="contains no images"):
        labeled_images(tmp_path, imagenet_classes())
    with pytest.raises(DataError, match="there is no folder"):
        labeled_images(tmp_path / "none", imagenet_classes())


def test_weights_are_loaded_and_described():
    found = check_weights("efficientnet_lite0")
    assert (found.tag, found.pinned_by) == ("google/efficientnet_lite0.in1k", "shipped")
    assert (found.num_images, found.top1_percent, found.published_top1_percent) == (0, None, 75.1)


def test_unknown_tags():
    with pytest.raises(UnknownWeightsError, match="efficientnet_lite0 has no weights 'imagnet'"):
        check_weights("efficientnet_lite0", "imagnet")


def test_a_cached_file_is_compared_with_its_digest(tmp_path, monkeypatch):
    """Whoever put it there: a download is verified only when it arrives."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    entry = find_tag("torchvision/squeezenet1_1.imagenet1k_v1")
    model = create_model("squeezenet_1_1")
    cached = tmp_path / "hub" / "checkpoints" / entry.url.rpartition("/")[2]
    cached.parent.mkdir(parents=True)
    torch.save(state_dict_for(model, "torchvision"), cached)
    message = f"is not the published file: its sha256 does not begin with {entry.sha256}"
    with pytest.raises(CheckpointError, match=message):
        check_weights("squeezenet_1_1", entry.tag)
