"""The CPU of this machine: its name and the precisions it supports; names of devices. No torch at import."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Names in /proc/cpuinfo; "bf16" is ARM's."""


@cache
def cpu_name() -> str:
    """Return the CPU's model, core count and feature flags; part of the key of cached engines."""
    fields = _cpuinfo()
    name = fields.get("model name") or platform.processor() or platform.machine()
    flags = " ".join(sorted(_flags(fields)))
    return f"{platform.system()} {platform.machine()}, {name}, {os.cpu_count()} cores: {flags}"


def device_name(device: torch.device) -> str:
    """Return the name of a device for people: "NVIDIA H200", or that of the CPU with the threads of torch."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type != "cpu":
        return device.type.upper()
    name = _cpuinfo().get("model name") or platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    return f"CPU, {name}, {threads} thread{'' if threads == 1 else 's'}"


@cache
def has_bf16() -> bool:
    """Return whether the CPU has native bfloat16 arithmetic; emulated, it is slower than float32."""
    if fields := _cpuinfo():
        return not _BF16_FLAGS.isdisjoint(_flags(fields))
    import torch

    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(known is not None and known())


def computes_bf16(device: torch.device) -> bool:
    """Return whether a device has native bfloat16 arithmetic; False for MPS."""
    if device.type == "cuda":
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and has_bf16()


def _flags(fields: dict[str, str]) -> set[str]:
    return set((fields.get("flags") or fields.get("Features") or "").split())


def _cpuinfo() -> dict[str, str]:
    """Return the fields of the first core on Linux, an empty dict elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n", 1)[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
