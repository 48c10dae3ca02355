"""Names of trackers: known, each once, and their packages there before anything is written."""

import pytest

from lightcars.errors import ConfigError, MissingExtraError
from lightcars.training.callbacks import tracker_names
from lightcars.training.callbacks.tracker_names import DEFAULT_TRACKERS, check_trackers


def test_csv_and_tensorboard_are_the_default():
    assert DEFAULT_TRACKERS == ("csv", "tensorboard")
    assert check_trackers(DEFAULT_TRACKERS) == DEFAULT_TRACKERS


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["none"], ()),
        (["none", "none"], ()),
        ("tensorboard", ("tensorboard",)),
        ([], ()),
        (["csv"], ("csv",)),
        (["tensorboard", "csv", "tensorboard"], ("tensorboard", "csv")),
    ],
)
def test_each_once_and_none_is_none(names, known):
    assert check_trackers(names) == known


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["tensorbord"], "no tracker 'tensorbord'. Did you mean tensorboard.* There are csv, tensorboard"),
        (["none", "csv"], "none stands alone"),
        (["csv", "none"], "none stands alone"),
        (["neptune"], "Neptune ended its service .* use tensorboard, wandb or mlflow"),
    ],
)
def test_names_that_cannot_be(names, text):
    with pytest.raises(ConfigError, match=text) as caught:
        check_trackers(names)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "extra"), [("tensorboard", "cars"), ("wandb", "wandb"), ("mlflow", "mlflow")]
)
def test_a_missing_package_comes_with_the_line_that_installs_it(monkeypatch, name, extra):
    monkeypatch.setattr(tracker_names, "find_spec", lambda package: None if package == name else object())
    with pytest.raises(MissingExtraError, match=rf"{name} needs {name}: pip install 'lightcars\[{extra}\]'"):
        check_trackers([name])
