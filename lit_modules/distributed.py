"""Collecting tensors from all processes of a distributed run."""

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors


def from_all_processes(values: Tensor) -> list[Tensor]:
    """Returns the tensors of all processes, whose sizes may differ. A collective call: every process must make it."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return gather_all_tensors(values) if distributed else [values]


def mean_over_processes(values: Tensor) -> Tensor:
    """Returns the mean of a tensor over all processes, by one `all_reduce`; every process must call it."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return values
    total = values.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def gather_cpu_tensors(values: Tensor, group: torch.distributed.ProcessGroup | None = None) -> list[Tensor]:
    """Gathers CPU tensors for a torchmetrics metric; NCCL, which only transfers GPU tensors, gets copies."""
    nccl = torch.distributed.get_backend(group) == "nccl"
    device = torch.device("cuda", torch.cuda.current_device()) if nccl else values.device
    return [gathered.to(values.device) for gathered in gather_all_tensors(values.to(device), group)]
