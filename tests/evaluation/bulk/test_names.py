"""Names of images: found in order, lazily, without loops, and one clear error where there are none."""

import io
import os
import tracemalloc
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from lightcars.errors import DataError, InputError
from lightcars.evaluation.bulk import names as module
from lightcars.evaluation.bulk.names import find_names, in_order, is_several, read_names


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(*sources: object) -> list[str]:
    return list(find_names(map(str, sources)))


def test_a_folder_is_all_images_in_it_in_order(tmp_path):
    touch(tmp_path, "b.jpg", "a.PNG", "c/2.webp", "c/1.webp", "c/d/0.gif", "a/9.jpeg")
    touch(tmp_path, "readme.txt", ".hidden.jpg", "c/.trash/1.jpg", "noimage")
    expected = ["a.PNG", "b.jpg", "a/9.jpeg", "c/1.webp", "c/2.webp", "c/d/0.gif"]
    assert found(tmp_path) == [str(tmp_path / name) for name in expected]


def test_an_image_without_suffix_is_found_by_its_content(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "photo", format="PNG")
    assert found(tmp_path) == [str(tmp_path / "photo")]


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "photos/1.jpg", "elsewhere/2.jpg")
    (tmp_path / "photos" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "3.jpg").symlink_to(tmp_path / "elsewhere" / "2.jpg")
    names = [Path(name).relative_to(tmp_path).as_posix() for name in found(tmp_path / "photos")]
    assert names == ["photos/1.jpg", "photos/3.jpg", "photos/more/2.jpg"]


def test_patterns(tmp_path):
    touch(tmp_path, "a/1.jpg", "a/2.txt", "b/c/3.jpg", "[x].jpg")
    assert found(tmp_path / "**" / "*.jpg") == sorted(
        str(tmp_path / name) for name in ("a/1.jpg", "b/c/3.jpg", "[x].jpg")
    )
    assert found(tmp_path / "a" / "*") == [str(tmp_path / "a" / "1.jpg")]
    assert found(tmp_path / "[x].jpg") == [str(tmp_path / "[x].jpg")], "a file of that name is no pattern"


def test_deep_patterns_do_not_follow_circles(tmp_path, monkeypatch):
    touch(tmp_path, "ph/1.jpg", "ph/.trash/9.jpg", "ph/a/b/2.jpg", "elsewhere/3.jpg")
    for position in range(3):
        (tmp_path / "ph" / f"loop{position}").symlink_to(tmp_path / "ph")
    (tmp_path / "ph" / "more").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    every = ["ph/1.jpg", "ph/a/b/2.jpg", "ph/more/3.jpg"]
    assert found("ph/**/*.jpg") == every
    assert found("ph/**") == every
    assert found("p*/**/*.jpg") == every
    assert found("**/ph/**/*.jpg") == every
    assert found(f"{tmp_path}/**/b/*.jpg") == [f"{tmp_path}/ph/a/b/2.jpg"]
    monkeypatch.chdir("ph")
    assert found("**/*.jpg") == ["1.jpg", "a/b/2.jpg", "more/3.jpg"]


def test_a_file_that_is_called_as_standard_input(tmp_path, monkeypatch):
    Image.new("RGB", (2, 2)).save(tmp_path / "-", format="PNG")
    monkeypatch.chdir(tmp_path)
    assert found("*") == ["./-"]
    assert list(read_names(io.StringIO("-\n./-\n"))) == ["./-", "./-"]


def test_other_names_are_taken_as_they_are(tmp_path):
    names = ["missing.jpg", "-", "https://example.org/a?b=*.jpg", str(tmp_path / "a.txt")]
    assert found(*names) == names
    assert [is_several(name) for name in (*names, str(tmp_path))] == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("", InputError, "the name of an image is empty"),
        ("ftp://example.org/a.jpg", InputError, "is neither a file nor an http:// or https:// address"),
        ("nothing/*.jpg", DataError, r"no image matches nothing/\*\.jpg"),
        ("empty", DataError, r"there are no images in .*empty, and it is neither a run nor"),
    ],
)
def test_what_gives_no_image(tmp_path, source, error, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=message):
        found(tmp_path / source if source == "empty" else source)


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cannot read .*: Permission denied"):
        found(tmp_path)


def test_nothing_is_read_ahead(tmp_path):
    touch(tmp_path, "a/1.jpg")
    names = find_names(iter([str(tmp_path), "later.jpg", "ftp://never"]))
    assert list(islice(names, 2)) == [str(tmp_path / "a" / "1.jpg"), "later.jpg"]


@pytest.mark.parametrize("number", [0, 1, 9, 10, 11, 57])
def test_many_names_are_sorted_in_files(monkeypatch, number):
    monkeypatch.setattr(module, "SORTED_IN_MEMORY", 10)
    names = [f"caf\udce9 {position}\n" for position in range(number)]
    Random(number).shuffle(names)
    assert list(in_order(names)) == sorted(names)


def test_the_memory_of_sorting_does_not_grow(monkeypatch):
    monkeypatch.setattr(module, "SORTED_IN_MEMORY", 500)

    def peak(number: int) -> int:
        tracemalloc.start()
        try:
            assert sum(1 for _ in in_order(f"{position:0200d}" for position in range(number))) == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1000)
    assert peak(8000) < 1.5 * peak(2000), "names of 250 bytes: 2 MB in a list"


@pytest.mark.parametrize(
    ("text", "separator", "expected"),
    [
        ("a.jpg\nb c.jpg\n", "\n", ["a.jpg", "b c.jpg"]),
        ("a.jpg\r\n\r\n\nb.jpg", "\n", ["a.jpg", "b.jpg"]),
        ("a\nb.jpg\0c.jpg\0", "\0", ["a\nb.jpg", "c.jpg"]),
        ("", "\n", []),
        ("\ufeffa.jpg\n", "\n", ["a.jpg"]),
    ],
)
def test_lists(text, separator, expected):
    assert list(read_names(io.StringIO(text, newline=""), separator)) == expected


def test_a_long_list_is_read_in_parts():
    names = [f"{position}.jpg" for position in range(20_000)]
    assert list(read_names(io.StringIO("\n".join(names)))) == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.jpg\nb.jpg\n".encode("utf-16"), "the list of names is in UTF-16; save it as UTF-8"),
        (b"a.jpg\0b.jpg\0", "has NUL bytes; if they separate names, give -0"),
    ],
)
def test_lists_that_are_not_lines_of_text(content, message):
    file = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors="surrogateescape", newline="")
    with pytest.raises(InputError, match=message):
        list(read_names(file))
