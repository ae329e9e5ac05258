"""Mixed precision on CPUs that have no instructions for it."""

import torch
from lightning.pytorch.accelerators import CPUAccelerator

MIXED = ("bf16-mixed", "16-mixed", "bf16", "16", 16)
"""Precisions of Lightning that compute in bf16 on a CPU; the short ones are its other names for the first two."""
WHY = (
    "this CPU has no instructions for bf16 (AVX-512 or AMX), and PyTorch's replacement for them makes convolutions "
    "about ten times slower"
)


def emulates_bf16() -> bool:
    """Returns whether PyTorch computes in bf16 on this CPU without instructions for it, much slower than in float32."""
    return not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def slow_on_this_cpu(precision: object, accelerator: object) -> bool:
    """Returns whether a precision is a mixed one that this machine's CPU emulates.

    Args:
        precision: As of Lightning's trainer.
        accelerator: As of Lightning's trainer; `auto` is the CPU where PyTorch finds nothing else.
    """
    is_cpu = accelerator == "cpu" or isinstance(accelerator, CPUAccelerator)
    if accelerator == "auto":
        is_cpu = not torch.accelerator.is_available()
    return precision in MIXED and is_cpu and emulates_bf16()
