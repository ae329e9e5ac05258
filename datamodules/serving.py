"""How a datamodule serves the samples of its parts: loaders for the trainer, and batches for calibrations."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader, DistributedSampler, Subset

from litzoo.datamodules.batch import Batch
from litzoo.datamodules.dataset import IndexedDataset
from litzoo.datamodules.loaders import make_loader, processes_of, smallest_batch
from litzoo.datamodules.samplers import EpochBatches, EvaluationBatches
from litzoo.datamodules.splits.folds import Fold


class ServedBatches(LightningDataModule):
    """Serves the data sets of a datamodule as whole batches, each sample once, also in several processes.

    Attributes:
        train_set: The training set, as read; likewise `val_set`, `calibration_set`, `unlabeled_set` and `test_set`.
        new_set: Samples to predict instead of the test set, if there are any.
    """

    batch_size: int
    eval_batch_size: int
    val_size: int | float | Fold
    drop_last: bool
    num_workers: int
    seed: int

    def __init__(self) -> None:
        super().__init__()
        self.train_set: IndexedDataset | None = None
        self.val_set: IndexedDataset | None = None
        self.calibration_set: IndexedDataset | None = None
        self.unlabeled_set: IndexedDataset | None = None
        self.test_set: IndexedDataset | None = None
        self.new_set: IndexedDataset | None = None

    @property
    def validates(self) -> bool:
        """Whether there is a validation set."""
        return self.val_size != 0

    def train_dataloader(self) -> Any:
        """Serves the training set, in an order that depends on the seed and the epoch only.

        Raises:
            ValueError: If there are fewer samples than processes, or `drop_last` would drop every batch.
        """
        assert self.train_set is not None
        if len(self.train_set) < self.batch_size:
            rank_zero_info(
                f"data.batch_size {self.batch_size} is larger than the training set of {len(self.train_set)} samples: "
                "an epoch is one step; lower it for more"
            )
        if getattr(self.trainer, "overfit_batches", 0):
            return self._loader(self.overfitted(self.train_set), self.batch_size)
        return self._loader(self.train_set, None, sampler=self.train_batches())

    def overfitted(self, dataset: Any) -> Any:
        """Returns a data set in a random order that stays the same, so that `overfit_batches` trains on mixed batches.

        Lightning replaces samplers that shuffle; in the order of the data a batch may be of one class.
        """
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(self.seed))
        return Subset(dataset, order.tolist())

    def train_batches(self) -> EpochBatches:
        """Returns the sampler of training batches."""
        assert self.train_set is not None
        return EpochBatches(len(self.train_set), self.batch_size, self.drop_last, **self._training_options())

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Serves the validation set in order, or nothing if `val_size` is 0."""
        assert self.val_set is not None
        return self._evaluation_loader(self.val_set) if self.validates else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Serves the whole test set in order."""
        assert self.test_set is not None
        return self._evaluation_loader(self.test_set)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Serves `new_set`, else the test set, in order; samples are repeated until all ranks have equally many.

        With Lightning's own sampler a rank may get one sample fewer, or none if there are fewer samples than ranks; a
        rank without samples skips prediction, and the others wait for it.
        """
        dataset = self.test_set if self.new_set is None else self.new_set
        assert dataset is not None
        return self._loader(dataset, self.eval_batch_size, sampler=self._evaluation_sampler(dataset))

    def evaluation_batches(
        self, part: Literal["train", "val", "calibration", "unlabeled"], device: torch.device
    ) -> Iterator[Any]:
        """Yields this rank's samples of a part once, in order, without augmentation, as evaluation does.

        All ranks get equally many samples; the first ones may be repeated. Unlabeled samples have `input` and `index`
        only: `clean_target` must not become a label.

        Args:
            part: Part of the split.
            device: Device of the batches.

        Raises:
            ValueError: If there is no such part.
        """
        dataset = self._part(part)
        positions = list(self._evaluation_sampler(dataset))
        for start in range(0, len(positions), self.eval_batch_size):
            batch: Any = dataset.__getitems__(positions[start : start + self.eval_batch_size])
            columns = ("input", "index") if part == "unlabeled" else tuple(batch)
            yield self.as_evaluated({name: move_data_to_device(batch[name], device) for name in columns})

    def as_evaluated(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Prepares a batch on its device as for evaluation."""
        return batch

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Moves a batch to the device; on the CPU this skips Lightning's recursive search for tensors."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def _part(self, part: str) -> IndexedDataset:
        sets = {"train": self.train_set, "val": self.val_set, "unlabeled": self.unlabeled_set}
        sets["calibration"] = self.calibration_set
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

    def _processes(self) -> dict[str, Any]:
        return processes_of(self.trainer)

    def _training_options(self) -> dict[str, Any]:
        """Returns the arguments of `EpochBatches` that depend on the processes and on the module that is trained."""
        return {**self._processes(), "least": smallest_batch(getattr(self.trainer, "lightning_module", None))}

    def _evaluation_sampler(self, dataset: IndexedDataset) -> DistributedSampler[Any]:
        return DistributedSampler(dataset, shuffle=False, **self._processes())

    def _evaluation_loader(self, dataset: IndexedDataset) -> DataLoader[Batch]:
        """Returns a loader of batches in order, in which no sample is repeated on another rank."""
        if not len(dataset):
            return self._loader(dataset, self.eval_batch_size)
        return self._loader(
            dataset, None, sampler=EvaluationBatches(len(dataset), self.eval_batch_size, **self._processes())
        )

    def _loader(self, dataset: IndexedDataset, batch_size: int | None, **options: Any) -> DataLoader[Batch]:
        return make_loader(dataset, batch_size, self.num_workers, self.seed, self.trainer, **options)
