"""Precision and memory format are decided before a run; compile and gradient checkpointing."""

import copy
import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from lightcars import Recipe, ghostnet, load
from lightcars.deploy import cpu
from lightcars.errors import RunError
from lightcars.models.memory_format import TORCH_MEMORY_FORMATS
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.recipe import MEMORY_FORMATS, OPEN, ProgressiveRecipe
from lightcars.runs.description import TrainingSpeed
from lightcars.training import decisions, speed
from lightcars.training import trainer as training
from lightcars.training.module import ClassifierModule
from lightcars.training.speed import Setting, candidates, decide_speed, fastest
from tests.training.tiny_settings import TINY_MODEL, TINY_RECIPE

CPU = torch.device("cpu")
AUTO = replace(TINY_RECIPE, precision="auto", memory_format="auto", accelerator="cpu")
FASTEST = replace(AUTO, precision="fastest", memory_format="fastest")
PLAIN, WIDE = Setting("32-true", "channels_last"), Setting("32-true", "contiguous")
COARSE, COARSE_WIDE = Setting("bf16-mixed", "channels_last"), Setting("bf16-mixed", "contiguous")


def test_a_recipe_may_name_every_layout():
    assert set(MEMORY_FORMATS) == {*OPEN, *TORCH_MEMORY_FORMATS}


def network() -> torch.nn.Module:
    return ghostnet("050", num_classes=8, resolution=32, **TINY_MODEL)


@pytest.fixture
def bf16(monkeypatch):
    monkeypatch.setattr(cpu, "has_bf16", lambda: True)


@pytest.fixture
def bf16_wins(monkeypatch, bf16):
    """Times as if they had been measured."""
    times = {PLAIN: 300.0, WIDE: 412.3, COARSE: 229.1, COARSE_WIDE: 350.0}
    monkeypatch.setattr(speed, "measured", lambda model, settings, batch, resolution: (times, batch))


def never(*_, **__):
    raise AssertionError("measured again")


# The choice


@pytest.mark.parametrize(
    ("milliseconds", "setting"),
    [
        ((100, 200, 50, 80), COARSE),
        ((100, 200, 92, 92), PLAIN),  # not worth the coarseness
        ((100, 96, 120, 120), PLAIN),  # noise
        ((100, 90, 120, 120), WIDE),
        ((100, 90, 70, 60), COARSE_WIDE),
    ],
)
def test_what_is_fastest(milliseconds, setting):
    assert fastest(dict(zip((PLAIN, WIDE, COARSE, COARSE_WIDE), milliseconds, strict=True))) == setting


@pytest.mark.parametrize(
    ("settings", "has_bf16", "expected"),
    [
        ({}, True, [COARSE]),
        ({}, False, [PLAIN]),
        ({"precision": "32-true"}, True, [PLAIN]),
        ({"memory_format": "contiguous"}, True, [COARSE_WIDE]),
        ({"precision": "fastest"}, True, [PLAIN, COARSE]),
        ({"precision": "fastest"}, False, [PLAIN]),
        ({"memory_format": "fastest"}, True, [COARSE, COARSE_WIDE]),
        ({"memory_format": "fastest"}, False, [PLAIN, WIDE]),
        ({"precision": "fastest", "memory_format": "fastest"}, True, [PLAIN, WIDE, COARSE, COARSE_WIDE]),
        ({"precision": "bf16-mixed", "memory_format": "fastest"}, False, [COARSE, COARSE_WIDE]),
        ({"precision": "fastest", "memory_format": "contiguous"}, True, [WIDE, COARSE_WIDE]),
        ({"precision": "32-true", "memory_format": "contiguous"}, True, [WIDE]),
    ],
    ids=str,
)
def test_what_a_recipe_may_be_run_with(monkeypatch, settings, has_bf16, expected):
    monkeypatch.setattr(cpu, "has_bf16", lambda: has_bf16)
    assert candidates(Recipe(**settings), CPU) == expected


def test_the_device_of_an_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for accelerator, kind in (("auto", "cuda"), ("gpu", "cuda"), ("cpu", "cpu")):
        assert speed.device_of(Recipe(accelerator=accelerator)).type == kind


# The measurement


@pytest.mark.usefixtures("bf16")
def test_measuring_leaves_everything_as_it_was():
    model = network()
    model.requires_grad_(False).classifier.requires_grad_(True)
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    recipe, found = decide_speed(FASTEST, model, 32, 48)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert found.milliseconds.keys() == {str(setting) for setting in (PLAIN, WIDE, COARSE, COARSE_WIDE)}
    assert all(ms > 0 for ms in found.milliseconds.values())
    assert f"{recipe.precision} {recipe.memory_format}" == found.chosen
    assert (found.batch, found.resolution) == (AUTO.batch_size, 32)


