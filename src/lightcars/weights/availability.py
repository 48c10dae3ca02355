"""Which published weights are on this machine already, so that nothing has to be downloaded."""

from __future__ import annotations

from collections.abc import Sequence

from lightcars.weights.download import cached_path
from lightcars.weights.entry import WeightsEntry
from lightcars.weights.hub import WEIGHTS_FILES, is_cached
from lightcars.weights.installed import installed_path


def is_available(entry: WeightsEntry) -> bool:
    """Return whether the weights ship with lightcars, are in an installed package, or in a download cache."""
    if entry.packaged is not None:
        return True
    if entry.package is not None and entry.file is not None:
        return installed_path(entry.package, entry.file) is not None
    if entry.hub_id is not None:
        return is_cached(entry.hub_id, WEIGHTS_FILES[0], revision=entry.revision)
    return entry.url is not None and cached_path(entry.url) is not None


def preferred(candidates: Sequence[WeightsEntry]) -> WeightsEntry:
    """Return the first entry that needs no download; where all need one, the first."""
    return next((entry for entry in candidates if is_available(entry)), candidates[0])
