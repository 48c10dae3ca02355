"""Labels of images from their folders and names, and what a check says."""

import numpy as np
import pytest
from PIL import Image

from lightcars.errors import DataError, UnknownWeightsError
from lightcars.evaluation.weights_check import check_weights, labeled_images
from lightcars.weights.imagenet import imagenet_classes

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
    with pytest.raises(DataError, match=r"1 of 1 images tell no class of the model .first: .*crane"):
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
