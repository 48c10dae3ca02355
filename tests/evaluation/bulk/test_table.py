"""A table is complete or resumable: killed at any moment, the same command ends with the same bytes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from lightcars.errors import ConfigError, DataError, InputError, RunError
from lightcars.evaluation.bulk import table as module
from lightcars.evaluation.bulk.engine import EngineChoice
from lightcars.evaluation.bulk.formats import FORMATS
from lightcars.evaluation.bulk.journal import Journal, Writer
from lightcars.evaluation.bulk.names import find_names
from lightcars.evaluation.bulk.table import Job, check_table, write_table
from lightcars.runs.lock import RunLock

BATCH = 4
NUMBER = 23


@pytest.fixture
def job(checkpoint, photos):
    choice = EngineChoice(engine="eager", batch_size=BATCH)
    return Job(run=str(checkpoint), sources=(str(photos),), top=2, choice=choice)


def write(job: Job, table: Path, **settings):
    return write_table(job, find_names(job.sources), table, device="cpu", **settings)


@pytest.fixture(scope="session")
def expected(checkpoint, photos, tmp_path_factory) -> dict[str, bytes]:
    """The tables of a command that nothing interrupts."""
    folder = tmp_path_factory.mktemp("expected")
    choice = EngineChoice(engine="eager", batch_size=BATCH)
    job = Job(run=str(checkpoint), sources=(str(photos),), top=2, choice=choice)
    for suffix in FORMATS:
        write(job, folder / f"table{suffix}")
    return {suffix: (folder / f"table{suffix}").read_bytes() for suffix in FORMATS}


def interrupted(job: Job, table: Path, monkeypatch) -> Journal:
    """Classify all images, and stop before the table is written."""

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(FORMATS, table.suffix, stop)
        with pytest.raises(KeyboardInterrupt):
            write(job, table)
    assert not table.exists()
    return Journal.beside(table)


def test_every_image_has_a_row(job, photos, tmp_path):
    table = tmp_path / "new" / "table.csv"
    errors = []
    summary = write(job, table, on_error=errors.append)
    assert (summary.images, summary.failed, summary.resumed_at) == (NUMBER, 2, 0)
    assert list(table.parent.iterdir()) == [table], "nothing is left"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == list(find_names([str(photos)]))
    failed = [row for row in rows if row["error"]]
    assert [Path(row["image"]).name for row in failed] == ["empty.png", "bad.jpg"]
    assert [row["error"] for row in failed] == [str(error) for error in errors]
    assert all(row["guess_1"] and row["familiar"] in ("true", "false") for row in rows if not row["error"])
    guesses = {row[f"guess_{rank}"] for row in rows for rank in (1, 2)}
    assert "'=cmd" in guesses
    assert "=cmd" not in guesses


@pytest.mark.parametrize("suffix", FORMATS)
def test_it_goes_on_from_any_byte(job, tmp_path, expected, monkeypatch, suffix):
    """As a kill, a power cut or a full disk may leave the rows."""
    whole = interrupted(job, tmp_path / f"whole{suffix}", monkeypatch)
    content = whole.rows_file.read_bytes()
    assert content.count(b"\n") == NUMBER
    random = Random(suffix)
    seven_rows = len(b"".join(content.splitlines(keepends=True)[: 2 * BATCH - 1]))
    cuts = [0, 1, len(content) - 1, len(content), seven_rows, *random.sample(range(len(content)), 3)]
    for number, cut in enumerate(cuts):
        table = tmp_path / f"{number}{suffix}"
        shutil.copytree(whole.folder, Journal.beside(table).folder)
        garbage = (b"", bytes(300), b'{"image": "', b"\xff\n", b'{"image": "other.jpg"}\n')[number % 5]
        Journal.beside(table).rows_file.write_bytes(content[:cut] + garbage)
        summary = write(job, table)
        lines = content[:cut].count(b"\n")
        if cut < len(content) or not garbage:
            assert summary.resumed_at == (lines if lines == NUMBER else lines // BATCH * BATCH)
        assert table.read_bytes() == expected[suffix], (cut, garbage)


def test_nothing_that_is_done_is_read_again(job, tmp_path, monkeypatch):
    journal = interrupted(job, tmp_path / "table.csv", monkeypatch)
    content = journal.rows_file.read_bytes().splitlines(keepends=True)
    journal.rows_file.write_bytes(b"".join(content[: 3 * BATCH]))
    read = []

    def watch(name, img_channels):
        read.append(name)
        return original(name, img_channels)

    original = module.read_named
    monkeypatch.setattr(module, "read_named", watch)
    assert write(job, tmp_path / "table.csv").resumed_at == 3 * BATCH
    assert sorted(read) == sorted(json.loads(line)["image"] for line in content[3 * BATCH :])


def test_the_images_are_those_of_the_beginning(job, checkpoint, photos, tmp_path, expected, monkeypatch):
    journal = interrupted(job, tmp_path / "table.csv", monkeypatch)
    journal.rows_file.write_bytes(b"")
    other = find_names(["never-asked-for.jpg"])
    write_table(job, other, tmp_path / "table.csv", device="cpu")
    assert (tmp_path / "table.csv").read_bytes() == expected[".csv"]


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
import torch
from lightcars.evaluation.bulk import journal, table
from lightcars.evaluation.bulk.engine import EngineChoice
from lightcars.evaluation.bulk.names import find_names

torch.set_num_threads(1)
run, source, out, batches, part = *sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5])
write, count = journal.Writer.write, 0

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def killed(self, rows):
    global count
    count += 1
    if count <= batches:
        return write(self, rows)
    text = "".join(f"{journal.json_text(row, indent=None)}\\n" for row in rows).encode()
    self._file.write(text[: int(part * len(text))])
    self._file.flush()
    kill()

journal.Writer.write = killed
if batches > 100:
    table.FORMATS[".csv"] = lambda rows, path, columns: (path.write_text("half a table"), kill())
choice = EngineChoice(engine="eager", batch_size=4)
job = table.Job(run=run, sources=(source,), top=2, choice=choice)
table.write_table(job, find_names(job.sources), Path(out), device="cpu")
"""


