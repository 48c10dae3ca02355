"""Lightning's checkpoints, written whole, with a checksum, and with the one before kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, final

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lightcars.files import replacing
from lightcars.runs.state import HashingWriter, keep_previous, note_digest


@final
class AtomicCheckpoints(TorchCheckpointIO):
    """Writes each checkpoint beside the one that it replaces, which stays as `previous.ckpt`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the checkpoint, whole or not at all.

        Raises:
            RunError: the folder cannot be written to, or the disk is full.
        """
        assert storage_options is None
        target = Path(path)
        with replacing(target) as temporary:
            with temporary.open("wb") as file:
                writer = HashingWriter(file)
                _save(checkpoint, writer)
            note_digest(target, writer.digest)
            keep_previous(target)


def _save(checkpoint: dict[str, Any], writer: HashingWriter) -> None:
    """Call `torch.save`; where the disk is full, its RuntimeError hides the OSError."""
    try:
        torch.save(checkpoint, cast(Any, writer))
    except RuntimeError as error:
        if writer.problem is None:
            raise
        raise writer.problem from error