def test_each_setting_is_what_it_says(monkeypatch):
    seen = {}

    def noting(self, setting, batch):
        hook = self._model.stem.register_forward_hook(
            lambda _, given, output: seen.update({setting: (given[0], output)})
        )
        taken = step(self, setting, batch)
        hook.remove()
        return taken

    step = speed._Steps.seconds
    monkeypatch.setattr(speed._Steps, "seconds", noting)
    speed.measured(network(), [PLAIN, WIDE, COARSE, COARSE_WIDE], 8, 32)
    assert len(seen) == 4
    for setting, (images, output) in seen.items():
        last = setting.memory_format == "channels_last"
        assert images.is_contiguous(memory_format=torch.channels_last) is last
        assert images.is_contiguous() is not last
        assert (output.dtype == torch.bfloat16) is (setting.precision == "bf16-mixed")


def steps_that_take(monkeypatch, seconds) -> list[tuple[Setting, int]]:
    taken = []

    def step(_self, setting, batch):
        taken.append((setting, batch))
        return seconds(setting, batch)

    monkeypatch.setattr(speed._Steps, "seconds", step)
    return taken


@pytest.mark.parametrize(
    ("batch", "per_image", "shorter"), [(64, 0.001, 64), (64, 0.02, 16), (64, 9, 8), (2, 9, 2)]
)
def test_long_steps_are_measured_with_fewer_images(monkeypatch, batch, per_image, shorter):
    taken = steps_that_take(monkeypatch, lambda _, number: per_image * number)
    assert speed.measured(network(), [PLAIN, WIDE], batch, 32)[1] == shorter
    assert taken[2:] == [(PLAIN, shorter), (WIDE, shorter)] * (speed.ROUNDS + 1)


def test_a_setting_that_runs_out_of_memory_is_left_out(monkeypatch):
    model = network()

    def out_of_memory(*_):
        raise torch.OutOfMemoryError

    hook = model.stem.register_forward_pre_hook(out_of_memory)
    assert speed.measured(model, [PLAIN, WIDE], 8, 32)[0] == {}
    hook.remove()
    steps_that_take(monkeypatch, lambda setting, _: float("inf") if setting == PLAIN else 0.25)
    assert speed.measured(model, [PLAIN, WIDE], 8, 32) == ({WIDE: 250.0}, 8)
    monkeypatch.setattr(speed, "measured", lambda *_: ({}, 8))
    assert decide_speed(FASTEST, model, 32, 48) == (
        replace(FASTEST, precision="32-true", memory_format="channels_last"),
        None,
    )


# In a run


@pytest.mark.parametrize("recipe", [TINY_RECIPE, AUTO], ids=["named", "auto"])
def test_nothing_is_measured_unless_asked_for(drawn, tiny, tmp_path, monkeypatch, bf16, recipe):
    monkeypatch.setattr(speed, "measured", never)
    result = tiny(drawn, tmp_path / "run", recipe=replace(recipe, epochs=1))
    content = json.loads((result.run / "run.json").read_text())
    assert "training_speed" not in content
    kept = (content["recipe"]["precision"], content["recipe"]["memory_format"])
    assert kept == ("32-true" if recipe is TINY_RECIPE else "bf16-mixed", "channels_last")


def test_the_same_command_trains_the_same(drawn, tiny, tmp_path, table, same_weights):
    first, second = (tiny(drawn, tmp_path / name, recipe=AUTO) for name in ("first", "second"))
    assert table(first.run) == table(second.run)
    assert same_weights(first.model, second.model)


@pytest.mark.usefixtures("bf16_wins")
def test_the_run_is_the_one_with_what_was_chosen(drawn, tiny, tmp_path, capsys, table, same_weights):
    chosen = replace(FASTEST, precision="bf16-mixed", memory_format="channels_last", images_on_device=False)
    result = tiny(drawn, tmp_path / "run", recipe=FASTEST, progress=True)
    content = json.loads((result.run / "run.json").read_text())
    assert content["recipe"] == json.loads(json.dumps(chosen.to_dict()))
    assert content["training_speed"] == {
        "chosen": "bf16-mixed channels_last",
        "milliseconds": {str(PLAIN): 300.0, str(WIDE): 412.3, str(COARSE): 229.1, str(COARSE_WIDE): 350.0},
        "batch": 8,
        "resolution": 32,
    }
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training in")]
    assert said == [str(TrainingSpeed(**content["training_speed"]))]
    pinned = tiny(drawn, tmp_path / "pinned", recipe=chosen)
    assert table(pinned.run) == table(result.run)
    assert same_weights(pinned.model, result.model)


