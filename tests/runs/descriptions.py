"""Descriptions of runs that nobody has trained."""

from pathlib import Path

from lightcars.models.ghostnet.config import GhostNetConfig
from lightcars.recipes.recipe import Recipe
from lightcars.runs.description import DataDescription, ModelDescription, RunDescription

OLD_FILE = Path(__file__).parent / "data" / "run_0.1.0.json"
"""As lightcars 0.1.0 wrote it, before there was a `format`."""


def description_of(recipe: Recipe, root: str = "/data/cars", **fields) -> RunDescription:
    """Describe a run with this recipe; everything else is arbitrary."""
    data = DataDescription(
        root=Path(root), layout="class folders", num_classes=8, num_images={"train": 48, "val": 24}
    )
    model = ModelDescription(name="ghostnet_100", config=GhostNetConfig(num_classes=8))
    return RunDescription(model=model, recipe=recipe, data=data, **fields)
