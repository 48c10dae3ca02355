"""Archives from anywhere: nothing lands outside, what is broken is named."""

import gzip
import io
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from lightcars.data import archives
from lightcars.data.archives import is_archive, unpack
from lightcars.errors import DataError

FILES = {"cars/train/a.jpg": b"first" * 999, "cars/train/b.jpg": b"second", "cars/readme.txt": b""}


def tgz(path: Path, members: dict[str, bytes | tarfile.TarInfo] | None = None) -> Path:
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
        for name, content in (FILES if members is None else members).items():
            if isinstance(content, bytes):
                about = tarfile.TarInfo(name)
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))
            else:
                tar.addfile(content)
    return path


def zipped(path: Path, members: dict[str, bytes] | None = None, kind: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in (FILES if members is None else members).items():
            about = zipfile.ZipInfo(name)
            about.external_attr = kind << 16
            file.writestr(about, content, zipfile.ZIP_DEFLATED)
    return path


def special(name: str, kind: bytes, target: str = "") -> dict[str, tarfile.TarInfo]:
    about = tarfile.TarInfo(name)
    about.type, about.linkname = kind, target
    return {name: about}


def inside(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(archive: Path, folder: Path) -> str:
    """The one line with which it is refused; nothing is written outside of the folder."""
    folder.mkdir()
    before = inside(folder.parent)
    with pytest.raises(DataError) as caught:
        unpack(archive, folder)
    assert "\n" not in str(caught.value)
    assert str(archive) in str(caught.value)
    outside = {
        name: content for name, content in inside(folder.parent).items() if not name.startswith("new/")
    }
    assert outside == before
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    return str(caught.value)


@pytest.mark.parametrize("make", [tgz, zipped])
@pytest.mark.parametrize("suffix", [".tgz", ".tar.gz", ".TGZ"])
def test_what_is_in_it_comes_out(make, suffix, tmp_path):
    name = f"cars{suffix}" if make is tgz else "cars.zip"
    archive = make(tmp_path / name)
    assert is_archive(archive)
    (tmp_path / "new").mkdir()
    unpack(archive, tmp_path / "new", progress=True)
    assert inside(tmp_path / "new") == FILES


def test_a_plain_tar(tmp_path):
    (tmp_path / "new").mkdir()
    unpack(tgz(tmp_path / "cars.tar"), tmp_path / "new")
    assert inside(tmp_path / "new") == FILES


@pytest.mark.parametrize("make", [tgz, zipped])
def test_what_a_mac_adds_is_left_out(make, tmp_path):
    archive = make(
        tmp_path / ("x.tgz" if make is tgz else "x.zip"),
        {"a/._b.jpg": b"x", "__MACOSX/a/b.jpg": b"x", "a/b.jpg": b"y"},
    )
    (tmp_path / "new").mkdir()
    unpack(archive, tmp_path / "new")
    assert inside(tmp_path / "new") == {"a/b.jpg": b"y"}


@pytest.mark.parametrize("make", [tgz, zipped])
@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/tmp/evil-lightcars", "C:/evil", "..\\evil", "a\\..\\..\\evil"]
)
def test_names_that_lead_out(make, name, tmp_path):
    archive = make(tmp_path / ("x.tgz" if make is tgz else "x.zip"), {"fine.txt": b"x", name: b"evil"})
    assert "is outside of the folder" in refused(archive, tmp_path / "new")
    assert not Path("/tmp/evil-lightcars").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar(kind, tmp_path):
    members = {"a.txt": b"x", **special("link", kind, "../../etc"), "link/evil": b"x"}
    assert "'link' is a link or a device" in refused(tgz(tmp_path / "x.tgz", members), tmp_path / "new")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip(kind, tmp_path):
    archive = zipped(tmp_path / "x.zip", {"link": b"/etc"}, kind | 0o777)
    assert "'link' is a link or a device" in refused(archive, tmp_path / "new")


@pytest.mark.parametrize("make", [tgz, zipped])
def test_too_many_entries(make, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILES", 2)
    archive = make(tmp_path / ("x.tgz" if make is tgz else "x.zip"))
    assert "contains more than 2 entries" in refused(archive, tmp_path / "new")


@pytest.mark.parametrize("make", [tgz, zipped])
def test_a_bomb_stops_at_the_limit(make, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1 << 20)
    archive = make(
        tmp_path / ("x.tgz" if make is tgz else "x.zip"), {"a": bytes(1 << 19), "b": bytes(1 << 22)}
    )
    assert archive.stat().st_size < 1 << 17
    assert "unpacks to more than" in refused(archive, tmp_path / "new")
    assert sum(map(len, inside(tmp_path / "new").values())) <= 1 << 20


@pytest.mark.parametrize("name", ["x.tgz", "x.zip", "x.tar"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>" * 100], ids=["empty", "web page"])
def test_no_archive_at_all(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert "is corrupt or truncated" in refused(tmp_path / name, tmp_path / "new")


NOISE = {f"{i}.jpg": random.Random(i).randbytes(3000) for i in range(6)}


@pytest.mark.parametrize("part", [0.3, 0.6])
@pytest.mark.parametrize("name", ["x.tgz", "x.zip", "x.tar"])
def test_a_cut_off_archive(name, part, tmp_path):
    archive = (zipped if name == "x.zip" else tgz)(tmp_path / name, NOISE)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * part)])
    assert "is corrupt or truncated" in refused(archive, tmp_path / "new")


def test_a_tar_that_is_cut_between_two_files(tmp_path):
    archive = tgz(tmp_path / "x.tar", NOISE)
    archive.write_bytes(archive.read_bytes()[: 2 * (512 + 3072)])
    assert "is corrupt or truncated (its end is missing)" in refused(archive, tmp_path / "new")


def test_a_tgz_with_a_damaged_byte(tmp_path):
    """Stored as it is: only the checksum at the end of the file knows."""
    archive = tmp_path / "x.tgz"
    archive.write_bytes(gzip.compress(tgz(tmp_path / "x.tar", NOISE).read_bytes(), compresslevel=0))
    content = bytearray(archive.read_bytes())
    content[content.index(NOISE["2.jpg"][100:120])] ^= 1
    archive.write_bytes(content)
    assert "is corrupt or truncated (CRC check failed" in refused(archive, tmp_path / "new")


def test_a_zip_with_a_damaged_file(tmp_path):
    archive = zipped(tmp_path / "x.zip", {"a.txt": b"some words " * 50})
    content = bytearray(archive.read_bytes())
    content[40] ^= 0xFF
    archive.write_bytes(content)
    assert "is corrupt or truncated" in refused(archive, tmp_path / "new")


def test_an_encrypted_zip(tmp_path):
    archive = zipped(tmp_path / "x.zip", {"a.txt": b"words"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[6] |= 1
    archive.write_bytes(content)
    assert "'a.txt' is encrypted" in refused(archive, tmp_path / "new")


def test_a_file_in_place_of_a_folder(tmp_path):
    archive = tgz(tmp_path / "x.tgz", {"a": b"x", "a/b": b"y"})
    (tmp_path / "new").mkdir()
    with pytest.raises(OSError, match="new/a"):
        unpack(archive, tmp_path / "new")


# Bombs


@pytest.mark.parametrize("sizes", [("0,0", str(20 << 30)), ("0,1,99,1", "4096")])
def test_sparse_files_are_refused(tmp_path, sizes):
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("train/a/0.png")
        member.pax_headers = {"GNU.sparse.map": sizes[0], "GNU.sparse.size": sizes[1]}
        tar.addfile(member, io.BytesIO(b""))
    assert "is a sparse file; nothing was unpacked" in refused(archive, tmp_path / "new")
    assert archive.stat().st_size < 20_000


@pytest.mark.parametrize("header", [{"GNU.sparse.map": "0,x"}, {"GNU.sparse.size": "-"}])
def test_headers_that_are_not_numbers(tmp_path, header):
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("train/a/0.png")
        member.pax_headers = header
        tar.addfile(member, io.BytesIO(b""))
    text = refused(archive, tmp_path / "new")
    assert "corrupt or truncated" in text or "sparse" in text


@pytest.mark.parametrize("name", ["x.zip", "x.tgz"])
def test_an_archive_that_unpacks_to_far_more_than_it_is(tmp_path, monkeypatch, name):
    monkeypatch.setattr(archives, "FREE_BYTES", 1 << 20)
    archive = tmp_path / name
    (tmp_path / "zeros").write_bytes(bytes(40 << 20))
    if name.endswith("zip"):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.write(tmp_path / "zeros", "train/a/0.png")
    else:
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(tmp_path / "zeros", "train/a/0.png")
    (tmp_path / "zeros").unlink()
    assert "or to more than 100 times its size" in refused(archive, tmp_path / "new")


@pytest.mark.parametrize("damage", ["no name", "header before the begin"])
def test_zip_directories_that_point_nowhere(damage, tmp_path):
    path = tmp_path / "cars.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"x")
    content = bytearray(path.read_bytes())
    central, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    if damage == "no name":
        content[central + 28 : central + 30] = bytes(2)
    else:
        content[end + 16 : end + 20] = (central + 1000).to_bytes(4, "little")
    path.write_bytes(content)
    (tmp_path / "new").mkdir()
    with pytest.raises(DataError, match=r"corrupt|cannot be read"):
        unpack(path, tmp_path / "new")
