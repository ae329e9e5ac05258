import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batch import Batch
from datamodules.dataset import InMemoryDataset, identity
from datamodules.sampler import EpochShuffle
from datamodules.splits import Split, fingerprint, split_train_val

HOLD_OUT_SEED = int(np.iinfo(np.uint32).max)  # far from every seed that users ask for


class BaseDataModule(LightningDataModule, ABC):
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
            if value < least:
                raise ValueError(f"data.{name}: {value} is too small; give a whole number of at least {least}")
        if seed >= 2**32:
            raise ValueError(f"data.seed: {seed} is too large; give a whole number below {2**32}")
        self.root = Path(root or os.environ.get("LITZOO_DATA_DIR") or "data").expanduser()
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.train_size = train_size
        self.val_size = val_size
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.seed = seed
        self.split: Split | None = None
        self.train_set: InMemoryDataset | None = None
        self.val_set: InMemoryDataset | None = None
        self.test_set: InMemoryDataset | None = None

    @abstractmethod
    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; a second call finds everything there and does nothing."""

    @property
    def validates(self) -> bool:
        """Whether there is a validation set."""
        return self.val_size != 0

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps of the data: the fingerprint of the split."""
        return {} if self.split is None else {"fingerprint": fingerprint(*self.split)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuses a checkpoint that was trained on another split, where this one is known.

        Raises:
            ValueError: If the fingerprints differ.
        """
        saved = state_dict.get("fingerprint")
        if self.split is not None and saved not in (None, fingerprint(*self.split)):
            raise ValueError(
                f"the checkpoint was trained on another split of the data ({saved}, here {fingerprint(*self.split)}): "
                "repeat the data options that it was trained with, or use the config.yaml beside it"
            )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Serves the training set, in an order that is a function of the seed and the epoch alone.

        Raises:
            ValueError: If `drop_last` would leave no batch.
        """
        assert self.train_set is not None
        if self.drop_last and len(self.train_set) < self.batch_size:
            raise ValueError(
                f"data.drop_last leaves out all {len(self.train_set)} training samples, fewer than data.batch_size "
                f"{self.batch_size}: set data.drop_last false or lower data.batch_size"
            )
        return self._loader(
            self.train_set, self.batch_size, sampler=EpochShuffle(self.train_set), drop_last=self.drop_last
        )

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Serves the validation set, or nothing where its size is 0."""
        assert self.val_set is not None
        return self._loader(self.val_set, self.eval_batch_size) if self.validates else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Serves the whole test set in order."""
        assert self.test_set is not None
        return self._loader(self.test_set, self.eval_batch_size)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Serves the whole test set in order."""
        return self.test_dataloader()

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Moves a batch; on the CPU it is there already, and Lightning's search through it is saved."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def split_report(self) -> dict[str, Any]:
        """Returns what `splits.json` holds: the sizes, the seed, and the fingerprint of the indices."""
        assert self.split is not None
        return {
            "seed": self.seed,
            "sizes": {name: len(indices) for name, indices in self.split._asdict().items()},
            "fingerprint": fingerprint(*self.split),
        }

    def _loader(self, dataset: InMemoryDataset, batch_size: int, **options: Any) -> DataLoader[Batch]:
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


def hold_out(targets: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Sets a test set aside where a data set has no official one: `(training, test)` positions.

    The draw is always the same, whatever seed the user asks for: a test sample must never be trained on by another run.

    Raises:
        ValueError: If the share is less than one sample.
    """
    if len(targets) * share < 1:
        raise ValueError(f"{len(targets)} samples are too few to set a share of {share} aside for testing")
    split = split_train_val(targets, train_size=None, val_size=share, seed=HOLD_OUT_SEED)
    return split.train, split.val
