"""A teacher beside the model: its part of the loss, what it may be, and runs that learn from it."""

from dataclasses import replace

import pytest
import torch

from lightcars import finetune, ghostnet, save
from lightcars.errors import CheckpointError, ConfigError
from lightcars.models.preprocessing import Preprocessing
from lightcars.recipes.files import parse_recipe, recipe_from
from lightcars.recipes.recipe import AugmentRecipe, DistillationRecipe, ModelRecipe, OptimizerRecipe, Recipe
from lightcars.training import trainer as training
from lightcars.training.distillation import Teacher, load_teacher
from lightcars.training.job import new_job
from tests.training.tiny_settings import TINY_MODEL, TINY_RECIPE

HALF = Preprocessing(resolution=32, mean=(0.5,) * 3, std=(0.5,) * 3)
NAMES = ("a", "b", "c", "d")


def tiny_model(**settings):
    torch.manual_seed(1)
    return ghostnet(**{**TINY_MODEL, "num_classes": 4, **settings})


@pytest.fixture
def images():
    return torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


# The loss


@pytest.mark.parametrize(("weight", "temperature"), [(0.5, 2.0), (0.25, 1.0), (1.0, 4.0)])
def test_the_loss_is_hintons(images, weight, temperature):
    model = tiny_model()
    recipe = DistillationRecipe(teacher="", weight=weight, temperature=temperature)
    logits = torch.randn(6, 4, requires_grad=True)
    teachers = (model.eval()(images) / temperature).softmax(1)
    ours = (logits / temperature).softmax(1)
    divergence = (teachers * (teachers / ours).log()).sum(1).mean()
    expected = (1 - weight) * 3.0 + weight * temperature**2 * divergence
    found = Teacher(model, recipe, HALF).loss(images, logits, torch.tensor(3.0))
    torch.testing.assert_close(found, expected)
    found.backward()
    assert logits.grad.abs().max() > 0


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn_from_it(images):
    model = tiny_model()
    teacher = Teacher(model, DistillationRecipe(teacher="", weight=1.0), HALF)
    assert teacher.loss(images, model(images), torch.tensor(5.0)).item() == pytest.approx(0, abs=1e-6)


def test_a_teacher_is_at_rest(images):
    """No dropout, no gradients, no new statistics."""
    model = tiny_model(dropout=0.5).train()
    teacher = Teacher(model, DistillationRecipe(teacher=""), HALF)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = teacher.logits(images), teacher.logits(images)
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_teacher_sees_images_as_it_was_trained_on_them(images):
    model = tiny_model()
    model.preprocessing = Preprocessing(resolution=32, mean=(0.1, 0.2, 0.3), std=(0.2, 0.3, 0.4))
    plain = images * 0.5 + 0.5
    own = model.preprocessing
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (own.mean, own.std))
    found = Teacher(model, DistillationRecipe(teacher=""), HALF).logits(images)
    torch.testing.assert_close(found, model.eval()((plain - mean) / std), rtol=1e-4, atol=1e-5)


# What it may be


@pytest.mark.parametrize(
    ("settings", "classes", "message"),
    [
        ({}, (*NAMES, "e"), "has 4 classes, the data 5"),
        ({}, ("a", "x", "c", "d"), r"other classes than the data \(b in place of x\)"),
        ({"img_channels": 1}, NAMES, "takes 1 channels, the student 3"),
    ],
)
def test_a_teacher_of_something_else_is_one_line(tmp_path, settings, classes, message):
    save(tiny_model(**settings), tmp_path / "teacher", classes=NAMES)
    with pytest.raises(ConfigError, match=message) as caught:
        load_teacher(DistillationRecipe(teacher=str(tmp_path / "teacher")), classes, 3)
    assert "\n" not in str(caught.value)


def test_a_teacher_without_class_names_or_none_at_all_is_refused(tmp_path):
    save(tiny_model(), tmp_path / "teacher")
    with pytest.raises(ConfigError, match="has no class names; save it with classes="):
        load_teacher(DistillationRecipe(teacher=str(tmp_path / "teacher")), NAMES, 3)
    with pytest.raises(CheckpointError, match="there is no run or checkpoint folder"):
        load_teacher(DistillationRecipe(teacher=str(tmp_path / "none")), NAMES, 3)


