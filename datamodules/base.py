from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Literal

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from litzoo.datamodules.batch import Batch
from litzoo.datamodules.dataset import IndexedDataset, identity
from litzoo.datamodules.io.paths import data_root
from litzoo.datamodules.samplers import EpochBatches
from litzoo.datamodules.splits.record import SplitRecord


class BaseDataModule(SplitRecord):
    """Serves whole batches of a data set that is read once and split reproducibly.

    Subclasses read and split in `setup` and, if there is something to download, do so in `prepare_data`.

    Args:
        root: Folder of the data; left out, the environment variable `LITZOO_DATA_DIR`, else `data`.
        batch_size: Samples in a training batch (on each device).
        eval_batch_size: Samples in a validation, test or prediction batch.
        train_size: Training samples: a count, a fraction of what validation leaves, or all of it when left out.
        val_size: Validation samples, drawn from the training set before anything else: a count or a fraction; 0 turns
            validation off. The test set is never used for it.
        drop_last: Whether an incomplete last training batch is left out. Evaluation always sees every sample.
        num_workers: Processes that load batches; the data are in memory, so that 0 is usually fastest.
        seed: Of the split. It is not the seed of the training, so that runs with other seeds share their data.

    Raises:
        ValueError: If a size is impossible.

    Attributes:
        new_set: What is predicted instead of the test set, where that was asked for.
        files: The files of samples, by their positions, where samples are files: of the full training set (`train`),
            the test set (`test`) and `new_set` (`predict`).
    """

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        train_size: int | float | None = None,
        val_size: int | float = 0.1,
        drop_last: bool = False,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in [
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("num_workers", num_workers, 0),
            ("seed", seed, 0),
        ]:
            if not isinstance(value, int) or value < least:
                problem = "too small" if isinstance(value, int) else "no whole number"
                raise ValueError(f"data.{name}: {value} is {problem}; give a whole number of at least {least}")
        if seed >= 2**32:
            raise ValueError(f"data.seed: {seed} is too large; give a whole number below {2**32}")
        if not isinstance(val_size, (int, float)):
            raise ValueError(f"data.val_size: {val_size} is no size; give a count, a fraction in [0, 1], or 0 for none")
        self.root = data_root(root)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.train_size = train_size
        self.val_size = val_size
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.seed = seed
        self.train_set: IndexedDataset | None = None
        self.val_set: IndexedDataset | None = None
        self.unlabeled_set: IndexedDataset | None = None
        self.test_set: IndexedDataset | None = None
        self.new_set: IndexedDataset | None = None
        self.files: dict[str, list[str]] = {}

    @abstractmethod
    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; a second call finds everything there and does nothing."""

    @property
    def validates(self) -> bool:
        """Whether there is a validation set."""
        return self.val_size != 0

    def train_dataloader(self) -> Any:
        """Serves the training set, in an order that is a function of the seed and the epoch alone.

        Raises:
            ValueError: If there are fewer samples than processes, or `drop_last` would leave no batch.
        """
        assert self.train_set is not None
        if getattr(self.trainer, "overfit_batches", 0):
            return self._loader(self.train_set, self.batch_size)  # in order: the same few batches every epoch
        return self._loader(self.train_set, None, sampler=self.train_batches())

    def train_batches(self) -> EpochBatches:
        """Returns which samples make which batch."""
        assert self.train_set is not None
        return EpochBatches(len(self.train_set), self.batch_size, self.drop_last, **self._processes())

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Serves the validation set, or nothing where its size is 0."""
        assert self.val_set is not None
        return self._loader(self.val_set, self.eval_batch_size) if self.validates else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Serves the whole test set in order."""
        assert self.test_set is not None
        return self._loader(self.test_set, self.eval_batch_size)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Serves the whole test set, or `new_set`, in order; several processes get equally many samples, some twice.

        Left alone, Lightning gives one process fewer, or none where there are fewer samples than processes: that one
        skips the prediction, and the others wait for it.
        """
        rows = self.test_set if self.new_set is None else self.new_set
        assert rows is not None
        return self._loader(rows, self.eval_batch_size, sampler=self._fractions(rows))

    def file_names(self, part: Literal["train", "test", "predict"], index: Tensor) -> list[str]:
        """Returns the files of samples at positions `[n]` in the full training set, the test set, or what is predicted.

        There are none where samples are not files; one that is not among others that are has an empty name.
        """
        files = self.files.get("test" if part == "predict" and self.new_set is None else part)
        return [files[position] if position < len(files) else "" for position in index.tolist()] if files else []

    def evaluation_batches(self, part: Literal["train", "val", "unlabeled"], device: torch.device) -> Iterator[Any]:
        """Serves this process's fraction of a part once, in order, as an evaluation is served: nothing is augmented.

        Fractions are equally long; a sample at the start may be in two of them. Unlabeled samples come as `input` and
        `index` alone: from a `clean_target` a caller could write labels that a loss reads.

        Args:
            part: Of the split.
            device: Where the batches are wanted.

        Raises:
            ValueError: If there is no such part.
        """
        sets = {"train": self.train_set, "val": self.val_set, "unlabeled": self.unlabeled_set}
        # A validation set of nothing serves nothing; a pool is there only if it was asked for, as in `parts`.
        there = {name: rows for name, rows in sets.items() if rows is not None and (len(rows) or name != "unlabeled")}
        if part not in there:
            raise ValueError(
                f"evaluation_batches: {part!r} is none of the parts that are there ({', '.join(there) or 'none'}); "
                "setup('fit') reads them, and data.num_labeled makes an unlabeled one of data with classes"
            )
        dataset = there[part]
        mine = list(self._fractions(dataset))
        for start in range(0, len(mine), self.eval_batch_size):
            batch: Any = dataset.__getitems__(mine[start : start + self.eval_batch_size])
            columns = ("input", "index") if part == "unlabeled" else tuple(batch)
            yield self.as_evaluated({name: move_data_to_device(batch[name], device) for name in columns})

    def as_evaluated(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns a batch on its device as evaluation sees it."""
        return batch

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Moves a batch; on the CPU it is there already, and Lightning's search through it is saved."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def _processes(self) -> dict[str, Any]:
        if self.trainer is None:
            return {"num_replicas": 1, "rank": 0}
        return {"num_replicas": self.trainer.world_size, "rank": self.trainer.global_rank}

    def _fractions(self, dataset: IndexedDataset) -> DistributedSampler[Any]:
        return DistributedSampler(dataset, shuffle=False, **self._processes())

    def _loader(self, dataset: IndexedDataset, batch_size: int | None, **options: Any) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size=batch_size,
            collate_fn=identity,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            # Without one of its own, each pass over a loader moves the generator that dropout and augmentation use.
            generator=torch.Generator().manual_seed(self.seed),
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            **options,
        )
