"""Stand-ins for the packages wandb and mlflow: what Lightning's loggers ask of them, kept in lists."""

import sys
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import lightning.pytorch.loggers.mlflow as lightning_mlflow
import lightning.pytorch.loggers.wandb as lightning_wandb


def module(monkeypatch, name: str, **content) -> ModuleType:
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    vars(made).update(content)
    monkeypatch.setitem(sys.modules, name, made)
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, made)
    return made


@dataclass
class WandbRun:
    """What `wandb.init` gives."""

    settings: dict
    config: dict = field(default_factory=dict)
    logged: list = field(default_factory=list)
    exit_code: int | None = None

    @property
    def id(self) -> str:
        return self.settings["id"]

    @property
    def name(self) -> str:
        return self.settings["name"]

    def __post_init__(self) -> None:
        values = self.config
        self.config = SimpleNamespace(values=values, update=lambda new, **_: values.update(new))

    def log(self, figures) -> None:
        self.logged.append(figures)

    def define_metric(self, *_, **__) -> None:
        pass

    def finish(self, exit_code=None) -> None:
        self.exit_code = exit_code


def fake_wandb(monkeypatch) -> list[WandbRun]:
    """Puts the stand-in in place; the runs that are begun or gone on with."""
    runs = []

    def init(**settings) -> WandbRun:
        runs.append(WandbRun(settings))
        return runs[-1]

    module(monkeypatch, "wandb", run=None, init=init)
    module(monkeypatch, "wandb.sdk")
    module(monkeypatch, "wandb.sdk.lib", RunDisabled=WandbRun)
    module(monkeypatch, "wandb.wandb_run", Run=WandbRun)
    monkeypatch.setattr(lightning_wandb, "_WANDB_AVAILABLE", True)
    return runs


class MlflowServer:
    """A tracking server: what `MlflowClient` tells it."""

    def __init__(self) -> None:
        self.experiments = {}
        self.runs = {}

    def __call__(self, _uri) -> "MlflowServer":
        return self

    def get_experiment_by_name(self, name):
        return self.experiments.get(name)

    def create_experiment(self, name, artifact_location):
        self.experiments[name] = SimpleNamespace(experiment_id=name, lifecycle_stage="active")
        return name

    def create_run(self, experiment_id, tags):
        run_id = f"run{len(self.runs)}"
        info = SimpleNamespace(run_id=run_id, experiment_id=experiment_id)
        self.runs[run_id] = SimpleNamespace(info=info, tags=tags, params={}, metrics=[], status=["RUNNING"])
        return self.runs[run_id]

    def get_run(self, run_id):
        return self.runs[run_id]

    def log_batch(self, run_id, params=(), metrics=()):
        run = self.runs[run_id]
        for param in params:
            assert run.params.setdefault(param.key, param.value) == param.value, "a parameter cannot change"
        run.metrics += metrics

    def update_run(self, run_id, status):
        self.runs[run_id].status.append(status)

    def set_terminated(self, run_id, status):
        self.runs[run_id].status.append(status)


def fake_mlflow(monkeypatch) -> MlflowServer:
    """Puts the stand-in in place; the server that it talks to."""
    server = MlflowServer()
    module(monkeypatch, "mlflow", get_tracking_uri=lambda: "http://here", set_tracking_uri=lambda _: None)
    module(monkeypatch, "mlflow.tracking", MlflowClient=server)
    module(monkeypatch, "mlflow.tracking.context", resolve_tags=lambda tags: tags)
    module(monkeypatch, "mlflow.entities", Param=SimpleNamespace, Metric=SimpleNamespace)
    module(monkeypatch, "mlflow.utils")
    module(monkeypatch, "mlflow.utils.mlflow_tags", MLFLOW_RUN_NAME="mlflow.runName")
    monkeypatch.setattr(lightning_mlflow, "_MLFLOW_AVAILABLE", True)
    return server
