"""The plot: what is drawn, where, and what it says of what is unknown."""

import sys

import pytest
from PIL import Image

from lightcars import Accuracy, BenchResult, BenchRow
from lightcars.benching import plot
from lightcars.errors import ConfigError, MissingExtraError, RunError
from lightcars.plots import check_picture
from tests.figures import overhang

IMAGENET = Accuracy(top1_percent=74.0, data="ImageNet-1k, as published", resolution=224)
CARS = Accuracy(top1_percent=50.0, data="val of $cars$", resolution=224)


def row(model: str, engine: str, latency_ms: float | None, accuracy=None, **changes) -> BenchRow:
    usual = {"precision": "fp32", "batch": 1, "resolution": 224, "threads": 1, "device": "cpu"}
    rate = None if latency_ms is None else 1000 / latency_ms
    measured = {"latency_ms": latency_ms, "images_per_second": rate, "accuracy": accuracy}
    return BenchRow(model=model, engine=engine, **{**usual, **measured, **changes})


def result(*rows: BenchRow, train: bool = False) -> BenchResult:
    return BenchResult(rows=rows, train=train, machine="a machine; 1 thread")


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws, and returns matplotlib's figure."""
    figures = []
    write = plot.write_figure
    monkeypatch.setattr(
        plot, "write_figure", lambda figure, path: figures.append(figure) or write(figure, path)
    )

    def draw(found: BenchResult):
        path = found.draw(tmp_path / "speed.png")
        with Image.open(path) as picture:
            assert picture.format == "PNG"
        assert [file.name for file in tmp_path.iterdir()] == ["speed.png"]
        return figures[-1]

    return draw


def points(panel) -> set[tuple[float, float]]:
    return {tuple(point) for group in panel.collections for point in group.get_offsets().tolist()}


def test_accuracy_over_latency(drawn):
    figure = drawn(
        result(
            row("ghost", "torch", 5.0, IMAGENET),
            row("ghost", "eager", 10.0, IMAGENET),
            row("ghost", "openvino", 2.0, IMAGENET, problem="answers differ"),
            row("ghost", "compile", None, IMAGENET, problem="crashed"),
            row("other", "torch", 7.0),
        )
    )
    (panel,) = figure.axes
    assert points(panel) == {(5.0, 74.0), (10.0, 74.0)}
    assert panel.get_xlabel() == "median latency of 1 image (ms)"
    assert panel.get_ylabel() == "top-1 (%), ImageNet-1k, as published"
    assert [text.get_text() for text in panel.texts] == ["ghost"]
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["torch fp32", "eager fp32"]
    assert figure.get_suptitle() == "a machine; 1 thread\naccuracy unknown: other"


def test_nothing_is_clipped_and_a_long_legend_is_beside_the_axes(drawn):
    engines = [f"engine{i}" for i in range(9)]
    rows = [
        row(model, engine, latency * (i + 1), IMAGENET)
        for model, latency in (
            ("a_rather_long_name_of_a_model_100", 1.0),
            ("another_long_name_of_a_model", 90.0),
        )
        for i, engine in enumerate(engines)
    ]
    machine = "a machine with $a$ long name; " * 8
    figure = drawn(BenchResult(rows=tuple(rows), train=False, machine=machine))
    assert overhang(figure) == 0
    (panel,) = figure.axes
    figure.canvas.draw()
    assert panel.get_legend().get_window_extent().x0 >= panel.get_window_extent().x1
    few = drawn(result(row("ghost", "torch", 5.0, IMAGENET)))
    assert few.axes[0].get_legend().get_window_extent().x1 <= few.axes[0].get_window_extent().x1


def test_data_sets_and_batches_have_panels_of_their_own(drawn):
    figure = drawn(
        result(
            row("ghost", "torch", 5.0, IMAGENET),
            row("ghost", "torch", 50.0, IMAGENET, batch=16),
            row("runs/first", "torch", 4.0, CARS),
        )
    )
    found = [points(panel) for panel in figure.axes]
    assert found == [{(5.0, 74.0)}, {(50.0, 74.0)}, {(4.0, 50.0)}, set()]
    assert figure.axes[2].get_ylabel() == r"top-1 (%), val of \$cars\$"


def test_without_accuracy_it_is_throughput_and_says_so(drawn):
    rows = (row("ghost", "torch", 5.0), row("ghost", "torch", 20.0, batch=16, images_per_second=800.0))
    figure = drawn(result(*rows))
    (panel,) = figure.axes
    (line,) = panel.lines
    assert line.get_xydata().tolist() == [[5.0, 200.0], [20.0, 800.0]]
    assert panel.get_ylabel() == "images per second"
    assert figure.get_suptitle() == "a machine; 1 thread\nno accuracy is known"


def test_training_steps_are_drawn_as_throughput(drawn):
    figure = drawn(result(row("ghost", "eager", 5.0, IMAGENET, memory_format="contiguous"), train=True))
    (panel,) = figure.axes
    assert panel.get_xlabel() == "median latency of a training step (ms)"
    assert figure.get_suptitle() == "a machine; 1 thread"


def test_plots_that_cannot_be_written(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"must end in \.png, not speed\.jpg"):
        check_picture(tmp_path.with_name("speed.jpg").relative_to(tmp_path.parent))
    with pytest.raises(ConfigError, match="nothing could be measured"):
        result(row("ghost", "torch", None, problem="crashed")).draw(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        result(row("ghost", "torch", 1.0)).draw(tmp_path / "file" / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lightcars\[cars\]'"):
        check_picture(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_plot_that_cannot_be_written_is_told_before(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "file" / "a.png", tmp_path / "folder.png"):
        with pytest.raises(RunError, match="cannot write to"):
            check_picture(path)
    check_picture(tmp_path / "new" / "a.png")