def interrupted(monkeypatch, start) -> None:
    step = training.ClassifierModule.training_step

    def training_step(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (1, 1):
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(training.ClassifierModule, "training_step", training_step)
        with pytest.raises(KeyboardInterrupt):
            start()


@pytest.mark.usefixtures("bf16_wins")
@pytest.mark.parametrize("again", [None, FASTEST], ids=["no recipe", "the same recipe"])
def test_a_resumed_run_takes_what_was_chosen(drawn, tiny, tmp_path, monkeypatch, table, same_weights, again):
    whole = tiny(drawn, tmp_path / "whole", recipe=FASTEST)
    interrupted(monkeypatch, lambda: tiny(drawn, tmp_path / "run", recipe=FASTEST))
    monkeypatch.setattr(speed, "measured", never)
    tiny(drawn, tmp_path / "run", recipe=again, resume=True)
    assert table(tmp_path / "run") == table(whole.run)
    assert same_weights(load(tmp_path / "run" / "last"), load(whole.run / "last"))


def test_the_full_resolution_is_measured(drawn, tiny, tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        decisions,
        "decide_speed",
        lambda recipe, _, size, number: sizes.append((size, number)) or (recipe, None),
    )
    growing = replace(TINY_RECIPE, resolution=48, progressive=ProgressiveRecipe(start_resolution=32))
    tiny(drawn, tmp_path / "run", recipe=growing)
    assert sizes == [(48, 48)]


@pytest.mark.parametrize("memory_format", TORCH_MEMORY_FORMATS)
def test_images_have_the_memory_format(drawn, tiny, tmp_path, monkeypatch, memory_format):
    seen = []
    make = ClassifierModule.__init__

    def made(self, *arguments, **settings):
        make(self, *arguments, **settings)
        self.model.stem.register_forward_pre_hook(lambda _, given: seen.append(given[0]))

    monkeypatch.setattr(ClassifierModule, "__init__", made)
    tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, epochs=1, memory_format=memory_format))
    layout = TORCH_MEMORY_FORMATS[memory_format]
    assert len(seen) == 6 + 3  # training and validation
    assert all(images.is_contiguous(memory_format=layout) for images in seen)


# Gradient checkpointing and compile


def test_gradient_checkpointing_changes_no_metric(drawn, tiny, finished, tmp_path, monkeypatch, table):
    recomputes = []
    step = training.ClassifierModule.training_step

    def training_step(self, batch, batch_idx):
        recomputes.append(self.model.blocks.recompute)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(training.ClassifierModule, "training_step", training_step)
    result = tiny(drawn, tmp_path / "run", recipe=replace(TINY_RECIPE, gradient_checkpointing=True))
    assert recomputes
    assert all(recomputes)
    assert table(result.run) == table(finished.run)


COMPILED = replace(TINY_RECIPE, compile=True, ema_decay=0.9)


@pytest.fixture
def quick_compiler(monkeypatch):
    """Traces as ever, and generates no code, which takes most of a minute."""
    calls = []

    def backend(graph, _inputs):
        calls.append(graph)
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    return calls


def test_compiled_it_is_the_same_run(drawn, tiny, tmp_path, monkeypatch, quick_compiler, table, same_weights):
    plain = tiny(drawn, tmp_path / "plain", recipe=replace(COMPILED, compile=False))
    assert not quick_compiler
    whole = tiny(drawn, tmp_path / "whole", recipe=COMPILED)
    assert quick_compiler
    for ours, theirs in zip(table(whole.run), table(plain.run), strict=True):
        for name in ("train_loss", "val_loss", "learning_rate"):  # sums in another order
            assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=0.01), name
    state = torch.load(whole.run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert not [name for name in state if "_orig_mod" in name]
    interrupted(monkeypatch, lambda: tiny(drawn, tmp_path / "run", recipe=COMPILED))
    tiny(drawn, tmp_path / "run", recipe=None, resume=True)
    assert table(tmp_path / "run") == table(whole.run)
    assert same_weights(load(tmp_path / "run" / "last"), load(whole.run / "last"))


def test_a_compiler_that_fails_is_one_line(drawn, tiny, tmp_path, monkeypatch):
    def broken(_graph, _inputs):
        raise ValueError("no such\nthing")

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=broken))
    with pytest.raises(RunError, match=r"torch\.compile failed") as caught:
        tiny(drawn, tmp_path / "run", recipe=COMPILED)
    assert "\n" not in str(caught.value)
    assert "start again without compile" in str(caught.value)


@pytest.mark.slow
def test_the_real_compiler(drawn, tiny, tmp_path, table):
    """Its own arithmetic: near, not equal."""
    recipe = replace(
        COMPILED, epochs=1, model=replace(TINY_RECIPE.model, settings={**TINY_MODEL, "dropout": 0.0})
    )
    torch.compiler.reset()
    compiled = table(tiny(drawn, tmp_path / "run", recipe=recipe).run)[0]
    plain = table(tiny(drawn, tmp_path / "plain", recipe=replace(recipe, compile=False)).run)[0]
    for name, value in plain.items():
        assert float(compiled[name]) == pytest.approx(float(value), rel=1e-3), name


def test_compiled_layers_may_still_be_replaced():
    """As Lightning does with batch norms on several GPUs, after the module is made."""
    like = Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    module = ClassifierModule(network(), COMPILED, like)
    assert not [name for name, _ in module.named_modules() if "_orig_mod" in name]
    converted = torch.nn.SyncBatchNorm.convert_sync_batchnorm(module)
    assert isinstance(converted.model.stem.norm, torch.nn.SyncBatchNorm)
