"""Collecting tensors from all processes of a distributed run."""

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors


def process_count() -> int:
    """Returns the number of processes; 1 if the run is not distributed."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if distributed else 1


def from_all_processes(values: Tensor) -> list[Tensor]:
    """Returns the tensors of all processes, whose sizes may differ. A collective call: every process must make it."""
    return gather_all_tensors(values) if process_count() > 1 else [values]


def mean_over_processes(values: Tensor) -> Tensor:
    """Returns the mean of a tensor over all processes, by one `all_reduce`; every process must call it."""
    if (count := process_count()) == 1:
        return values
    total = values.clone()
    torch.distributed.all_reduce(total)
    return total / count


def rows_of_all_processes(values: Tensor, index: Tensor, capacity: int) -> tuple[Tensor, Tensor]:
    """Gathers rows by one `all_gather`, without waiting for the device; every process must call it.

    Args:
        values: `[B, K]`; B may differ between processes.
        index: int64 `[B]`.
        capacity: Rows that each process contributes, at least B and the same everywhere; unused ones get the index -1
            and values of 0.

    Returns:
        Values `[capacity · processes, K]` and index `[capacity · processes]`.
    """
    packed = torch.cat([part.contiguous().view(torch.uint8) for part in (values, index[:, None])], dim=1)
    padded = torch.nn.functional.pad(packed, (0, 0, 0, capacity - len(packed)), value=255)  # an int64 of -1
    gathered = padded.new_empty(torch.distributed.get_world_size() * capacity, padded.shape[1])
    torch.distributed.all_gather_into_tensor(gathered, padded)
    width = gathered.shape[1] - index.element_size()
    rows = gathered[:, width:].contiguous().view(torch.int64)[:, 0]
    numbers = gathered[:, :width].contiguous().view(values.dtype)
    return torch.where(rows[:, None] >= 0, numbers, 0), rows


def largest_of_all_processes(number: int, device: torch.device) -> int:
    """Returns the largest of the numbers of all processes; every process must call it, and waits for the device."""
    largest = torch.tensor(number, device=device)
    torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX)
    return int(largest)


def gather_cpu_tensors(values: Tensor, group: torch.distributed.ProcessGroup | None = None) -> list[Tensor]:
    """Gathers CPU tensors for a torchmetrics metric; NCCL, which only transfers GPU tensors, gets copies."""
    nccl = torch.distributed.get_backend(group) == "nccl"
    device = torch.device("cuda", torch.cuda.current_device()) if nccl else values.device
    return [gathered.to(values.device) for gathered in gather_all_tensors(values.to(device), group)]
