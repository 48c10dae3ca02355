"""`import lightcars` is fast: heavy packages are imported on first use."""

import importlib
import importlib.util
import subprocess
import sys

import pytest

import lightcars

HEAVY = ("torch", "torchvision", "typer", "rich", "lightning", "safetensors", "fvcore", "numpy", "PIL")


def loaded_after(code: str) -> set[str]:
    """Return the heavy packages that a fresh interpreter has imported after `code`."""
    report = f"import sys; {code}; print(*[name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import lightcars",
        "import lightcars; lightcars.__version__; dir(lightcars)",
        "import lightcars; lightcars.list_models()",
        "import lightcars; lightcars.compound_scale(1); lightcars.LightcarsError",
    ],
)
def test_nothing_heavy_is_loaded(code):
    assert loaded_after(code) == set()


def test_building_and_counting_load_torch_only():
    loaded = loaded_after(
        "import lightcars; model = lightcars.ghostnet(device='meta'); lightcars.count_params(model);"
        "lightcars.count_flops(model)"
    )
    assert loaded & {"torch", "torchvision", "typer", "rich", "lightning", "fvcore"} == {"torch"}


def test_a_prediction_loads_neither_torchvision_nor_lightning():
    loaded = loaded_after(
        "import pathlib, tempfile; from PIL import Image; from lightcars import predict;"
        "photo = pathlib.Path(tempfile.mkdtemp()) / 'a.png'; Image.effect_noise((64, 48), 90).save(photo);"
        "predict('cars196', photo)"
    )
    assert loaded & {"torch", "torchvision", "typer", "rich", "lightning", "fvcore"} == {"torch"}


def test_dir_shows_the_public_names():
    assert dir(lightcars) == sorted(lightcars.__all__)


def test_public_names_are_those_of_the_lazy_table():
    assert set(lightcars.__all__) == {*lightcars._MODULES, "__version__"}
    assert lightcars.__all__ == sorted(lightcars.__all__)


@pytest.mark.parametrize("name", sorted(lightcars._MODULES))
def test_public_name_exists(name):
    module = f"lightcars.{lightcars._MODULES[name]}"
    value = getattr(lightcars, name)
    assert value is getattr(importlib.import_module(module), name)
    assert value.__doc__
    assert vars(lightcars)[name] is value, "kept, so that the next access is a plain look-up"


@pytest.mark.parametrize("name", ["efficentnet", "cars_", "_private", "__path_hooks__"])
def test_unknown_attribute(name):
    with pytest.raises(AttributeError, match=f"module 'lightcars' has no attribute '{name}'"):
        getattr(lightcars, name)
    assert not hasattr(lightcars, name)


def test_star_import_gives_the_public_names():
    names: dict[str, object] = {}
    exec("from lightcars import *", names)
    assert set(lightcars.__all__) <= names.keys()