@pytest.mark.parametrize(("batches", "part"), [(2, 0.4), (999, 0.0)])
def test_a_killed_process_is_followed_by_the_same_table(job, photos, tmp_path, expected, batches, part):
    """In the middle of a row, and while the table is written."""
    table = tmp_path / "table.csv"
    arguments = [job.run, str(photos), str(table), str(batches), str(part)]
    ended = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not table.exists()
    summary = write(job, table)
    assert summary.resumed_at == (NUMBER if batches > 100 else batches * BATCH)
    assert table.read_bytes() == expected[".csv"]
    assert not Journal.beside(table).folder.exists()


def test_a_kill_while_names_are_found_begins_again(job, tmp_path, expected):
    table = tmp_path / "table.csv"
    journal = Journal.beside(table)
    journal.folder.mkdir()
    (journal.folder / ".names.jsonl.xyz.part").write_text('"half a li')
    journal.names_file.write_text('"a.jpg"\n')  # complete, but the job was not begun
    assert write(job, table).resumed_at == 0
    assert table.read_bytes() == expected[".csv"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"top": 3}, "top: 2, now 3"),
        ({"sources": ("elsewhere",)}, "images: .*, now elsewhere"),
        ({"choice": EngineChoice(engine="eager", batch_size=8)}, "batch size: 4, now 8"),
        ({"choice": EngineChoice(engine="auto", batch_size=4)}, "engine: eager, now auto"),
    ],
)
def test_another_command_does_not_go_on(job, photos, tmp_path, expected, monkeypatch, change, message):
    table = tmp_path / "table.csv"
    interrupted(job, table, monkeypatch)
    with pytest.raises(RunError, match=f"was started with other settings .{message}.; --force starts again"):
        write(replace(job, **change), table)
    assert write(job, table).resumed_at == NUMBER
    assert table.read_bytes() == expected[".csv"]


def test_another_device_or_list_does_not_go_on(job, tmp_path, monkeypatch):
    job = replace(job, list_digest="0123")
    journal = interrupted(job, tmp_path / "table.csv", monkeypatch)
    with pytest.raises(RunError, match=r"content of the list: 0123, now 4567"):
        write(replace(job, list_digest="4567"), tmp_path / "table.csv")
    content = journal.job_file.read_text()
    assert '"device": "cpu"' in content
    journal.job_file.write_text(content.replace('"device": "cpu"', '"device": "cuda"'))
    with pytest.raises(RunError, match="device: cuda, now cpu"):
        write(job, tmp_path / "table.csv")


def test_force_begins_again_with_other_settings(job, tmp_path, monkeypatch):
    interrupted(job, tmp_path / "table.csv", monkeypatch)
    assert write(replace(job, top=1), tmp_path / "table.csv", force=True).resumed_at == 0
    assert "guess_2" not in (tmp_path / "table.csv").read_text()


def test_force_goes_on_with_the_same_settings(job, tmp_path, monkeypatch):
    table = tmp_path / "table.csv"
    interrupted(job, table, monkeypatch)
    table.write_text("an older table")
    os.utime(table, (1, 1))
    assert write(job, table, force=True).resumed_at == NUMBER


