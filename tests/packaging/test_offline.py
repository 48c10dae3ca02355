"""The wheel alone, in an empty folder and without a network, does what the README shows."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lightcars.data.drawn_cars import draw_cars
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
NO_NETWORK = ("unshare", "--map-root-user", "--net")
REFUSED = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The wheel's files, without those of its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.stat().st_size < 30e6
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", folder / "site", wheel], check=True, capture_output=True)
    return folder / "site"


@pytest.fixture(scope="module")
def run(installed, tmp_path_factory):
    """Runs a Python command in an empty folder without a network, and returns its output."""
    folder = tmp_path_factory.mktemp("empty")
    isolated = shutil.which("unshare") and not subprocess.run([*NO_NETWORK, "true"], check=False).returncode
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), REFUSED)
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment = {
        **kept,
        **proxies,
        "PYTHONPATH": str(installed),
        "HOME": str(folder),
        "TORCH_HOME": str(folder),
    }

    def call(*arguments: object) -> str:
        command = [*(NO_NETWORK if isolated else ()), sys.executable, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def test_imagenet_and_own_classes_from_the_wheel_alone(run, installed, tmp_path):
    where = run("-c", "import lightcars; print(lightcars.__file__)").strip()
    assert Path(where).is_relative_to(installed)
    data = draw_cars(tmp_path / "my_images", train=4, val=2)
    (data / "classes.txt").unlink()
    names = sorted(path.name for path in (data / "train").iterdir())
    photo = next((data / "val" / names[0]).iterdir())

    (found,) = json.loads(run("-m", "lightcars", "predict", photo, "--weights", "imagenet", "--json"))
    assert len(found["guesses"]) == 5
    trained = tmp_path / "run"
    run("-m", "lightcars", "finetune", data, "--epochs", 1, "--out", trained)
    assert json.loads((trained / "run.json").read_text())["recipe"]["name"] == "few-images"
    (found,) = json.loads(run("-m", "lightcars", "predict", trained, photo, "--json"))
    assert {guess["name"] for guess in found["guesses"]} <= set(names)
    run("-m", "lightcars", "export", trained, "--to", "onnx", "--standalone", "--out", tmp_path / "mine.onnx")
    (script,) = tmp_path.glob("*/predict.py")
    shown = run(script, photo)
    assert any(name in shown for name in names)
