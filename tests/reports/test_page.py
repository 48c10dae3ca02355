"""The report: one file that needs nothing besides itself, with the evaluated of the run and of `evaluate`."""

import base64
import csv
import hashlib
import html
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lightcars
from lightcars import evaluate, report
from lightcars.errors import CheckpointError, DataError, InputError, LightcarsError, RunError
from lightcars.evaluation.analysis import class_rows
from lightcars.evaluation.predictions import Predictions, read_predictions
from lightcars.recipes.recipe import ModelRecipe, OptimizerRecipe
from lightcars.reports import write_report
from lightcars.reports.axes import HEIGHT, is_flattened, log_ticks, ticks
from lightcars.reports.charts import line_chart
from lightcars.reports.conditions import duration
from lightcars.reports.confusions import confusions
from lightcars.reports.lines import Line
from lightcars.reports.run_metrics import Source
from lightcars.reports.script import SCRIPT
from lightcars.runs.folder import RunFolder
from lightcars.weights.checkpoint import read_card
from tests.training.tiny_settings import TINY_RECIPE

VOID = {"meta", "img", "br"}
MARKER = 'r="2.2"'
"""A point of a line."""


class Page(HTMLParser):
    """A page taken apart; elements that are not closed, or closed twice, fail."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.images, self.addresses = [], [], []
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            assert not name.startswith("on"), name
            if name in ("src", "href", "xlink:href", "action", "data"):
                self.addresses.append(value)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.text.append(data.strip())

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def photos(self) -> list[Image.Image]:
        return [opened(image["src"]) for image in self.images]


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1])))


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """The same run, to be damaged."""
    shutil.copytree(finished.run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def other(finished, tiny, tmp_path_factory) -> Path:
    """A second run on the same images with another recipe and a grayscale model."""
    from tests.training.tiny_settings import TINY_MODEL

    gray = ModelRecipe(name="ghostnet_050", settings={**TINY_MODEL, "img_channels": 1})
    recipe = replace(TINY_RECIPE, epochs=2, seed=5, optimizer=OptimizerRecipe(lr=0.01), model=gray)
    return tiny(finished.data, tmp_path_factory.mktemp("other") / "gray", recipe=recipe).run


def change(path: Path, **changes) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


# One run


def test_a_run_ends_with_a_report(finished):
    page = read(finished.run / "report.html")
    headings = (
        "Curves",
        "Hardest classes",
        "Confusion matrix",
        "Confident mistakes",
        "Calibration",
        "Recipe",
    )
    assert all(heading in page.words for heading in headings)
    assert page.words.startswith("run: ghostnet_050")


def test_made_again_it_is_the_same(finished, tmp_path):
    assert report(finished.run, out=tmp_path / "again.html") == tmp_path / "again.html"
    assert (tmp_path / "again.html").read_bytes() == (finished.run / "report.html").read_bytes()


def test_it_is_beside_the_run_unless_told(copy):
    (copy / "report.html").unlink()
    assert report(str(copy)) == copy / "report.html"
    assert read(copy / "report.html").images


@pytest.mark.parametrize("several", [False, True])
def test_it_needs_nothing_besides_itself(finished, other, tmp_path, several):
    path = report([finished.run, other] if several else finished.run, out=tmp_path / "page.html")
    text, page = path.read_text(), read(path)
    assert "http" not in text.replace("http-equiv", "")
    assert not re.search(r"url\(|@import", text)
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert not page.tags & {"link", "iframe", "object", "embed"}
    assert "default-src 'none'" in text
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    assert len(page.scripts) == 1
    assert f"script-src 'sha256-{digest}'" in text, "a browser would not run it"
    assert path.stat().st_size < 3_000_000
    assert "prefers-color-scheme: dark" in text


def test_every_figure_is_the_runs_own(finished):
    words = read(finished.run / "report.html").words
    metrics = json.loads((finished.run / "metrics.json").read_text())
    evaluated = evaluate(finished.run, finished.data)
    assert f"top-1 {metrics['val_top1_percent']:.2f} %" in words
    assert f"top-5 {metrics['val_top5_percent']:.2f} %" in words
    assert f"best epoch {metrics['best_epoch']} of {metrics['epochs']}" in words
    assert f"validation loss {metrics['val_loss']:.3f}" in words
    assert f"validation images {evaluated.num_images} " in words
    model = finished.result.model
    assert f"parameters {lightcars.count_params(model):,}" in words
    assert f"FLOPs {lightcars.count_flops(model, 32):,}" in words
    assert f"the accuracy {evaluated.top1_percent:.2f} %" in words
    for row in evaluated.per_class:
        assert f"{row.name} {row.num_images} {row.top1_percent:.2f} %" in words
    wrong = round(evaluated.num_images * (1 - evaluated.top1_percent / 100))
    assert f"of {wrong} mistakes" in words


def test_the_calibration_error_is_said_with_what_it_means(finished):
    words = read(finished.run / "report.html").words
    predictions = read_predictions(RunFolder(finished.run), read_card(finished.run / "best").classes)
    said = re.search(r"expected calibration error is (\d+\.\d\d) % \(15 bins\)", words)
    bins: dict[int, list[int]] = {}
    for position, sure in enumerate(predictions.confidences):
        bins.setdefault(min(int(sure * 15), 14), []).append(position)
    error = sum(
        abs(predictions.hits[members].sum() - predictions.confidences[members].sum())
        for members in bins.values()
    )
    assert float(said[1]) == pytest.approx(100 * error / 24, abs=0.01)
    assert "The mean probability is" in words


def test_images_are_small_and_hold_no_metadata(finished):
    page = read(finished.run / "report.html")
    assert len(page.images) >= 13
    augmented = [image["alt"] for image in page.images].index("augmented training images")
    assert page.photos()[augmented].size == (4 * 32 + 3 * 4, 2 * 32 + 4), "eight images of 32 px"
    for image, photo in zip(page.images, page.photos(), strict=True):
        assert image is page.images[augmented] or (finished.data / image["alt"]).is_file()
        assert photo.format == "JPEG"
        assert max(photo.size) <= 168
        assert not {"exif", "comment", "icc_profile"} & photo.info.keys()


def test_metadata_stay_out(finished, drawn_copy, copy):
    for path in (drawn_copy / "val").rglob("*.png"):
        with Image.open(path) as image:
            pixels = image.convert("RGB")
        path.unlink()
        exif = Image.Exif()
        exif[0x010E] = "secret place"
        pixels.save(path, format="JPEG", exif=exif, comment=b"secret place", icc_profile=b"secret place")
    report(copy, data=drawn_copy)
    page = read(copy / "report.html")
    assert page.images
    for image in page.images:
        assert b"secret" not in base64.b64decode(image["src"].split(",", 1)[1])


def test_without_the_images_it_says_so_and_shows_names(copy):
    content = json.loads((copy / "run.json").read_text())
    change(copy / "run.json", data={**content["data"], "root": "/nowhere/cars"})
    done = write_report([copy], None, Source())
    page = read(copy / "report.html")
    assert [image["alt"] for image in page.images] == ["augmented training images"]
    assert "The images are no longer in /nowhere/cars" in page.words
    assert re.search(r"val/\w+/000\d.png", page.words)
    assert any("/nowhere/cars" in note for note in done.notes)


def test_one_image_that_is_gone_is_a_name(copy, drawn_copy):
    before = len(read(report(copy, data=drawn_copy)).images)
    first = read(copy / "report.html").images[-1]["alt"]
    (drawn_copy / first).unlink()
    page = read(report(copy, data=drawn_copy))
    assert 0 < len(page.images) < before
    assert first in page.words


def test_names_are_text_and_nothing_else(copy, finished):
    bad = '<script>alert("1")</script>&amp;'
    card = json.loads((copy / "best" / "config.json").read_text())
    change(copy / "best" / "config.json", classes=[bad, *card["classes"][1:]])
    table = (copy / "predictions.csv").read_text().replace("val/Bus/", "val/<b>Bus/")
    quoted = '"' + bad.replace('"', '""') + '"'
    (copy / "predictions.csv").write_text(
        table.replace(",Sedan,", f",{quoted},").replace(",Sedan,", f",{quoted},")
    )
    content = json.loads((copy / "run.json").read_text())
    change(copy / "run.json", model={**content["model"], "name": bad}, weights=bad)
    hostile = copy.rename(copy.parent / "<script>")
    for runs in ([hostile], [hostile, finished.run]):
        page = read(report(runs, out=copy.parent / "page.html"))
        assert page.scripts == [SCRIPT]
        assert "b" not in page.tags
        assert bad in page.words
        assert "<script>" in page.words


def test_predictions_that_a_run_lacks_are_computed(copy, finished):
    (copy / "predictions.csv").unlink()
    done = write_report([copy], None, Source())
    assert "There are no predictions of the best model yet; with --data" in done.notes[0]
    assert done.runs[0].calibration_error_percent is None
    assert not (copy / "predictions.csv").exists()
    assert "Hardest" not in read(copy / "report.html").words
    report(copy, data=finished.data)
    assert (copy / "predictions.csv").is_file()
    assert read(copy / "report.html").words == read(finished.run / "report.html").words


def test_predictions_of_other_images_are_said_to_be(copy):
    change(copy / "metrics.json", val_top1_percent=99.5)
    assert "where the run counted 99.50 %" in read(report(copy)).words


# Unfinished runs


def test_an_unfinished_run_is_shown_as_far_as_it_is(copy, finished):
    (copy / "metrics.json").unlink()
    done = write_report([copy], None, Source())
    words = read(copy / "report.html").words
    assert "The run is not finished: 3 of at most 3 epochs are done" in words
    assert "There are no predictions" in words, "those that are there are of an older model"
    assert done.runs[0].finished is False
    assert done.runs[0].val_top1_percent == pytest.approx(
        finished.result.metrics["val_top1_percent"], abs=1e-3
    )


def test_of_an_unfinished_run_nothing_is_kept(copy, finished):
    (copy / "metrics.json").unlink()
    (copy / "predictions.csv").unlink()
    words = read(report(copy, data=finished.data)).words
    assert "Hardest classes" in words
    assert "not finished" in words
    assert not (copy / "predictions.csv").exists()


def test_a_run_before_its_first_epoch(copy, finished):
    for name in ("metrics.json", "metrics.csv", "predictions.csv"):
        (copy / name).unlink()
    for name in ("best", "last"):
        shutil.rmtree(copy / name)
    done = write_report([copy], None, Source(data=finished.data))
    words = read(copy / "report.html").words
    assert "No epoch has finished yet" in words
    assert "0 of at most 3 epochs" in words
    assert (done.runs[0].best_epoch, done.runs[0].epochs) == (None, 0)
    read(report([copy, finished.run], out=copy / "both.html"))


# Several runs


def test_runs_side_by_side(finished, other, tmp_path):
    done = write_report([finished.run, other], tmp_path / "both.html", Source())
    words = read(tmp_path / "both.html").words
    for run, evaluated in zip((finished.run, other), done.runs, strict=True):
        metrics = json.loads((run / "metrics.json").read_text())
        assert evaluated.val_top1_percent == metrics["val_top1_percent"]
        assert f"{metrics['val_top1_percent']:.2f} %" in words
        assert f"{evaluated.num_params:,}" in words
        assert f"{evaluated.flops:,}" in words
    assert f"top-1 {done.runs[0].val_top1_percent:.2f} % {done.runs[1].val_top1_percent:.2f} %" in words
    assert done.runs[0].num_params > done.runs[1].num_params


def test_what_differs_is_marked(finished, other, tmp_path):
    text = report([finished.run, other], out=tmp_path / "both.html").read_text()
    marked = dict(
        re.findall(
            r"<tr><td[^>]*>([\w.]+)</td><td[^>]*><mark>.*?</mark></td><td[^>]*><mark>(.*?)</mark>", text
        )
    )
    assert marked == {
        "epochs": "2",
        "seed": "5",
        "optimizer.lr": "0.01",
        "recipe.model.settings.img_channels": "1",
        "model.config.img_channels": "1",
    }


def test_images_that_every_run_gets_wrong(finished, other, tmp_path):
    classes = read_card(finished.run / "best").classes
    one, two = (read_predictions(RunFolder(run), classes) for run in (finished.run, other))
    done = write_report([finished.run, other], tmp_path / "both.html", Source()).comparison
    assert done.num_images == 24
    assert done.right_in_every_run == (one.hits & two.hits).sum()
    assert done.wrong_in_every_run == (~one.hits & ~two.hits).sum()
    assert done.right_in_one_run_only == ((one.hits & ~two.hits).sum(), (two.hits & ~one.hits).sum())
    page = read(tmp_path / "both.html")
    grids = [photo for photo in page.photos() if photo.format == "PNG"]
    for grid, predictions in zip(grids, (one, two), strict=True):
        assert grid.size == (24, 1)
        assert [value == 255 for value in grid.tobytes()] == predictions.hits.tolist()
    shown = {image["alt"] for image in page.images} - {"right and wrong images"}
    assert shown == {one.paths[i] for i in range(24) if not one.hits[i] and not two.hits[i]}


def test_runs_on_other_images_are_not_compared(finished, copy, tmp_path):
    table = (copy / "predictions.csv").read_text().splitlines()
    (copy / "predictions.csv").write_text("\n".join(table[:-1]) + "\n")
    done = write_report([finished.run, copy], tmp_path / "both.html", Source())
    assert done.comparison is None
    words = read(tmp_path / "both.html").words
    assert "They cannot be compared: the runs were evaluated on different validation images." in words


def test_runs_without_predictions_are_named(finished, copy, tmp_path):
    (copy / "predictions.csv").unlink()
    words = read(report([finished.run, copy], out=tmp_path / "both.html")).words
    assert f"They cannot be compared: there are no predictions of {copy}." in words


# Bad input


def fails(runs, error: type[LightcarsError], **settings) -> str:
    with pytest.raises(error) as caught:
        report(runs, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_runs_that_cannot_be_reported(finished, tmp_path):
    assert "holds no run" in fails(tmp_path, RunError)
    assert "holds no run" in fails(finished.run / "best", RunError)
    assert "needs at least one run" in fails([], InputError)
    assert "is given twice" in fails([finished.run, finished.run / "."], InputError, out=tmp_path / "x.html")
    assert "several runs needs a path for the page (--out)" in fails([finished.run, tmp_path], InputError)


def test_a_folder_of_images_that_is_not_there(copy, tmp_path):
    assert "there is no folder" in fails(copy, DataError, data=tmp_path / "nowhere")
    (copy / "predictions.csv").unlink()
    assert "there is no folder" in fails(copy, DataError, data=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "spoil", "text"),
    [
        ("metrics.csv", lambda text: text.replace("train_loss", "loss"), "row 2: no column 'train_loss'"),
        ("metrics.csv", lambda text: text.rstrip().rsplit(",", 2)[0] + ",much,1", "row 4: not a number"),
        ("metrics.csv", lambda text: text.rstrip().rsplit(",", 3)[0], "row 4: not a number"),
        ("metrics.csv", lambda text: text.replace("\n1,", "\nnan,"), "row 2: not an epoch"),
        ("metrics.csv", lambda text: text.replace("\n2,", "\n1e999,"), "row 3: not an epoch"),
        ("metrics.json", lambda text: text[:20], "cannot be read"),
        ("metrics.json", lambda text: text.replace("val_loss", "loss"), "has no 'val_loss'"),
        ("metrics.json", lambda text: "[]", "cannot be read"),
        ("run.json", lambda text: text.replace('ghostnet"', 'ghostnett"'), "unknown model family"),
        ("run.json", lambda text: text[:50], "cannot be read"),
        ("predictions.csv", lambda text: text.replace(",Bus,", ",Tram,", 1), "unknown class 'Tram'"),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_written(copy, name, spoil, text):
    before = (copy / "report.html").read_bytes()
    (copy / name).write_text(spoil((copy / name).read_text()))
    files = set(copy.rglob("*"))
    error = fails(copy, RunError)
    assert str(copy / name) in error
    assert text in error
    assert (copy / "report.html").read_bytes() == before
    assert set(copy.rglob("*")) == files


def test_a_best_model_that_is_gone(copy):
    shutil.rmtree(copy / "best")
    assert "best" in fails(copy, CheckpointError)


@pytest.mark.parametrize("place", ["folder", "below a file"])
def test_a_place_that_cannot_be_written(finished, tmp_path, place):
    out = tmp_path / "there"
    if place == "folder":
        out.mkdir()
    else:
        out.touch()
        out /= "page.html"
    assert f"cannot write {out}" in fails(finished.run, RunError, out=out)
    assert len(list(tmp_path.rglob("*"))) == 1


# Charts


def test_ticks_are_round_and_inside():
    for low, high in ((0, 1), (0.3, 4.2), (-3, 17), (1e-7, 2e-7), (1, 200), (99.5, 99.6)):
        found = ticks(low, high)
        assert 3 <= len(found) <= 7
        assert all(low - 1e-9 <= tick <= high * (1 + 1e-9) for tick in found)
    for low, high in ((1, 200), (0.3, 40), (4, 1e9), (1e-7, 3)):
        found = log_ticks(low, high)
        assert 2 <= len(found) <= 7
        assert all(low <= tick <= high for tick in found)


def test_a_line_goes_through_its_points():
    text = line_chart("x", [Line("val", [1, 2, 3], [0.0, 10.0, 5.0], 0)])
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]+)"', text)[1].split()]
    (x1, y1), (x2, y2), (x3, y3) = points
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y1 > y3 > y2, "y grows downwards"
    assert y1 - y3 == pytest.approx(y3 - y2, abs=0.2)


def test_a_gap_splits_a_line_and_one_point_is_marked():
    text = line_chart("x", [Line("val", [1, 2, 3], [1.0, float("nan"), 2.0], 0)])
    assert text.count("<polyline") == 2
    assert text.count(MARKER) == 2
    assert "nan" not in text
    for ys in ([3.0], [0.0], [float("nan")], []):
        Page(line_chart("x", [Line("val", range(len(ys)), ys, 0)]))
    Page(line_chart("x", []))


def test_values_beyond_any_axis_are_gaps():
    drawn = line_chart("loss", [Line("train", [1, 2, 3, 4], [1.0, 1e308, -1e308, float("nan")], 0)])
    assert "inf" not in drawn
    assert "nan" not in drawn
    assert drawn.count(MARKER) == 1


def test_an_outlier_does_not_flatten_the_rest():
    ys = [900.0, 4.0, 3.0, 2.0, 2.2]
    assert is_flattened(ys)
    text = line_chart("loss", [Line("val", range(1, 6), ys, 0)])
    assert "loss, log scale" in text
    heights = [float(y) for y in re.findall(r"[\d.]+,([\d.]+)", re.search(r'points="([^"]+)"', text)[1])]
    assert heights[3] - heights[1] > 0.05 * HEIGHT, "on a linear axis they are one line"
    for even in ([4.0, 3.0, 2.0, 1.0], [0.0, 900.0, 1.0, 2.0], [-1.0, 900.0, 1.0, 2.0], [1.0, 900.0], []):
        assert not is_flattened(even)
        assert "log scale" not in line_chart("loss", [Line("val", range(len(even)), even, 0)])


def test_the_best_epoch_has_a_ring():
    plain = Line("val", [1, 2, 3], [1.0, 3.0, 2.0], 0)
    assert "ring" not in line_chart("top-1", [plain])
    text = line_chart("top-1", [replace(plain, best=2)])
    x, y = re.search(r'class="ring" cx="([\d.]+)" cy="([\d.]+)"', text).groups()
    assert f"{x},{y}" in text, "a point of the line"
    assert "ring" not in line_chart("top-1", [replace(plain, ys=[1.0, float("nan"), 2.0], best=2)])


def test_a_pointer_shows_the_values_of_an_epoch():
    lines = [Line("train", [1, 2], [1.0, 2.5], 0), Line("val", [1, 2], [float("nan"), 4.25], 1)]
    page = Page(line_chart("loss", lines))
    assert "epoch 1 train: 1 epoch 2 train: 2.5 val: 4.25" in page.words
    many = line_chart("loss", [Line("val", range(1000), [1.0] * 1000, 0)])
    assert 100 < many.count('class="at"') <= 150
    crowd = [Line(f"{i}", [1, 2], [1.0, 2.0], i, dashed=i % 2 == 1) for i in range(20)]
    assert line_chart("loss", crowd).count("<text x=") == 2 * (1 + 10), "dashed ones are left out first"


# What a run was trained with


def test_when_where_and_how_fast(finished, copy, drawn):
    words = read(finished.run / "report.html").words
    content = json.loads((finished.run / "run.json").read_text())
    rows = list(csv.DictReader((finished.run / "metrics.csv").read_text().splitlines()))
    seconds = sum(float(row["seconds"]) for row in rows)
    assert f"device {content['device']}" in words
    assert "CPU" in content["device"]
    day, minute = content["started"][:10], content["started"][11:16]
    assert f"started {day} {minute} UTC" in words
    assert f"training time {duration(seconds)}" in words
    assert f"training images/s {48 * 3 / seconds:,.0f}" in words
    assert f"torch {content['versions']['torch']}" in words
    for name in ("started", "device"):
        del content[name]
    (copy / "run.json").write_text(json.dumps(content))
    (copy / "metrics.csv").write_text(
        re.sub(r",[^,\n]*$", "", (copy / "metrics.csv").read_text(), flags=re.M)
    )
    words = read(report(copy)).words
    assert not any(name in words for name in ("started", "training time", "images/s", "device CPU"))


# Classes and confusions


def test_all_classes_are_in_a_table_that_can_be_sorted(finished):
    text = (finished.run / "report.html").read_text()
    assert text.count('<table class="sortable') == 1
    table = Page(re.search(r'<table class="sortable.*?</table>', text, re.S)[0]).words
    predictions = read_predictions(RunFolder(finished.run), read_card(finished.run / "best").classes)
    for label, name in enumerate(predictions.classes):
        predicted = predictions.guesses[:, 0] == label
        right = (predictions.hits & predicted).sum()
        precision = f"{100 * right / predicted.sum():.2f} %" if predicted.any() else "-"
        five = (predictions.guesses[predictions.labels == label] == label).any(axis=1).mean()
        assert f"{name} 3 {100 * right / 3:.2f} % {100 * five:.2f} % {precision}" in table


def many_classes() -> Predictions:
    """Thirty classes of two images each; one of class 3 is taken for 7."""
    labels = np.repeat(np.arange(30), 2)
    first = labels.copy()
    first[6] = 7
    return Predictions(
        classes=tuple(f'"{i}" & co' for i in range(30)),
        paths=tuple(f"val/{i}.jpg" for i in range(60)),
        labels=labels,
        guesses=np.stack([first, *((first + i) % 30 for i in range(1, 5))], axis=1),
        probabilities=np.full((60, 5), 0.2),
    )


def test_a_matrix_of_many_classes_is_an_image():
    predictions = many_classes()
    text = confusions(predictions)
    page = Page(text)
    pixels = np.asarray(page.photos()[0])
    assert pixels.shape == (30, 30, 3)
    assert {(int(row), int(column)) for row, column in np.argwhere((pixels != 255).any(axis=2))} == {
        *((i, i) for i in range(30)),
        (3, 7),
    }
    assert pixels[0, 0].tolist() == [0, 114, 178], "all of a row, blue"
    assert pixels[3, 7, 0] > pixels[3, 7, 2], "orange"
    assert " 3,3,1 3,7,1 4,4,2 " in text
    assert json.loads(html.unescape(re.search(r'data-classes="([^"]+)"', text)[1])) == list(
        predictions.classes
    )


def test_a_matrix_of_few_classes_is_whole(finished):
    text = (finished.run / "report.html").read_text()
    matrix = re.search(r'<table class="matrix">.*?</table>', text, re.S)[0]
    assert matrix.count("<tr>") == 1 + 8
    assert matrix.count('<th scope="col">') == 8
    assert sum(map(int, re.findall(r">(\d+)</td>", matrix))) == 24
    assert 'class="confusion"' not in text


def test_precision_and_confusions_of_classes():
    rows = {row.name: row for row in class_rows(many_classes())}
    taken, other = rows['"3" & co'], rows['"7" & co']
    assert (taken.top1_percent, taken.precision_percent, taken.confused_with) == (50.0, 100.0, '"7" & co')
    assert other.precision_percent == pytest.approx(200 / 3)
    assert (other.confused_with, other.num_confused, taken.num_confused) == (None, 0, 1)
