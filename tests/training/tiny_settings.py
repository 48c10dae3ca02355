"""A model of four blocks and a recipe of three epochs: runs that take a second."""

from lightcars.models.ghost_config import GhostBlock
from lightcars.recipes.recipe import ModelRecipe, Recipe, ScheduleRecipe

TINY_BLOCKS = tuple(
    GhostBlock(kernel_size=3, hidden_channels=16, channels=16, squeeze=squeeze, stride=2)
    for squeeze in (False, True, False, False)
)
TINY_MODEL = {"blocks": TINY_BLOCKS, "out_channels": 16}
TINY_RECIPE = Recipe(
    model=ModelRecipe(name="ghostnet_050", settings=TINY_MODEL),
    epochs=3,
    resolution=32,
    batch_size=8,
    schedule=ScheduleRecipe(warmup_epochs=0.5),
    patience=None,
    precision="32-true",  # measured, it might be another one in the next run
    memory_format="channels_last",
)
