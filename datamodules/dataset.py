from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.batch import Batch

T = TypeVar("T")


class InMemoryDataset(Dataset[Batch]):
    """Chosen rows of tensors in memory; a whole batch costs one index operation instead of one call per sample.

    Args:
        inputs: All inputs `[N, ...]`, of any dtype. They are shared, not copied.
        targets: All targets `[N]`.
        indices: Which rows belong to this part, int64 `[n]`; all of them when left out.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, indices: Tensor | None = None) -> None:
        self.inputs = inputs
        self.targets = targets
        self.indices = torch.arange(len(targets)) if indices is None else indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Batch:
        index = self.indices[position]
        return {"input": self.inputs[index], "target": self.targets[index], "index": index}

    def __getitems__(self, positions: list[int]) -> Batch:
        """Returns the whole batch at once; `torch.utils.data.DataLoader` calls this when it exists."""
        # `index_select` copies whole rows: five to ten times as fast as `inputs[index]`.
        index = self.indices.index_select(0, torch.tensor(positions))
        return {
            "input": self.inputs.index_select(0, index),
            "target": self.targets.index_select(0, index),
            "index": index,
        }


def identity(batch: T) -> T:
    """Collates nothing: `InMemoryDataset` already serves whole batches."""
    return batch
