"""What several devices share, besides what Lightning's DDP does."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lightning.pytorch.strategies import DDPStrategy, Strategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch import nn

from lightcars.errors import RunError
from lightcars.recipes.recipe import Recipe

if TYPE_CHECKING:
    pass

_LOST = ("Connection closed by peer", "Connection reset by peer", "Connection refused", "NCCL", "Timed out")
"""What torch says when another process of the group has gone."""


def strategy_for(recipe: Recipe) -> Strategy | str:
    """DDP on several devices. Batch norms follow their own device's photographs until `share_buffers`."""
    if recipe.devices * recipe.num_nodes == 1:
        return "auto"
    watch = logging.getLogger(_ChildProcessObserver.__module__)
    watch.setLevel(logging.INFO)
    watch.addFilter(last_words)
    return DDPStrategy(
        forward_sync_buffers=False,  # else the first device's statistics replace the others' in each step
    )


def share_gradients_anew(strategy: Strategy) -> None:
    """DDP waits for the gradients of what was to be trained when it was made; that has changed."""
    if isinstance(strategy, DDPStrategy):
        strategy.model = strategy.lightning_module
        strategy.configure_ddp()


def last_words(record: logging.LogRecord) -> bool:
    """Has Lightning say in our words that a process is gone, before it kills this one too.

    An error cannot: this process may be in a call that waits for the other one.
    """
    record.msg, record.args = f"error: {_gone(record.getMessage().partition('. ')[0])}", ()
    return True


def _gone(reason: str) -> str:
    return f"the run stopped: another of its processes is gone ({reason}); --resume goes on."


def can_share_batch_norms(recipe: Recipe) -> bool:
    """Whether there are several GPUs; torch's SyncBatchNorm refuses tensors on processors."""
    on_gpu = recipe.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return on_gpu and recipe.devices * recipe.num_nodes > 1


def share_buffers(module: nn.Module, strategy: Strategy) -> None:
    """Gives the batch norms of all devices the mean of their statistics.

    The first device's are saved: so what is validated on every device is what is saved.
    """
    buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
    together = torch.cat([buffer.flatten() for buffer in buffers])
    mean = strategy.reduce(together, reduce_op="mean")
    for buffer, values in zip(buffers, mean.split([b.numel() for b in buffers]), strict=True):
        buffer.copy_(values.view_as(buffer))


def lost_process(trainer: L.Trainer, error: Exception) -> RunError | None:
    """What to say if training failed because another process is gone, else None."""
    if trainer.world_size == 1 or not any(text in str(error) for text in _LOST):
        return None
    reason = str(error).strip().partition("\n")[0]
    return RunError(_gone(reason))


def end_others(trainer: L.Trainer) -> None:
    """Ends the processes that this one started, which would wait for it."""
    launcher: Any = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        launcher.kill(signal.SIGKILL)
        launcher.procs.clear()  # else Lightning, which watches them, would kill this one too
