"""Every exception that the library raises on purpose.

Each derives from `LightcarsError`, so that one `except` catches them all, and from the built-in that
says the same, so that code which knows nothing of this library handles them too. The message is one
line that says what to do. No torch here.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LightcarsError(Exception):
    """Base of every error that the user can mend. The command line prints it and exits with 2."""


class ConfigError(LightcarsError, ValueError):
    """A model or training setting that cannot be."""


class UnknownModelError(LightcarsError, ValueError):
    """No registered model has that name."""


class UnknownWeightsError(LightcarsError, ValueError):
    """No published weights have that name, and no file or folder has that path."""


class DownloadError(LightcarsError, OSError):
    """A file that could not be fetched, or that is not what its source says."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class HubFileMissingError(DownloadError):
    """A repository on the Hub is there, the file in it is not."""


class InputError(LightcarsError, ValueError):
    """A tensor, an image or an input size that the model cannot take."""


class CheckpointError(LightcarsError, ValueError):
    """A checkpoint that is missing, broken, or of another model."""


class DataError(LightcarsError, ValueError):
    """A data folder, an annotation file or a photograph that cannot be used."""


class MissingVariableError(DataError):
    """A .mat file does not have a variable."""


class RunError(LightcarsError, RuntimeError):
    """A run folder that cannot be written to, resumed or read."""


class NonFiniteLossError(LightcarsError, ArithmeticError):
    """The training loss became infinite or not a number."""


class DeviceError(LightcarsError, RuntimeError):
    """A device that this machine does not have."""


class MissingExtraError(LightcarsError, ImportError):
    """A package of an optional extra is not installed."""


class FusionError(LightcarsError, RuntimeError):
    """A model that cannot be fused, or something that a fused model cannot do."""


class ExportError(LightcarsError, RuntimeError):
    """A model that an engine does not take, or that answers otherwise there."""


class OptimizationError(LightcarsError, RuntimeError):
    """A model that no engine runs as it should on this machine, or a precision that this does not have."""


class CountingError(LightcarsError, RuntimeError):
    """The operations of a model cannot be counted."""


class CountingWarning(UserWarning):
    """An operator of the model may multiply, but has no count."""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """The hint for a misspelt word, " Did you mean ...?", or nothing if no known word is near."""
    near = get_close_matches(str(word), list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""
