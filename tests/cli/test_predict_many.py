"""`lightcars predict` for many images: printed, in tables, from lists, and from standard input."""

import csv
import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightcars.cli import predict_many as module
from tests.weights.loopback import Answer, Loopback, serving


@pytest.fixture
def photos(cars):
    return cars / "val"


@pytest.fixture
def stdin(monkeypatch):
    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    return give


def names(shown) -> list[str]:
    return [row["image"] for row in json.loads(shown.out)]


def all_of(photos) -> list[str]:
    return sorted(str(path) for path in photos.rglob("*.png"))


def test_a_folder_a_pattern_and_a_list_are_the_same_images(lightcars, finished, photos, tmp_path):
    shown = lightcars("predict", finished, photos, "--json", "--top", 2)
    assert (shown.code, shown.err) == (0, "")
    assert names(shown) == all_of(photos)
    assert lightcars("predict", finished, photos / "**" / "*.png", "--json", "--top", 2).out == shown.out
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(all_of(photos)))
    assert lightcars("predict", finished, "--files-from", listed, "--json", "--top", 2).out == shown.out


def test_tables_are_printed_as_they_come(lightcars, finished, photos):
    shown = lightcars("predict", finished, *all_of(photos)[:2], "--top", 1)
    lines = shown.out.splitlines()
    assert (lines[0], lines[4]) == tuple(all_of(photos)[:2])
    assert lines[1].split() == ["probability", "class"]


def test_json_of_many_is_that_of_one_after_the_other(lightcars, finished, photos):
    together = json.loads(lightcars("predict", finished, photos / "Bus", "--json").out)
    alone = [
        row
        for path in all_of(photos / "Bus")
        for row in json.loads(lightcars("predict", finished, path, "--json").out)
    ]
    assert [row.keys() for row in together] == [row.keys() for row in alone]
    for found, expected in zip(together, alone, strict=True):
        assert found["guesses"][0]["name"] == expected["guesses"][0]["name"]
        probability = expected["guesses"][0]["probability"]
        assert found["guesses"][0]["probability"] == pytest.approx(probability, rel=1e-4)


def test_standard_input(lightcars, finished, photos, stdin):
    path = all_of(photos)[0]
    stdin(Path(path).read_bytes())
    shown = lightcars("predict", finished, "-", "--json", "--top", 1)
    (row,) = json.loads(shown.out)
    assert row["image"] == "-"
    assert (
        row["guesses"]
        == json.loads(lightcars("predict", finished, path, "--json", "--top", 1).out)[0]["guesses"]
    )
    stdin(os.fsencode("\0".join(all_of(photos))))
    assert names(lightcars("predict", finished, "--files-from", "-", "-0", "--json")) == all_of(photos)


def test_addresses(lightcars, finished, photos, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Loopback) as server:
        url = server.prepare("/car.png", Answer(body=Path(all_of(photos)[0]).read_bytes()))
        assert names(lightcars("predict", finished, url, "--json")) == [url]
        missing = f"{server.url}/missing.png"
        error = lightcars("predict", finished, missing).error
    assert error == f"{missing} cannot be fetched (the server answers 404)."


def test_a_table(lightcars, finished, photos, tmp_path):
    table, bad = tmp_path / "table.csv", tmp_path / "bad.png"
    bad.write_bytes(b"x")
    shown = lightcars("predict", finished, photos, bad, "--out", table, "--json", "--top", 1)
    assert shown.code == 1
    assert f"warning: skipped: {bad} cannot be read" in shown.err
    summary = json.loads(shown.out)
    assert summary == {
        "table": str(table),
        "images": 17,
        "failed": 1,
        "resumed_at": 0,
        "engine": "eager",
        "precision": "fp32",
    }
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [*all_of(photos), str(bad)]
    again = lightcars("predict", finished, photos, "--out", table, "--force")
    assert (again.code, again.out) == (0, "")
    assert again.err.splitlines()[-1] == f"16 images in {table} (eager, fp32)"


def test_a_table_may_lie_among_the_images(lightcars, finished, photos, tmp_path):
    (tmp_path / "car.png").write_bytes((photos / "Bus" / "0000.png").read_bytes())
    for force in ((), ("--force",)):
        assert lightcars("predict", finished, tmp_path, "--out", tmp_path / "t.jsonl", *force).code == 0


