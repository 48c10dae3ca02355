"""Every exception derives from LightcarsError and from a built-in exception."""

import subprocess
import sys

import pytest

from lightcars import errors
from lightcars.errors import LightcarsError, did_you_mean


def all_errors(kind: type = LightcarsError) -> list[type]:
    return [sub for child in kind.__subclasses__() for sub in (child, *all_errors(child))]


OURS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and kind.__module__ == errors.__name__ and not issubclass(kind, Warning)
]


@pytest.mark.parametrize("kind", [kind for kind in OURS if kind is not LightcarsError])
def test_every_error_is_ours_and_builtin(kind):
    assert issubclass(kind, LightcarsError)
    built_ins = [base for base in kind.__mro__ if base.__module__ == "builtins"]
    assert built_ins[0] not in (Exception, BaseException, object)


def test_there_are_errors_to_test():
    assert len(OURS) >= 10
    assert set(all_errors()) >= set(OURS) - {LightcarsError}


def test_all_errors_live_in_one_file():
    import lightcars.counters.profile
    import lightcars.weights.checkpoint
    import lightcars.zoo  # noqa: F401

    assert {kind.__module__ for kind in all_errors()} == {"lightcars.errors"}


@pytest.mark.parametrize("kind", OURS)
def test_one_except_catches_them_all(kind):
    with pytest.raises(LightcarsError, match="what to do"):
        raise kind("what to do")


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("num_class", ["num_classes", "width"], " Did you mean num_classes?"),
        ("ghostnet", ["ghostnet_100", "ghostnet_050"], " Did you mean ghostnet_100 or ghostnet_050?"),
        ("zebra", ["num_classes", "width"], ""),
        ("", ["a"], ""),
        ("a", [], ""),
    ],
)
def test_did_you_mean(word, known, hint):
    assert did_you_mean(word, known) == hint


def test_errors_need_no_torch():
    code = "import sys, lightcars.errors, lightcars.files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
