"""The base class of all datamodules."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, Subset

from litzoo.datamodules.batch import Batch
from litzoo.datamodules.dataset import IndexedDataset
from litzoo.datamodules.io.paths import data_root
from litzoo.datamodules.loaders import (
    evenly_spread,
    make_loader,
    part_of,
    processes_of,
    require_counts,
    smallest_batch,
)
from litzoo.datamodules.restored import restored_of
from litzoo.datamodules.samplers import EpochBatches, EvaluationBatches
from litzoo.datamodules.splits.core import Split
from litzoo.datamodules.splits.folds import Fold, fold_of
from litzoo.datamodules.splits.record import describe, fingerprint, require_same_options, require_same_split


class BaseDataModule(LightningDataModule, ABC):
    """Reads a data set once, splits it reproducibly, and serves whole batches of it.

    Subclasses read and split in `find_split` and `setup`, and download in `prepare_data` if there is something to
    download. A checkpoint records the split; loading a checkpoint of another split raises.

    Args:
        root: Folder of the data. Defaults to the environment variable `LITZOO_DATA_DIR`, else to `data`.
        batch_size: Samples in a training batch (per device).
        eval_batch_size: Samples in a validation, test or prediction batch.
        train_size: Number of training samples: a count, a fraction of what validation leaves, or `null` for all of it.
        val_size: Number of validation samples, drawn from the training set before anything else: a count or a
            fraction; 0 disables validation. The test set is never used for validation.
        folds: Number of folds of a cross-validation. The samples that are not for testing are divided into so many
            folds, and `fold` is the validation set instead of `val_size`; `litzoo compare --folds` trains on each.
        fold: Which fold validates, 0 to `folds` - 1.
        drop_last: Whether to drop an incomplete last training batch. Evaluation always covers every sample.
        num_workers: Worker processes of each DataLoader; 0 is usually fastest, since the data are in memory.
        seed: Seed of the split. It is independent of the seed of the run, so that runs with different seeds use the
            same split.

    Raises:
        ValueError: If an option is out of range.

    Attributes:
        links: Attributes that the command passes to the module's constructor, as arguments of the same name.
        split_by: Names of the options that determine the split.
        split: Indices into the full training set, part by part.
        calibration_set: Validation samples that are kept for a calibration; see `reserve_calibration`.
        targets: Targets of the full training set, as used for training.
        new_set: Samples to predict instead of the test set, if there are any.
        files: File names of the samples, if samples are files: of the full training set (`train`), the test set
            (`test`) and `new_set` (`predict`).
        restored: What the checkpoint of a command holds of this datamodule, if it is created for one.
    """

    links: tuple[str, ...] = ()
    split_by: tuple[str, ...] = ("val_size", "train_size", "seed")

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        train_size: int | float | None = None,
        val_size: int | float = 0.1,
        folds: int | None = None,
        fold: int | None = None,
        drop_last: bool = False,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_counts(batch_size=(batch_size, 1), eval_batch_size=(eval_batch_size, 1))
        require_counts(num_workers=(num_workers, 0), seed=(seed, 0))
        if seed >= 2**32:
            raise ValueError(f"data.seed: {seed} is too large; give an integer below {2**32}")
        if not isinstance(val_size, (int, float)):
            raise ValueError(f"data.val_size: {val_size} is not a number; give a count, a fraction in [0, 1], or 0")
        self.root = data_root(root)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.train_size = train_size
        self.val_size: int | float | Fold = fold_of(folds, fold) or val_size
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.seed = seed
        self.split: Split | None = None
        self.targets: Tensor | None = None
        self.train_set: IndexedDataset | None = None
        self.val_set: IndexedDataset | None = None
        self.calibration_set: IndexedDataset | None = None
        self.unlabeled_set: IndexedDataset | None = None
        self.test_set: IndexedDataset | None = None
        self.new_set: IndexedDataset | None = None
        self._all_validation: IndexedDataset | None = None
        self.files: dict[str, list[str]] = {}
        self.restored: Mapping[str, Any] = restored_of(type(self).__qualname__)

    @abstractmethod
    def find_split(self) -> None:
        """Sets `split` and `targets` unless they are set already, reading as little as possible."""

    @abstractmethod
    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; does nothing if that has been done."""

    @property
    def validates(self) -> bool:
        """Whether there is a validation set."""
        return self.val_size != 0

    @property
    def predicted_input(self) -> str | None:
        """Folder or file that `predict` takes instead of the test set, if there is one."""
        given = (getattr(self, name, None) for name in ("predict_folder", "predict_file"))
        return next((each for each in given if each is not None), None)

    def reserve_calibration(self, fraction: float) -> None:
        """Keeps a fraction of the validation samples out of the validation, for a calibration at the end of training.

        They are spread evenly over the validation set, the same whenever it is the same; a second call replaces the
        first. The part `calibration` of `evaluation_batches` serves them.

        Args:
            fraction: In [0, 1); 0 gives all samples back to the validation.
        """
        if self._all_validation is None:
            self._all_validation = self.val_set
        whole = self._all_validation
        assert whole is not None
        reserved = evenly_spread(len(whole), fraction)
        self.val_set, self.calibration_set = whole, None
        if reserved.any():
            self.val_set, self.calibration_set = whole.subset(~reserved), whole.subset(reserved)

    def identity(self) -> dict[str, Tensor]:
        """Returns further tensors for the fingerprint, if indices and targets alone do not identify the data."""
        return {}

    def fingerprint(self) -> str:
        """Returns a hash of the split and its targets: the same whenever and wherever training uses the same data."""
        assert self.split is not None
        assert self.targets is not None
        return self.fingerprint_of(self.split, self.targets)

    def fingerprint_of(self, split: Split, targets: Tensor) -> str:
        """Returns the fingerprint of a split of the full training set with these targets `[N]`."""
        parts = split.parts()
        own = {f"{name}_targets": targets[part] for name, part in parts.items()}
        return fingerprint(**parts, **own, **self.identity())

    def split_options(self) -> dict[str, str]:
        """Returns the options that determine the split, name -> value as text."""
        return {name: describe(getattr(self, name)) for name in self.split_by}

    def unused_samples(self) -> int:
        """Returns the number of training samples that `train_size` leaves out of all parts."""
        if self.train_size is None or self.split is None or self.targets is None:
            return 0
        return len(self.targets) - sum(map(len, self.split))

    def content_ids(self, part: Literal["train", "test", "all"]) -> list[str]:
        """Returns ids by which the samples of a set are found again after others were added or removed, if any."""
        return []

    def split_report(self) -> dict[str, Any]:
        """Returns the content of `splits.json`: the seed, and the sizes and the fingerprint of what has been read."""
        report: dict[str, Any] = {"seed": self.seed, "sizes": {}}
        if self.split is not None:
            report["fingerprint"] = self.fingerprint()
            report["sizes"] = {name: len(part) for name, part in self.split.parts().items()}
            if isinstance(self.val_size, Fold):
                report["fold"] = self.val_size._asdict()
            if not_used := self.unused_samples():
                report["not_used"] = not_used
        if self.calibration_set is not None:
            report["calibration"] = {"of_val": len(self.calibration_set)}
        if self.test_set is not None:
            report["sizes"]["test"] = len(self.test_set)
        return report

    def state_dict(self) -> dict[str, Any]:
        """Returns what checkpoints record of the data: the fingerprint of the split and its options."""
        return {} if self.split is None else {"fingerprint": self.fingerprint(), "options": self.split_options()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Checks that the checkpoint was trained on this split; warns if the training data are absent.

        Raises:
            ValueError: If the split is another one; the message names the options that differ.
        """
        if "fingerprint" not in state_dict:
            return
        try:
            self.find_split()
        except FileNotFoundError as error:
            rank_zero_warn(f"Not checked whether the checkpoint was trained on this split of the data: {error}")
            return
        self.check_split(state_dict)

    def check_split(self, saved: Mapping[str, Any]) -> None:
        """Checks that a checkpoint, whose state of the datamodule is given, was trained on this split.

        Raises:
            ValueError: If it was not; the message names the options that differ.
        """
        require_same_split(saved, self.fingerprint(), self.split_options())

    def check_options(self, saved: Mapping[str, Any]) -> None:
        """Checks likewise that the options of the split are the same, where samples are found again by content."""
        require_same_options(saved, self.split_options())

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, weights_only: bool = True, **options: Any) -> Any:  # type: ignore[override]
        """Returns a datamodule with the state that a checkpoint holds; checkpoints do not hold its options.

        Args:
            checkpoint_path: A path, or a file that is open for reading.
            weights_only: Ignored; loading is always restricted to plain data.
            **options: Constructor arguments of the datamodule.
        """
        datamodule = cls(**options)
        content = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
        datamodule.load_state_dict(content.get(cls.__qualname__, {}))
        return datamodule

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

    def file_names(self, part: Literal["train", "test", "predict"], index: Tensor) -> list[str]:
        """Returns the file names of samples at `index` `[n]` in the full training set, test set or prediction set.

        Returns an empty list if samples are not files, and an empty name for a sample without a file.
        """
        files = self.files.get("test" if part == "predict" and self.new_set is None else part)
        return [files[position] if position < len(files) else "" for position in index.tolist()] if files else []

    def sample_columns(self, part: Literal["train", "test", "predict"], index: Tensor) -> dict[str, list[Any]]:
        """Returns columns that say which samples those at `index` `[n]` are: their `file`, if they are files."""
        files = self.file_names(part, index)
        return {"file": files} if files else {}

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
        dataset = part_of(self, part)
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
