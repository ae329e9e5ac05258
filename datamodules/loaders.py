"""How datamodules serve data sets: loaders, the processes that share the samples, and parts in order."""

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from litzoo.datamodules.batch import Batch
from litzoo.datamodules.dataset import IndexedDataset, identity

if TYPE_CHECKING:
    from litzoo.datamodules.base import BaseDataModule


def require_counts(**counts: tuple[Any, int]) -> None:
    """Checks options that are counts: name -> value and least value.

    Raises:
        ValueError: If one is no integer, or too small.
    """
    for name, (value, least) in counts.items():
        if not isinstance(value, int) or value < least:
            problem = "too small" if isinstance(value, int) else "not an integer"
            raise ValueError(f"data.{name}: {value} is {problem}; give an integer of at least {least}")


def make_loader(
    dataset: Any, batch_size: int | None, num_workers: int, seed: int, trainer: Trainer | None, **options: Any
) -> DataLoader[Batch]:
    """Returns a loader of a data set that returns whole batches.

    Args:
        dataset: The data set.
        batch_size: Batch size; `None` if a sampler in the options makes the batches.
        num_workers: Worker processes.
        seed: Seed of what the loader draws.
        trainer: The trainer, which knows the device.
        **options: See `DataLoader`.
    """
    return DataLoader(
        dataset,
        batch_size=batch_size,
        collate_fn=identity,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        # Without its own generator a loader would advance the global one, which dropout and augmentation use.
        generator=torch.Generator().manual_seed(seed),
        pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
        **options,
    )


def processes_of(trainer: Trainer | None) -> dict[str, Any]:
    """Returns the number of processes and the rank of this one, as samplers take them."""
    if trainer is None:
        return {"num_replicas": 1, "rank": 0}
    return {"num_replicas": trainer.world_size, "rank": trainer.global_rank}


def smallest_batch(module: nn.Module | None) -> int:
    """Returns the samples that a training batch of a process needs: two if its batch norm is that of the process.

    A `SyncBatchNorm`, which normalises the batches of all processes together, is none of these classes.
    """
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return 2 if module is not None and any(isinstance(each, kinds) for each in module.modules()) else 1


def evenly_spread(samples: int, fraction: float) -> Tensor:
    """Returns a fraction of the samples, spread evenly over all, bool `[samples]`."""
    steps = (torch.arange(samples + 1, dtype=torch.float64) * fraction).floor()
    return steps[1:] > steps[:-1]


def part_of(data: "BaseDataModule", part: str) -> IndexedDataset:
    """Returns the data set of a part of the split.

    Raises:
        ValueError: If there is no such part.
    """
    sets = {"train": data.train_set, "val": data.val_set, "unlabeled": data.unlabeled_set}
    sets["calibration"] = data.calibration_set
    # An empty validation set yields nothing, an empty unlabeled pool is treated as absent, like in `Split.parts`.
    available = {
        name: rows for name, rows in sets.items() if rows is not None and (len(rows) or name in ("train", "val"))
    }
    if part not in available:
        raise ValueError(
            f"evaluation_batches: {part!r} is not one of the available parts ({', '.join(available) or 'none'}); "
            "setup('fit') reads them, and data.num_labeled makes an unlabeled part of data with classes"
        )
    return available[part]