def test_a_kill_while_it_tidies_up(job, tmp_path, monkeypatch):
    """The table is there and newer than the journal: with --force it is computed again."""
    table = tmp_path / "table.csv"
    monkeypatch.setattr(Journal, "remove", lambda self: None)
    write(job, table)
    assert Journal.beside(table).rows_file.exists()
    assert write(job, table, force=True).resumed_at == 0


def test_the_engine_of_the_beginning_is_kept(job, tmp_path, monkeypatch):
    job = replace(job, choice=replace(job.choice, engine="auto"))
    interrupted(job, tmp_path / "table.csv", monkeypatch)
    monkeypatch.setattr("lightcars.deploy.optimize.optimize", pytest.fail)
    assert write(job, tmp_path / "table.csv").choice == EngineChoice(engine="eager", batch_size=BATCH)


def test_two_processes_do_not_write_one_table(job, tmp_path):
    table = tmp_path / "table.csv"
    Journal.beside(table).folder.mkdir()
    with RunLock() as lock:
        lock.acquire(Journal.beside(table).folder)
        with pytest.raises(RunError, match=r"another process is writing in .*table\.csv\.part"):
            write(job, table)


def test_a_full_disk_is_one_line_and_resumable(job, tmp_path, expected, monkeypatch):
    table = tmp_path / "table.csv"

    def full(self, rows):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", full)
        with pytest.raises(RunError, match=r"cannot write .*rows\.jsonl: No space left on device"):
            write(job, table)
    write(job, table)
    assert table.read_bytes() == expected[".csv"]


@pytest.mark.parametrize("sources", [("nothing.jpg",), ("nothing.jpg", "neither.jpg")])
def test_no_table_without_a_single_result(job, tmp_path, sources):
    message = "there is no image nothing.jpg" if len(sources) == 1 else "none of the 2 images can be read"
    with pytest.raises(DataError, match=message):
        write(replace(job, sources=sources), tmp_path / "table.csv")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_command_that_does_not_begin(job, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there are no images in"):
        write(replace(job, sources=(str(tmp_path / "empty"),)), tmp_path / "table.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_tables_that_cannot_be_written(job, tmp_path):
    with pytest.raises(ConfigError, match=r"must end in \.csv or \.jsonl or \.parquet"):
        check_table(tmp_path / "table.txt")
    (tmp_path / "table.csv").write_text("mine")
    with pytest.raises(RunError, match="already exists; --force"):
        check_table(tmp_path / "table.csv")
    with pytest.raises(InputError, match="is an input of the command"):
        check_table(tmp_path / "table.csv", inputs=[tmp_path / "table.csv"], force=True)
    check_table(tmp_path / "TABLE.CSV", force=True)
    with pytest.raises(RunError, match="cannot write"):
        write(job, tmp_path / "table.csv" / "inside.csv")


def test_a_folder_of_others_is_left_alone(job, tmp_path):
    table = tmp_path / "table.csv"
    folder = Journal.beside(table).folder
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    for sources in (job.sources, ("nothing.jpg",)):
        with pytest.raises(RunError, match=r"part contains other files .thesis\.txt.; move it"):
            write(replace(job, sources=sources), table)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_link_or_a_file_in_place_of_the_folder(job, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    Journal.beside(tmp_path / "a.csv").folder.symlink_to(tmp_path / "elsewhere")
    Journal.beside(tmp_path / "b.csv").folder.write_text("mine")
    for name in ("a.csv", "b.csv"):
        with pytest.raises(RunError, match="part is not a folder that lightcars made; move it"):
            write(job, tmp_path / name)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert Journal.beside(tmp_path / "b.csv").folder.read_text() == "mine"


def test_files_of_others_stay_beside_a_job(job, tmp_path, monkeypatch):
    journal = interrupted(job, tmp_path / "table.csv", monkeypatch)
    (journal.folder / "notes.txt").write_text("mine")
    assert write(job, tmp_path / "table.csv").resumed_at == NUMBER
    assert [path.name for path in journal.folder.iterdir()] == ["notes.txt"]


def test_a_table_that_another_process_has_just_finished_stays(job, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("of the other process")
    with pytest.raises(RunError, match="already exists; --force"):
        write(job, table)
    assert table.read_text() == "of the other process"
    assert list(tmp_path.iterdir()) == [table]


def test_a_kill_in_the_clean_up_leaves_no_job(job, tmp_path, monkeypatch):
    journal = interrupted(job, tmp_path / "table.csv", monkeypatch)
    removed = []
    monkeypatch.setattr(Path, "unlink", lambda path, **_: removed.append(path.name))
    journal.remove()
    assert removed[0] == "job.json"
