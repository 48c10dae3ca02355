"""The pictures of the zoo show the registry's models at their published accuracies."""

import pytest
from PIL import Image

from benchmarks.tables.plots import SOURCE
from lightcars import count_flops, create_model
from lightcars.benching.choosing import Wanted, choose_models
from lightcars.models.families import FAMILIES
from lightcars.models.registry import MODELS
from lightcars.reports.tradeoffs import pareto_front
from lightcars.weights.catalog import find_tag
from scripts import tables
from scripts.zoo import picture

HINT = "run: python -m scripts.tables"


@pytest.mark.parametrize("name", picture.PICTURES)
def test_a_picture_is_up_to_date_and_small(name):
    path = tables.IMAGES / name
    with Image.open(path) as image:
        assert image.text[SOURCE] == picture.digest(name), HINT
    assert path.stat().st_size < 150_000


def test_the_points_are_all_models_with_a_published_accuracy():
    rated = {row.name: row for row in choose_models(Wanted()) if row.top1_percent is not None}
    points = {model.name: model for model in picture.published_models()}
    assert list(points) == list(rated)
    for name, point in points.items():
        weights = find_tag(point.tag)
        assert weights.model == name
        assert (point.top1_percent, point.num_params) == (weights.top1_percent, MODELS[name].num_params)
        assert not weights.extra_data
        assert point.resolution == weights.preprocessing.resolution


def test_multiply_accumulates_are_those_at_the_resolution_of_the_accuracy():
    points = {model.name: model for model in picture.published_models()}
    assert points["ghostnet_100"].flops == MODELS["ghostnet_100"].flops
    point = points["efficientnetv2_b0"]
    assert point.resolution == 192
    assert point.flops == count_flops(create_model("efficientnetv2_b0", device="meta"), (1, 3, 192, 192))


def test_the_digest_is_of_the_points(monkeypatch):
    before = picture.digest("zoo.png")
    assert before != picture.digest("zoo-params.png")
    monkeypatch.setattr(picture, "published_models", lambda: ())
    assert picture.digest("zoo.png") != before


def test_families_differ_in_marker_and_neighbors_in_color():
    styles = picture._styles(picture.published_models())
    assert len({marker for _, marker in styles.values()}) == len(styles)
    assert len(picture.MARKERS) == len(set(picture.MARKERS)) >= len(FAMILIES), "a marker for every family"


@pytest.mark.parametrize("name", picture.PICTURES)
def test_labels_do_not_overlap_and_the_front_has_them(name, tmp_path):
    labels = picture.draw(name, tmp_path / name)
    models = picture.published_models()
    for index, box in enumerate(labels.values()):
        assert not any(box.overlaps(other) for other in list(labels.values())[:index])
    assert len(labels) >= len(models) - 2
    front = pareto_front(models, picture.PICTURES[name][1])
    assert sum(model.name in labels for model in front) >= len(front)
