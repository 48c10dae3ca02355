"""Help pages and hints: plain text, examples, names that were meant, old names of options."""

import itertools
import re

import pytest

from lightcars.cli.help import OLD_OPTIONS, OTHER_COMMANDS, OTHER_OPTIONS
from lightcars.cli.main import app
from lightcars.renamed import GONE_IN
from tests.cli.test_cli import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_pages_are_plain_and_wrap(lightcars, command):
    shown = lightcars(command, "--help").out
    lines = shown.splitlines()
    assert not re.search(r"[\u2500-\u257f]|<bool>|\\\[", shown), "no frames, types of flags, or escapes"
    examples = lines.index("Examples:")
    assert lines[examples + 1].startswith(f"  lightcars {command}")
    prose = lines[1:examples]
    ragged = [
        (line, after)
        for line, after in itertools.pairwise(prose)
        if line and after and len(line) + len(after.split()[0]) < 70
    ]
    assert not ragged


def test_the_list_of_commands_has_whole_sentences(lightcars):
    shown = lightcars("--help").out
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("train", "finetune"), ("val", "evaluate"), ("test", "evaluate"), ("benchmark", "bench")],
)
def test_commands_of_other_libraries_are_understood(lightcars, written, meant):
    shown = lightcars(written)
    assert shown.code == 2
    assert f"there is no command '{written}'. Did you mean `lightcars {meant}`?" in shown.err


def test_a_misspelt_command(lightcars):
    assert "there is no command 'finetun'. Did you mean finetune?" in lightcars("finetun").err
    assert "there is no command 'shw'. Did you mean show?" in lightcars("recipes", "shw").err
    assert "Did you mean" not in lightcars("qqqq").err
    assert "finetune" not in lightcars("recipes", "train").err


def test_options_of_other_libraries_are_understood(lightcars):
    shown = lightcars("finetune", "cars", "--lr", "0.1")
    assert shown.code == 2
    assert "there is no option --lr. Did you mean --learning-rate?" in shown.err
    misspelt = lightcars("finetune", "cars", "--epoch", "1")
    assert "there is no option --epoch. Did you mean --epochs" in misspelt.err
    assert "Did you mean --resolution?" in lightcars("info", "ghostnet_100", "--imgsz", "64").err


def test_an_option_without_its_value_is_no_unknown_option(lightcars, finished):
    shown = lightcars("predict", finished, "a.jpg", "--top")
    assert shown.code == 2
    assert "there is no option" not in shown.err
    assert "--top" in shown.err


def test_hints_name_what_there_is():
    commands = {info.name or info.callback.__name__ for info in app.registered_commands}
    assert set(OTHER_COMMANDS.values()) <= commands
    assert not OTHER_COMMANDS.keys() & commands
    assert not OTHER_OPTIONS.keys() & OLD_OPTIONS.keys()


@pytest.mark.parametrize("equals", [False, True])
def test_old_names_of_options_still_work(lightcars, cars, finished, equals):
    def command(name: str, option: str, value: str) -> str:
        words = [f"{option}={value}"] if equals else [option, value]
        return lightcars(name, cars if name == "finetune" else finished, *words).err

    assert "--batch-size takes whole numbers" in command("bench", "--batch", "1,two")
    assert "resolution must be a whole number" in command("optimize", "--input-size", "31")
    assert "cpuu" in command("finetune", "--accelerator", "cpuu")
    warning = f"warning: --batch is now called --batch-size; the old name works until {GONE_IN}.\n"
    assert warning in command("bench", "--batch", "1,two")
    assert "is now called" not in command("bench", "--engine", "none")
    for name in ("bench", "optimize", "export"):
        assert "--batch " not in lightcars(name, "--help").out
    assert "--accelerator" not in lightcars("finetune", "--help").out
