import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors


def from_all_processes(values: Tensor) -> list[Tensor]:
    """Returns the tensors of all processes, which may differ in size; every process has to call it."""
    shared = torch.distributed.is_available() and torch.distributed.is_initialized()
    return gather_all_tensors(values) if shared else [values]
