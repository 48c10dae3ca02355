"""Training on several devices, besides what Lightning's DDP does."""

from __future__ import annotations

import logging
import signal
from typing import Any

import lightning as L
import torch
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lightning.pytorch.strategies import DDPStrategy, Strategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch import nn

from lightcars.errors import RunError
from lightcars.recipes.recipe import Recipe

_LOST = ("Connection closed by peer", "Connection reset by peer", "Connection refused", "NCCL", "Timed out")
"""Parts of torch's messages when another process of the group is gone."""


def strategy_for(recipe: Recipe) -> Strategy | str:
    """Return DDP for several devices. Batch norms use their own device's images until `share_buffers`."""
    if recipe.devices * recipe.num_nodes == 1:
        return "auto"
    watch = logging.getLogger(_ChildProcessObserver.__module__)
    watch.setLevel(logging.INFO)
    watch.addFilter(last_words)
    return DDPStrategy(
        forward_sync_buffers=False,  # else the first device's statistics replace the others' in each step
    )


def rebuild_ddp(strategy: Strategy) -> None:
    """Rebuild DDP, which waits for the gradients of the parameters that were trainable when it was built."""
    if isinstance(strategy, DDPStrategy):
        strategy.model = strategy.lightning_module
        strategy.configure_ddp()


def last_words(record: logging.LogRecord) -> bool:
    """Rewrite Lightning's message that a process is gone, before it kills this one too.

    An exception is too late: this process may be in a call that waits for the other one.
    """
    record.msg, record.args = f"error: {_gone(record.getMessage().partition('. ')[0])}", ()
    return True


def _gone(reason: str) -> str:
    return f"the run stopped: another of its processes died ({reason}); --resume continues."


def can_share_batch_norms(recipe: Recipe) -> bool:
    """Tell whether there are several GPUs; torch's SyncBatchNorm does not support CPUs."""
    on_gpu = recipe.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return on_gpu and recipe.devices * recipe.num_nodes > 1


def share_buffers(module: nn.Module, strategy: Strategy) -> None:
    """Give the batch norms of all devices the mean of their statistics.

    The first device's are saved, so every device validates what is saved.
    """
    buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
    together = torch.cat([buffer.flatten() for buffer in buffers])
    mean = strategy.reduce(together, reduce_op="mean")
    for buffer, values in zip(buffers, mean.split([b.numel() for b in buffers]), strict=True):
        buffer.copy_(values.view_as(buffer))


def lost_process(trainer: L.Trainer, error: Exception) -> RunError | None:
    """Return an error if training failed because another process is gone, else None."""
    if trainer.world_size == 1 or not any(text in str(error) for text in _LOST):
        return None
    reason = str(error).strip().partition("\n")[0]
    return RunError(_gone(reason))


def end_others(trainer: L.Trainer) -> None:
    """End the processes that this one started, which would wait for it."""
    launcher: Any = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        launcher.kill(signal.SIGKILL)
        launcher.procs.clear()  # else Lightning, which watches them, would kill this one too
