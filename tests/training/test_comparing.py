"""Models that are trained alike: resumed, extended, refused, and the page about them."""

import json
from dataclasses import replace

import pytest

from lightcars.errors import ConfigError, RunError, UnknownModelError
from lightcars.recipes.files import load_recipe
from lightcars.reports.tradeoffs import ComparedModel, pareto_front, tradeoff_page
from lightcars.training import comparing
from lightcars.training.comparing import compare_models


@pytest.fixture(scope="module")
def recipe():
    return replace(load_recipe("compare"), epochs=1, resolution=32, decode_resolution=None, batch_size=16)


@pytest.fixture(scope="module", autouse=True)
def short_timings():
    before, comparing.LATENCY_S = comparing.LATENCY_S, 0.01
    yield
    comparing.LATENCY_S = before


@pytest.fixture(scope="module")
def compared(drawn, recipe, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared") / "all"
    return compare_models(["ghostnet_050", "squeezenet_1_1"], drawn, out, recipe=recipe)


def test_each_model_has_a_run_and_a_row(compared):
    content = json.loads((compared.folder / "comparison.json").read_text())
    assert [row["name"] for row in content["models"]] == ["ghostnet_050", "squeezenet_1_1"]
    for model in compared.models:
        metrics = json.loads((compared.folder / model.name / "metrics.json").read_text())
        assert model.top1_percent == metrics["val_top1_percent"]
        assert model.latency_ms > 0
        assert model.seconds > 0
        assert f'href="{model.name}/report.html"' in compared.page.read_text()
        description = json.loads((compared.folder / model.name / "run.json").read_text())
        assert description["weights"] is None
        assert description["recipe"]["optimizer"]["name"] == "Muon"
    ghostnet = compared.models[0]
    assert ghostnet.num_params < 2_587_292, "eight classes"


def test_it_goes_on_and_takes_further_models(compared, drawn, recipe, monkeypatch):
    trained = []
    original = comparing.finetune

    def noted(*args, out, resume, **kwargs):
        trained.append((out.name, resume))
        return original(*args, out=out, resume=resume, **kwargs)

    monkeypatch.setattr(comparing, "finetune", noted)
    before = (compared.folder / "ghostnet_050" / "metrics.csv").stat().st_mtime_ns
    more = compare_models(["ghostnet_050", "shufflenetv2_050"], drawn, compared.folder, recipe=recipe)
    assert trained == [("ghostnet_050", True), ("shufflenetv2_050", False)]
    assert (compared.folder / "ghostnet_050" / "metrics.csv").stat().st_mtime_ns == before
    assert [model.name for model in more.models] == ["ghostnet_050", "shufflenetv2_050"]


def test_a_run_that_was_killed_at_its_start_begins_again(compared, drawn, recipe, tmp_path):
    killed = tmp_path / "out" / "ghostnet_050" / "initial"
    compare_settings = tmp_path / "out" / "comparison.json"
    killed.mkdir(parents=True)
    (killed / "model.safetensors").write_text("half")
    (killed.parent / ".lock").touch()
    (killed.parent / ".run.json.abc.part").touch()
    compare_settings.write_text((compared.folder / "comparison.json").read_text())
    done = compare_models(["ghostnet_050"], drawn, tmp_path / "out", recipe=recipe)
    assert done.models[0].name == "ghostnet_050"


def test_other_settings_are_refused(compared, drawn, recipe, tmp_path):
    with pytest.raises(RunError, match="holds a comparison with another recipe; name another folder"):
        compare_models(["ghostnet_050"], drawn, compared.folder, recipe=replace(recipe, epochs=2))
    other = tmp_path / "taken"
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    with pytest.raises(RunError, match="is not an empty folder"):
        compare_models(["ghostnet_050"], drawn, other, recipe=recipe)
    assert [path.name for path in other.iterdir()] == ["letter.txt"]
    (other / "letter.txt").unlink()
    (other / "comparison.json").write_text("[")
    with pytest.raises(RunError, match=r"comparison\.json cannot be read; name another folder"):
        compare_models(["ghostnet_050"], drawn, other, recipe=recipe)


@pytest.mark.parametrize("models", [[], ["ghostnet_050", "ghostnet_050"]])
def test_models_are_named_once(models, drawn, recipe, tmp_path):
    with pytest.raises(ConfigError, match="name at least one model, and each only once"):
        compare_models(models, drawn, tmp_path / "out", recipe=recipe)
    assert not (tmp_path / "out").exists()


def test_an_unknown_model_stops_before_any_training(drawn, recipe, tmp_path):
    with pytest.raises(UnknownModelError, match="no model named 'ghostnet_55'"):
        compare_models(["ghostnet_050", "ghostnet_55"], drawn, tmp_path / "out", recipe=recipe)
    assert not (tmp_path / "out").exists()


def model(name: str, top1: float, cost: float) -> ComparedModel:
    return ComparedModel(
        name=name,
        top1_percent=top1,
        top5_percent=99.0,
        best_epoch=1,
        num_params=int(cost),
        flops=int(cost),
        latency_ms=cost,
        seconds=60.0,
    )


def test_the_pareto_front():
    models = [model("a", 50, 3), model("b", 60, 5), model("c", 55, 6), model("d", 50, 1), model("e", 60, 5.5)]
    front = pareto_front(models, lambda model: model.latency_ms)
    assert [entry.name for entry in front] == ["d", "b"]


def test_the_page_escapes_names_and_marks_the_front():
    page = tradeoff_page([model("a", 50, 3), model("<b>", 60, 5), model("c", 55, 6)], "on <data>")
    assert "<b>" not in page
    assert "&lt;data&gt;" in page
    assert page.count('class="ring"') == 3 * 2, "two of three models, in three charts"
