"""Thumbnails: small, from the data folder and from nowhere else."""

import pytest
from PIL import Image

from lightcars.reports.thumbnails import SIDE, Thumbnails


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    (folder / "val").mkdir(parents=True)
    for path in (folder / "val" / "a.png", tmp_path / "secret.png"):
        Image.new("RGB", (300, 200), "red").save(path)
    return folder


def test_an_image_of_the_data_is_embedded(root):
    shown = Thumbnails(root).show("val/a.png", "Audi")
    assert 'src="data:image/jpeg;base64,' in shown
    assert SIDE < 300


@pytest.mark.parametrize("path", ["../secret.png", "val/../../secret.png", "ABSOLUTE", "C:/secret.png"])
def test_a_path_that_leads_elsewhere_is_a_name(root, path):
    path = str(root.parent / "secret.png") if path == "ABSOLUTE" else path
    shown = Thumbnails(root).show(path, "Audi")
    assert "data:image" not in shown
    assert '<div class="gone">' in shown


def test_names_are_text(root):
    assert "<b>" not in Thumbnails(root).show("<b>.png", "<b>")
