"""The recipe for Ray Data gives what `predict` gives: its class alone, and with Ray where it is installed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from lightcars import predict
from lightcars.data.drawn_cars import draw_cars

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recipe():
    specification = importlib.util.spec_from_file_location("ray_data", ROOT / "examples" / "ray_data.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return draw_cars(tmp_path_factory.mktemp("drawn") / "cars", train=1, val=1) / "val"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path / "cache"))


def check(rows: list[dict], photos: Path) -> None:
    assert sorted(row["image"] for row in rows) == sorted(str(path) for path in photos.rglob("*.png"))
    for row in rows:
        (expected,) = predict("cars196", row["image"], top=1)
        assert row["guess"] == expected.guesses[0].name
        assert row["probability"] == pytest.approx(expected.guesses[0].probability, abs=0.02)
        assert row["error"] is None


def test_the_class_alone(recipe, photos):
    paths = sorted(map(str, photos.rglob("*.png")))
    contents = [Path(path).read_bytes() for path in paths]
    labeler = recipe.Labeler(engine="torch")
    batch = {"path": np.array(paths), "bytes": np.array(contents, dtype=object)}
    columns = labeler(batch)
    check([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], photos)
    bad = labeler({"path": np.array(["bad.jpg"]), "bytes": np.array([b"text"], dtype=object)})
    assert bad["guess"].tolist() == [None]
    assert "cannot identify image file" in bad["error"][0]


@pytest.mark.ecosystem
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray warns of settings of its own
def test_with_ray(recipe, photos, tmp_path):
    ray = pytest.importorskip("ray")
    from pyarrow import parquet

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        recipe.label(str(photos), str(tmp_path / "table"), actors=1, engine="torch")
    finally:
        ray.shutdown()
    check(parquet.read_table(tmp_path / "table").to_pylist(), photos)
