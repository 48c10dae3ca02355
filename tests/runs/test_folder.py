"""The run folder: claimed once, described, reopened with its own recipe only."""

import re
from dataclasses import replace

import pytest

from lightcars.errors import ConfigError, RunError
from lightcars.recipes.recipe import Recipe
from lightcars.runs.folder import RunFolder, best_row, claim, reopen
from lightcars.training.distributed.processes import is_first_process
from lightcars.training.job import default_folder
from tests.runs.descriptions import description_of


def row(top1, loss):
    return {"val_top1_percent": top1, "val_loss": loss}


def test_the_best_epoch_has_the_highest_top1():
    rows = [row(10.0, 1.0), row(30.0, 3.0), row(20.0, 0.5)]
    assert best_row(rows) is rows[1]


def test_of_equals_the_lower_loss_wins_and_of_those_the_first():
    rows = [row(30.0, 2.0), row(30.0, 1.0), row(30.0, 1.0)]
    assert best_row(rows) is rows[1]


def test_claim_makes_the_folder(tmp_path):
    run = claim(tmp_path / "deep" / "run")
    assert run.path.is_dir()


def test_an_empty_folder_can_be_claimed(tmp_path):
    assert claim(tmp_path).path == tmp_path


def test_a_folder_with_a_run_is_taken(tmp_path):
    claim(tmp_path).write(description_of(Recipe()))
    with pytest.raises(RunError, match=r"already holds a run.*--resume") as caught:
        claim(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("kind", ["file inside", "file"])
def test_a_folder_with_anything_else_is_not_claimed(tmp_path, kind):
    target = tmp_path / "run"
    if kind == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not an empty folder"):
        claim(target)
    assert (target if kind == "file" else target / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=f"cannot make the run folder {tmp_path}/file/run") as caught:
        claim(tmp_path / "file" / "run")
    assert "\n" not in str(caught.value)


def test_the_default_folder_is_named_after_model_and_time():
    assert re.fullmatch(r"runs/ghostnet_100-\d{8}-\d{6}", default_folder("ghostnet_100").as_posix())


@pytest.mark.parametrize("rank", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_all_processes_of_a_run_have_the_same_default_folder(monkeypatch, rank):
    first = default_folder("ghostnet_100")
    monkeypatch.setenv(rank, "1")
    assert not is_first_process()
    assert default_folder("other") == first
    monkeypatch.delenv("LIGHTCARS_RUN_FOLDER")
    with pytest.raises(ConfigError, match="give the run folder"):
        default_folder("ghostnet_100")


def test_reopen_gives_what_was_described(tmp_path):
    description = description_of(Recipe(epochs=3), root="café")
    claim(tmp_path).write(description)
    assert reopen(tmp_path, None) == (RunFolder(tmp_path), description)
    assert reopen(tmp_path, Recipe(epochs=3))[1] == description


def test_reopen_with_another_recipe_says_what_differs(tmp_path):
    claim(tmp_path).write(description_of(Recipe(epochs=3)))
    with pytest.raises(ConfigError, match=r"\(epochs 3 -> 4, seed 0 -> 7\)"):
        reopen(tmp_path, replace(Recipe(), epochs=4, seed=7))


def test_reopen_takes_another_number_of_workers(tmp_path):
    claim(tmp_path).write(description_of(Recipe(workers=4)))
    assert reopen(tmp_path, Recipe(workers=1))[0] == RunFolder(tmp_path)


def test_what_was_decided_once_is_not_asked_again(tmp_path):
    kept = Recipe(precision="bf16-mixed", memory_format="contiguous")
    claim(tmp_path).write(description_of(kept))
    for left_open in (Recipe(), Recipe(precision="fastest", memory_format="fastest")):
        assert reopen(tmp_path, left_open)[0] == RunFolder(tmp_path)
    with pytest.raises(ConfigError, match="precision bf16-mixed -> 32-true"):
        reopen(tmp_path, Recipe(precision="32-true"))


def test_reopen_of_a_folder_without_a_run(tmp_path):
    with pytest.raises(RunError, match=f"{tmp_path} holds no run"):
        reopen(tmp_path, None)