def test_ctrl_c_says_how_to_go_on(lightcars, finished, photos, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    table = tmp_path / "table.csv"
    with monkeypatch.context() as patch:
        patch.setattr("lightcars.evaluation.bulk.journal.Writer.write", interrupt)
        shown = lightcars("predict", finished, photos, "--out", table)
    assert shown.code == 130
    assert shown.err.splitlines()[-1] == f"stopped; the same command resumes from {table}.part"
    shown = lightcars("predict", finished, photos, "--out", table)
    assert (shown.code, table.exists()) == (0, True)


def test_ctrl_c_while_names_are_found(lightcars, finished, photos, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lightcars.evaluation.bulk.journal.Journal.store_names", interrupt)
    shown = lightcars("predict", finished, photos, "--out", tmp_path / "table.csv")
    assert shown.code == 130
    assert shown.err.splitlines()[-1] == "stopped; nothing was written"
    assert list(tmp_path.iterdir()) == []


def test_another_list_does_not_go_on(lightcars, finished, photos, tmp_path, stdin, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    table, listed = tmp_path / "table.csv", tmp_path / "list.txt"
    content = "\n".join(all_of(photos)).encode()
    for source, path in ((listed, table), ("-", tmp_path / "stdin.csv")):
        listed.write_bytes(content)
        stdin(content)
        command = ("predict", finished, "--files-from", source, "--out", path)
        with monkeypatch.context() as patch:
            patch.setattr("lightcars.evaluation.bulk.journal.Writer.write", interrupt)
            assert lightcars(*command).code == 130
        listed.write_bytes(content[:-9])
        stdin(content[:-9])
        assert "was started with other settings (content of the list:" in lightcars(*command).error
        assert "other settings (images:" in lightcars(*command, "--null").error
        listed.write_bytes(content)
        stdin(b"")  # not needed twice
        shown = lightcars(*command)
        assert (shown.code, shown.err.splitlines()[0]) == (
            0,
            f"{path}.part: resuming with the 16 image names of the first start",
        )


def test_force_begins_again_with_another_list(lightcars, finished, photos, tmp_path, stdin, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    table = tmp_path / "table.csv"
    command = ("predict", finished, "--files-from", "-", "--out", table, "--force")
    with monkeypatch.context() as patch:
        patch.setattr("lightcars.evaluation.bulk.journal.Writer.write", interrupt)
        stdin("\n".join(all_of(photos)).encode())
        assert lightcars(*command).code == 130
    stdin(all_of(photos)[3].encode())
    assert lightcars(*command).code == 0
    with table.open(newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == [all_of(photos)[3]]


def test_an_empty_list_is_an_error(lightcars, finished, tmp_path, stdin):
    listed = tmp_path / "list.txt"
    listed.write_bytes(b"\n")
    for options in ((), ("--json",), ("--out", tmp_path / "t.csv")):
        shown = lightcars("predict", finished, "--files-from", listed, *options)
        assert (shown.code, shown.out, shown.error) == (2, "", f"there are no names in {listed}.")
    stdin(b"")
    assert (
        lightcars("predict", finished, "--files-from", "-").error == "there are no names in standard input."
    )
    assert list(tmp_path.iterdir()) == [listed]


def test_json_is_whole_when_a_later_pattern_matches_nothing(lightcars, finished, photos, tmp_path):
    shown = lightcars(
        "predict", finished, photos, tmp_path / "*.jpg", "--json", "--engine", "eager", "--batch-size", 2
    )
    assert (shown.code, shown.err) == (2, f"error: no image matches {tmp_path / '*.jpg'}.\n")
    assert names(shown) == all_of(photos)[: len(names(shown))]
    assert names(shown)


def test_no_more_than_some_bad_images_are_named(lightcars, finished, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_NAMED", 2)
    bad = [tmp_path / f"{position}.jpg" for position in range(5)]
    shown = lightcars("predict", finished, *bad, photos / "Bus" / "0000.png", "--out", tmp_path / "t.csv")
    assert shown.code == 1
    lines = shown.err.splitlines()
    assert [line for line in lines if "there is no image" in line] == [
        f"warning: skipped: there is no image {path}." for path in bad[:2]
    ]
    assert "the table's error column lists all of them" in lines[2]
    assert lines[-1].endswith("; 5 could not be read")


def test_bad_input_is_one_line(lightcars, finished, photos, tmp_path, stdin):
    def error(*arguments: object) -> str:
        return lightcars("predict", finished, *arguments).error

    stdin(b"")
    (tmp_path / "empty").mkdir()
    image = all_of(photos)[0]
    assert "there are no images in" in error(tmp_path / "empty")
    assert "no image matches" in error(tmp_path / "*.jpg", "--out", tmp_path / "t.csv")
    assert "must end in .csv or .jsonl or .parquet" in error(photos, "--out", tmp_path / "t.xlsx")
    assert "there is no engine 'fast'" in error(photos, "--engine", "fast")
    assert "--null requires --files-from" in error(photos, "-0")
    assert "is a folder, not a list of names" in error("--files-from", tmp_path)
    assert "No such file" in error("--files-from", tmp_path / "nothing.txt")
    assert "standard input is either an image or a list" in error("-", "--files-from", "-")
    assert "give - only once" in error("-", "-")
    assert "plot one image file" in error(photos, "--cam", tmp_path / "c.png")
    assert "plot one image file" in error(image, "--cam", tmp_path / "c.png", "--out", tmp_path / "t.csv")
    assert "the image on standard input is empty" in error("-")
    assert lightcars("predict").error == "name images: lightcars predict IMAGE..."
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_name_that_is_too_long(lightcars, finished, tmp_path):
    name = f"{'a' * 300}.jpg"
    for arguments in ((name,), (name, "--engine", "eager"), (name, "--out", tmp_path / "t.csv")):
        shown = lightcars("predict", *arguments)
        assert shown.code == 2
        assert shown.error.startswith("aaa")
        assert "cannot be read as an image" in shown.error
    shown = lightcars("predict", name, name)
    assert (shown.code, shown.err.splitlines()[-1]) == (2, "error: none of the 2 images can be read.")


def test_all_images_bad(lightcars, finished):
    shown = lightcars("predict", finished, "a.jpg", "b.jpg")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.splitlines() == [
        "warning: skipped: there is no image a.jpg.",
        "warning: skipped: there is no image b.jpg.",
        "error: none of the 2 images can be read.",
    ]
