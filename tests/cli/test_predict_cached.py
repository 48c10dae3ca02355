"""`lightcars predict` a second time: the same output, without torch."""

import json
import subprocess
import sys

import pytest

from lightcars.cli import predict_cached, start
from lightcars.evaluation.cached import preparation
from lightcars.evaluation.cached.entries import SWITCH

CODE = """
import sys
from lightcars.cli.start import run
code = 0
try:
    run()
except SystemExit as ended:
    code = ended.code
print(code, *(name for name in ("torch", "typer") if name in sys.modules), file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(SWITCH, "1")
    monkeypatch.setenv("LIGHTCARS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def image(cars):
    return cars / "val" / "Bus" / "0000.png"


@pytest.fixture
def prepared(monkeypatch):
    """Counts the preparations, which do nothing."""
    made = []
    monkeypatch.setattr(preparation, "prepare", lambda place, run: made.append(run))
    return made


def fresh(*arguments):
    """The command in a process of its own: (lines of stderr; the last is exit code and imports, stdout)."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines(), done.stdout


def test_the_second_time_needs_no_torch(lightcars, finished, image, cache, monkeypatch):
    first = lightcars("predict", finished, image, "--json")
    assert first.code == 0
    assert first.err.splitlines() == [predict_cached.NOTE]
    (ended,), out = fresh("predict", finished, image, "--json")
    assert ended == "0"
    (answer,), (expected,) = json.loads(out), json.loads(first.out)
    assert answer.keys() == expected.keys()
    assert (answer["image"], answer["familiar"]) == (expected["image"], expected["familiar"])
    assert [guess["name"] for guess in answer["guesses"]] == [guess["name"] for guess in expected["guesses"]]
    assert [guess["probability"] for guess in answer["guesses"]] == pytest.approx(
        [guess["probability"] for guess in expected["guesses"]], abs=1e-4
    )
    (ended,), out = fresh("predict", finished, image, "--top", 2)
    assert ended == "0"
    assert out == lightcars("predict", finished, image, "--top", 2, "--engine", "eager").out
    (ended,), again = fresh("predict", image, "--weights", finished, "--top", 2)
    assert (ended, again) == ("0 typer", out), "options that only the whole command line knows"
    command = [sys.executable, "-m", "lightcars", "predict", str(finished), str(image)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # as `head -1` does
        assert process.stderr.read() == b""
    assert process.returncode == 1
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "error: cannot write to standard output: No space left on device.\n",
    )
    *error, ended = fresh("predict", finished, "none.png")[0]
    assert ended == "2 torch typer", "PyTorch's path says what is wrong"
    assert error == ["error: there is no image none.png."]
    (engine,) = cache.glob("predict/*/model.ort")
    engine.write_bytes(b"")
    made = []
    monkeypatch.setattr(preparation, "prepare", lambda place, run: made.append(run))
    again = lightcars("predict", finished, image, "--json")
    assert (again.code, again.out, made) == (0, first.out, [str(finished)]), "corrupt, so made again"


@pytest.mark.parametrize("options", [["--engine", "eager"], ["--device", "meta"], ["--cam", "cam.png"]])
def test_options_that_need_torch_prepare_nothing(
    lightcars, finished, image, prepared, tmp_path, options, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = lightcars("predict", finished, image, *options)
    assert predict_cached.NOTE not in done.err
    assert prepared == []


def test_it_can_be_turned_off(lightcars, finished, image, prepared, monkeypatch):
    monkeypatch.setenv(SWITCH, "0")
    done = lightcars("predict", finished, image)
    assert (done.code, done.err, prepared) == (0, "", [])


@pytest.mark.parametrize("reason", ["package", "memory", "disk", "gpu"])
def test_nothing_is_prepared_where_it_would_fail(lightcars, finished, image, prepared, monkeypatch, reason):
    if reason == "package":
        monkeypatch.setattr("lightcars.deploy.runners.installed_version", lambda name: None)
    elif reason == "memory":
        monkeypatch.setattr(predict_cached, "free_bytes", lambda: 1e9)
    elif reason == "disk":
        monkeypatch.setattr(predict_cached.Place, "can_store", lambda _: False)
    else:
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        monkeypatch.setattr(
            "lightcars.runs.trained.resolve_device", lambda _: __import__("torch").device("cpu")
        )
    done = lightcars("predict", finished, image)
    assert (done.code, done.err, prepared) == (0, "", [])


def test_ctrl_c_while_preparing_keeps_the_answer(lightcars, finished, image, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "prepare", stopped)
    done = lightcars("predict", finished, image)
    assert done.code == 0
    assert "probability" in done.out
    assert done.err.splitlines()[1].startswith("stopped; ")


def test_an_error_while_preparing_keeps_the_answer(lightcars, finished, image, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(preparation, "prepare", fail)
    done = lightcars("predict", finished, image)
    assert done.code == 0
    assert "probability" in done.out
    assert done.err.splitlines()[1:] == ["note: these weights could not be prepared (out of luck)"]


@pytest.mark.parametrize(
    ("arguments", "plain"),
    [
        (["predict", "a.jpg"], (None, "a.jpg", 5, False)),
        (["predict", "run", "a.jpg", "--top", "2", "--json"], ("run", "a.jpg", 2, True)),
        (["predict", "--top=3", "a.JPG"], (None, "a.JPG", 3, False)),
        (["predict"], None),
        (["predict", "none.jpg"], None),
        (["predict", "run"], None),
        (["predict", "a.jpg", "a.jpg"], None),
        (["predict", "cars196", "a.jpg"], None),
        (["predict", "a.jpg", "--top"], None),
        (["predict", "a.jpg", "--top", "0"], None),
        (["predict", "a.jpg", "--top", "two"], None),
        (["predict", "a.jpg", "--cam", "b.png"], None),
        (["predict", "-h"], None),
        (["predict", "a\0.jpg"], None),
        (["evaluate", "a.jpg"], None),
        ([], None),
    ],
)
def test_plain_arguments(tmp_path, monkeypatch, arguments, plain):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for name in ("a.jpg", "a.JPG"):
        (tmp_path / name).write_text("")
    found = start._plain(arguments)
    assert plain == (None if found is None else (found.run, found.image, found.top, found.as_json))


def test_no_image_suffix_is_that_of_weights_or_a_model():
    from lightcars.models.images import IMAGE_SUFFIXES
    from lightcars.models.registry import MODELS
    from lightcars.weights.catalog import ENTRIES

    assert set(start.IMAGE_SUFFIXES) <= IMAGE_SUFFIXES
    names = [*MODELS, *(entry.tag for entry in ENTRIES)]
    assert not [name for name in names if name.endswith(start.IMAGE_SUFFIXES)]
