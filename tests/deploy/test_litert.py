"""LiteRT's files beyond what all formats have in common; skipped where litert-torch is not installed."""

import zipfile

import pytest
import torch
from PIL import Image

from lightcars import Calibration, InputSize, export
from lightcars.deploy.difference import largest_difference
from lightcars.deploy.formats import FORMATS
from lightcars.deploy.quantize import ATTEMPTS
from tests.deploy.conftest import skip_without


@pytest.fixture(autouse=True)
def installed():
    skip_without("litert")


def test_any_zip_tool_reads_the_metadata(exported):
    with zipfile.ZipFile(exported("litert").path) as archive:
        assert archive.testzip() is None
        assert {"classes.json", "preprocessing.json", "temperature.json"} <= set(archive.namelist())


def test_a_batch_of_its_own(classifier, tmp_path):
    done = export(classifier, tmp_path / "a.tflite", size=InputSize(batch=2))
    assert done.compared == ((2, 3, 48, 48),)
    engine = FORMATS["litert"].artifact.run(done.path)
    assert largest_difference(classifier, engine, [(2, 3, 48, 48)]) <= 1e-4


def test_layers_that_stay_in_higher_precision(exported):
    from lightcars.deploy.artifacts import litert

    content = exported("litert").path.read_bytes()

    def recipe(attempt):
        rules = litert._quantizer(content, attempt).get_quantization_recipe()
        return {rule["operation"]: rule for rule in rules}

    first, last = recipe(ATTEMPTS[0]), recipe(ATTEMPTS[-1])
    assert set(first) == {"*", "INPUT", "OUTPUT"}
    assert set(last) == {"*", "INPUT", "OUTPUT", "MUL", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"}
    assert {rule["algorithm_key"] for rule in (last["MUL"], last["INPUT"])} == {"no_quantize"}


def test_images_agree_in_int8(classifier, photos, tmp_path):
    calibration = Calibration(folder=photos, num_fitted=20, num_verification=20, max_loss_percent=100)
    done = export(classifier, tmp_path / "a.tflite", precision="int8", calibration=calibration)
    engine = FORMATS["litert"].artifact.run(done.path)
    from lightcars.models.transforms import transforms_for

    transform = transforms_for(classifier)
    images = [transform(Image.open(file))[None] for file in sorted(photos.rglob("*.png"))[:10]]
    with torch.no_grad():
        same = [engine(image).argmax() == classifier(image).argmax() for image in images]
    assert sum(map(bool, same)) >= 7