def test_it_is_refused_before_anything_is_written(drawn, tiny, tmp_path):
    save(tiny_model(), tmp_path / "teacher", classes=NAMES)
    recipe = replace(TINY_RECIPE, distillation=DistillationRecipe(teacher=str(tmp_path / "teacher")))
    with pytest.raises(ConfigError, match="has 4 classes, the data 8"):
        tiny(drawn, tmp_path / "run", recipe=recipe)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("distillation: {weight: 0.5}", "line 1: distillation.teacher: it is missing"),
        ("distillation:\n  teacher: a\n  weight: 1.5", "line 3: distillation.weight: weight must be"),
        ("distillation:\n  teacher: a\n  weight: 0", "line 3: distillation.weight: weight must be"),
        ("distillation:\n  teacher: a\n  temperature: 0", "line 3: distillation.temperature: temperature"),
        ("distillation:\n  techer: a", "line 2: distillation.techer: there is no such setting. Did you mean"),
    ],
)
def test_a_mistake_names_its_line(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_recipe(text, "here")
    assert message in str(caught.value)


def test_it_is_plain_data():
    recipe = parse_recipe("{}", "here", ["distillation.teacher=runs/first", "distillation.weight=0.3"])
    assert recipe.distillation == DistillationRecipe(teacher="runs/first", weight=0.3, temperature=2.0)
    assert recipe_from(recipe.to_dict(), "here") == recipe
    assert Recipe().distillation is None


# Runs


def taught(finished, **settings) -> Recipe:
    return replace(
        TINY_RECIPE,
        epochs=2,
        distillation=DistillationRecipe(teacher=str(finished.run), weight=1.0, **settings),
        optimizer=OptimizerRecipe(lr=0.01),
    )


def test_a_stopped_run_goes_on_with_its_teacher_which_no_checkpoint_has(
    finished, tiny, tmp_path, monkeypatch, table, same_weights
):
    seen, step = [], training.ClassifierModule.training_step
    mixed = AugmentRecipe(batches=({"MixUp": {}},))
    recipe = replace(taught(finished), augment=mixed, ema_decay=0.9)
    logits, eager = Teacher.logits, training.ClassifierModule._eager_logits
    monkeypatch.setattr(Teacher, "logits", lambda self, x: seen.append(("teacher", x)) or logits(self, x))
    monkeypatch.setattr(
        training.ClassifierModule,
        "_eager_logits",
        lambda self, x: seen.append(("model", x)) or eager(self, x),
    )
    whole = tiny(finished.data, tmp_path / "whole", recipe=recipe)
    assert [who for who, _ in seen[:4]] == ["model", "teacher"] * 2
    assert all(torch.equal(seen[i][1], seen[i + 1][1]) for i in range(0, len(seen), 2))

    def stop(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (1, 3):
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(training.ClassifierModule, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            tiny(finished.data, tmp_path / "run", recipe=recipe)
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]
    assert {name.partition(".")[0] for name in state} == {"model", "average"}
    result = finetune(finished.data, out=tmp_path / "run", resume=True)
    assert table(tmp_path / "run") == table(tmp_path / "whole")
    assert same_weights(result.model, whole.model)


def test_a_model_comes_to_answer_as_its_teacher(finished, images):
    """Twenty steps on the same images: nearer to the teacher's answers."""
    job = new_job(finished.data, None, taught(finished), finished.run.parent / "never")
    module = training.ClassifierModule(job.network, job.recipe, job.preprocessing, job.teacher)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        loss = module.teacher.loss(images, module.model(images), torch.tensor(0.0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert len(list(module.parameters())) == len(list(module.model.parameters()))


def test_a_run_that_is_done_needs_its_teacher_no_more(finished, tiny, tmp_path):
    teacher = tmp_path / "teacher"
    teacher.symlink_to(finished.run)
    recipe = replace(
        TINY_RECIPE,
        epochs=1,
        model=ModelRecipe(name="ghostnet_050", settings=TINY_MODEL),
        distillation=DistillationRecipe(teacher=str(teacher)),
    )
    first = tiny(finished.data, tmp_path / "run", recipe=recipe)
    teacher.unlink()
    assert finetune(finished.data, out=tmp_path / "run", resume=True).metrics == first.metrics
