"""Lightweight image classifiers for PyTorch: build, count, fine-tune, predict.

The public names are loaded on first use, so `import lightcars` itself imports neither torch nor anything
that does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lightcars.version import __version__

if TYPE_CHECKING:
    from lightcars.benching.results import BenchResult
    from lightcars.benching.rows import Accuracy, BenchRow, published_accuracy
    from lightcars.benching.run import bench
    from lightcars.benching.settings import BenchSettings
    from lightcars.counters.flops import count_flops
    from lightcars.counters.params import count_params
    from lightcars.counters.profile import Profile, profile
    from lightcars.deploy.calibration import Calibration
    from lightcars.deploy.export import Exported, export
    from lightcars.deploy.export_plan import InputSize
    from lightcars.deploy.fuse import fuse
    from lightcars.deploy.measuring import Measurement, Measurements
    from lightcars.deploy.optimize import optimize
    from lightcars.deploy.optimized import OptimizedModel
    from lightcars.errors import LightcarsError
    from lightcars.evaluation.activation_map import activation_map
    from lightcars.evaluation.evaluate import Evaluation, evaluate
    from lightcars.evaluation.guesses import Prediction
    from lightcars.evaluation.predict import predict
    from lightcars.models.merging import reparameterize
    from lightcars.models.preprocessing import Preprocessing
    from lightcars.models.registry import list_models
    from lightcars.models.scaling import compound_scale
    from lightcars.models.transforms import transforms_for
    from lightcars.recipes.recipe import Recipe
    from lightcars.reports import report
    from lightcars.sharing import Training, from_pretrained, push_to_hub, save_pretrained
    from lightcars.training.finetune import finetune
    from lightcars.training.result import FinetuneResult
    from lightcars.weights.catalog import WeightsEntry, list_weights
    from lightcars.weights.checkpoint import load, save
    from lightcars.weights.convert.export import state_dict_for
    from lightcars.zoo import create_model, efficientnet, ghostnet

_MODULES = {
    "Accuracy": "benching.rows",
    "BenchResult": "benching.results",
    "BenchRow": "benching.rows",
    "BenchSettings": "benching.settings",
    "Calibration": "deploy.calibration",
    "Evaluation": "evaluation.evaluate",
    "Exported": "deploy.export",
    "FinetuneResult": "training.result",
    "InputSize": "deploy.export_plan",
    "LightcarsError": "errors",
    "Measurement": "deploy.measuring",
    "Measurements": "deploy.measuring",
    "OptimizedModel": "deploy.optimized",
    "Prediction": "evaluation.guesses",
    "Preprocessing": "models.preprocessing",
    "Profile": "counters.profile",
    "Recipe": "recipes.recipe",
    "Training": "sharing",
    "WeightsEntry": "weights.catalog",
    "activation_map": "evaluation.activation_map",
    "bench": "benching.run",
    "compound_scale": "models.scaling",
    "count_flops": "counters.flops",
    "count_params": "counters.params",
    "create_model": "zoo",
    "efficientnet": "zoo",
    "evaluate": "evaluation.evaluate",
    "export": "deploy.export",
    "finetune": "training.finetune",
    "from_pretrained": "sharing",
    "fuse": "deploy.fuse",
    "ghostnet": "zoo",
    "list_models": "models.registry",
    "list_weights": "weights.catalog",
    "load": "weights.checkpoint",
    "optimize": "deploy.optimize",
    "predict": "evaluation.predict",
    "profile": "counters.profile",
    "published_accuracy": "benching.rows",
    "push_to_hub": "sharing",
    "reparameterize": "models.merging",
    "report": "reports",
    "save": "weights.checkpoint",
    "save_pretrained": "sharing",
    "state_dict_for": "weights.convert.export",
    "transforms_for": "models.transforms",
}

__all__ = [
    "Accuracy",
    "BenchResult",
    "BenchRow",
    "BenchSettings",
    "Calibration",
    "Evaluation",
    "Exported",
    "FinetuneResult",
    "InputSize",
    "LightcarsError",
    "Measurement",
    "Measurements",
    "OptimizedModel",
    "Prediction",
    "Preprocessing",
    "Profile",
    "Recipe",
    "Training",
    "WeightsEntry",
    "__version__",
    "activation_map",
    "bench",
    "compound_scale",
    "count_flops",
    "count_params",
    "create_model",
    "efficientnet",
    "evaluate",
    "export",
    "finetune",
    "from_pretrained",
    "fuse",
    "ghostnet",
    "list_models",
    "list_weights",
    "load",
    "optimize",
    "predict",
    "profile",
    "published_accuracy",
    "push_to_hub",
    "reparameterize",
    "report",
    "save",
    "save_pretrained",
    "state_dict_for",
    "transforms_for",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'lightcars' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"lightcars.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
