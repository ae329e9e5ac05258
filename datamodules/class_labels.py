"""Options and behaviour that all datamodules with one class per sample share, whatever the samples are."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor

from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.dataset import IndexedDataset, Rows
from litzoo.datamodules.samplers import BalancedBatches, EpochBatches, WeightedBatches, class_weights
from litzoo.datamodules.splits.argument_types import check_split_types
from litzoo.datamodules.splits.classes import ClassRequest, split_classes
from litzoo.datamodules.splits.core import ClassName, Split, positions_of
from litzoo.datamodules.splits.corrections import Corrections, correct
from litzoo.datamodules.splits.file_noise import FileNoise
from litzoo.datamodules.splits.human_noise import HumanNoise
from litzoo.datamodules.splits.imbalance import Imbalance
from litzoo.datamodules.splits.label_noise import LabelNoise, corrupt
from litzoo.datamodules.splits.record import describe

if TYPE_CHECKING:
    from litzoo.datamodules.base import BaseDataModule

    _Base = BaseDataModule
else:
    _Base = ABC  # a mixin: the classes that use it derive from `BaseDataModule` themselves


class ClassLabels(_Base):
    """Mixin for datamodules with one class per sample: splits by class, label noise, few labels, class sampling.

    Put it before `BaseDataModule` or a subclass of it: `class ImageDataModule(ClassLabels, BaseDataModule)`. The
    options are applied in this order, and raise an error with the numbers if they conflict:

    1. `known_classes`: samples of other classes leave the training set; they stay in the test set, as unknown classes.
    2. `val_size`: the validation set depends on the known classes and the seed only.
    3. `train_size` and `imbalance`: the samples of the remaining training set that are kept.
    4. `num_labeled`: the samples that keep their labels; the others form the unlabeled pool, together with
       `unknown_unlabeled` samples of unknown classes.
    5. `label_noise`: the labels that are wrong.
    6. `corrections`: labels that are corrected, and samples that are dropped, also in the test set. All draws before
       are those of the labels as delivered, so that the other samples stay where they are.

    Args:
        train_size: Number of training samples: a count, a fraction of what validation leaves, `{per_class: n}`, or
            `null` for all of it. With `imbalance` it is the total, or with `per_class` the size of the largest class.
        known_classes: Names or labels of the classes to learn, in the order of their targets; `null` for all. Test
            samples of other classes have the target `UNKNOWN`.
        imbalance: Class imbalance of the training set: `LongTailed`, `StepImbalance` or `ClassCounts`. Without
            `train_size` the training set is as large as the classes allow.
        num_labeled: Number of training samples with a label: a count or a fraction; `null` for all.
        balance_labeled: Whether each class has equally many labels, within one; else they are proportional to the
            class sizes.
        unknown_unlabeled: Number of samples of unknown classes in the unlabeled pool: a count, or a fraction of those
            in the training set. Their targets are `UNKNOWN`.
        label_noise: Wrong labels in the training set: `SymmetricNoise`, `AsymmetricNoise` or `MatrixNoise`,
            or labels from a file: `FileNoise` for your own, `HumanNoise` for CIFAR-10N and CIFAR-100N.
        noisy_val: Whether the validation set has the same noise; else its labels are clean.
        corrections: CSV file of labels to correct and samples to drop, in the working folder or in `root`; see
            `Corrections`.
        unlabeled_batch_size: Unlabeled samples in a training batch; needs `num_labeled`, or a folder of unlabeled
            images. If `null`, only labeled samples are served; else each batch is a `SemiSupervisedBatch`, and an epoch
            ends when the larger part has been served once.
        sampling: `shuffle` serves every training sample once per epoch; `weighted` serves each class in proportion to
            its size times its class weight; `balanced` makes batches with equally many samples of every class.
        class_weighting: How class weights, for `weighted` sampling and for losses that use them, depend on the class
            sizes: see `class_weights`.
        effective_beta: β of the weighting `effective`.
        **options: See `BaseDataModule`.

    Raises:
        TypeError: If an option has the wrong type; the message says what is accepted.
        ValueError: If an option is not one of its choices, options conflict, or fewer than two classes are known.

    Attributes:
        class_names: Names of the known classes in the order of the targets; on the class, names of all classes.
        lookalikes: Pairs of similar classes, by name, for `AsymmetricNoise`.
        known: For each target its label in the files.
        has_unlabeled_samples: Whether the full training set ends with samples that have no label at all.
        test_class_names: Names of all classes in the test set, unknown ones too.
    """

    links: tuple[str, ...] = ("num_classes", "class_names")
    class_names: tuple[str, ...]
    has_unlabeled_samples: bool = False
    lookalikes: ClassVar[dict[ClassName, ClassName]] = {}
    split_by: tuple[str, ...] = (
        "known_classes",
        "val_size",
        "train_size",
        "imbalance",
        "num_labeled",
        "balance_labeled",
        "unknown_unlabeled",
        "label_noise",
        "noisy_val",
        "corrections",
        "seed",
    )

    def __init__(
        self,
        unlabeled_batch_size: int | None = None,
        sampling: Literal["shuffle", "weighted", "balanced"] = "shuffle",
        class_weighting: Literal["inverse", "sqrt", "effective", "complement"] = "inverse",
        effective_beta: float = 0.999,
        train_size: int | float | dict[str, int] | None = None,
        known_classes: list[ClassName] | None = None,
        imbalance: Imbalance | None = None,
        num_labeled: int | float | None = None,
        balance_labeled: bool = True,
        unknown_unlabeled: int | float = 0,
        label_noise: LabelNoise | HumanNoise | FileNoise | None = None,
        noisy_val: bool = False,
        corrections: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_split_types(label_noise, imbalance, known_classes)
        if noisy_val and label_noise is None:
            raise ValueError("data.noisy_val is true, but data.label_noise is null: set both or neither")
        if unlabeled_batch_size is not None:
            has_pool = num_labeled is not None or self.has_unlabeled_samples
            if not has_pool or unlabeled_batch_size < 1:
                raise ValueError(
                    f"data.unlabeled_batch_size {unlabeled_batch_size} with data.num_labeled {num_labeled}: give at "
                    "least 1, and the number of labeled samples"
                )
        if num_labeled is not None and self.has_unlabeled_samples:
            raise ValueError(
                f"data.num_labeled {num_labeled} hides labels, but data.unlabeled_folder provides images without one: "
                "leave one of them out; data.train_size takes fewer labeled images"
            )
        if sampling not in ("shuffle", "weighted", "balanced"):
            raise ValueError(f"data.sampling: {sampling!r} is not one of shuffle, weighted, balanced")
        if not 0 <= effective_beta < 1:
            raise ValueError(f"data.effective_beta: {effective_beta} is outside [0, 1); give for example 0.999")
        class_weights([1], class_weighting, effective_beta)  # raises for an unknown weighting
        self.train_size = train_size  # type: ignore[assignment]
        self.known_classes, self.imbalance = known_classes, imbalance
        self.num_labeled, self.balance_labeled = num_labeled, balance_labeled
        self.unknown_unlabeled = unknown_unlabeled
        self.label_noise, self.noisy_val = label_noise, noisy_val
        self.unlabeled_batch_size = unlabeled_batch_size
        self.sampling, self.class_weighting, self.effective_beta = sampling, class_weighting, effective_beta
        self.file_class_names = self.test_class_names = self.class_names
        self.known = list(range(len(self.class_names)))
        if known_classes is not None:
            self.known = positions_of("data.known_classes", known_classes, self.class_names)
        if len(self.known) < 2:
            raise ValueError(f"data.known_classes: {known_classes} are fewer than two classes; name at least two")
        if unknown_unlabeled and (num_labeled is None or len(self.known) == len(self.file_class_names)):
            raise ValueError(
                f"data.unknown_unlabeled {unknown_unlabeled} with data.num_labeled {num_labeled} and {len(self.known)} "
                f"of {len(self.file_class_names)} classes known: set data.num_labeled, and leave at least one class "
                "out of data.known_classes"
            )
        self.class_names = tuple(self.file_class_names[label] for label in self.known)
        self.test_labels: Tensor | None = None
        self.clean_targets: Tensor | None = None
        self.corrections = corrections
        self._corrected: dict[str, dict[str, int]] = {}  # relabelled or dropped -> part -> samples

    @abstractmethod
    def read(self, train: bool) -> tuple[Rows, Tensor]:
        """Returns all inputs of the training or test set, `N` rows, and their labels, int64 `[N]`.

        Training samples without a label, if there are any, have the label `UNKNOWN` and come last.
        """

    def read_test(self) -> tuple[Rows, Tensor]:
        """Returns the inputs of the test set, and their labels as positions in `test_class_names`."""
        return self.read(train=False)

    def read_labels(self) -> Tensor:
        """Returns the labels of the training set; override it if they can be read without the inputs."""
        return self.read(train=True)[1]

    def membership(self) -> dict[str, Any]:
        """Returns `val` and `ids` of `ClassRequest`, if files or their content decide the parts of the training set."""
        return {}

    def sample_names(self) -> dict[str, list[str]]:
        """Returns how a file can name the samples of the full training set: name of a column -> its N cells."""
        files = self.files.get("train", [])
        return {"file": files} if files else {}

    def find_split(self) -> None:
        """Splits the training set and corrupts its labels, unless that has been done."""
        if self.split is None:
            self._split(self.read_labels())

    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; does nothing if that has been done."""
        if stage in ("fit", "validate") and self.train_set is None:
            inputs, labels = self.read(train=True)
            if self.split is None:
                self._split(labels)
            assert self.split is not None
            noisy, clean = self.label_noise is not None, self.clean_targets
            self.train_set = IndexedDataset(inputs, self.targets, self.split.train, clean if noisy else None)
            self.val_set = IndexedDataset(inputs, self.targets, self.split.val, clean if self.noisy_val else None)
            hidden = None if self.has_unlabeled_samples else clean
            self.unlabeled_set = IndexedDataset(inputs, None, self.split.unlabeled, hidden)
        if stage in ("test", "predict") and self.test_set is None:
            inputs, labels = self.read_test()
            self.test_labels = labels.clone()
            kept = self._correct_test(self.test_labels)
            self.test_set = IndexedDataset(inputs, self.target_of(self.test_labels), kept)

    @property
    def num_classes(self) -> int:
        """Number of classes to learn."""
        return len(self.class_names)

    @property
    def unknown_class_names(self) -> list[str]:
        """Names of the classes of the test set that are not learned."""
        return [name for label, name in enumerate(self.test_class_names) if label not in self.known]

    @property
    def class_counts(self) -> list[int]:
        """Number of training samples with each label `[K]`; wrong labels count as they are."""
        assert self.split is not None
        assert self.targets is not None
        return self._count(self.targets[self.split.train])

    @property
    def class_weights(self) -> Tensor:
        """Weight of a training sample of each class, float32 `[K]`."""
        return class_weights(self.class_counts, self.class_weighting, self.effective_beta)

    def target_of(self, labels: Tensor) -> Tensor:
        """Converts labels as in the files `[n]` to targets 0 to K - 1; unknown classes and no label to `UNKNOWN`."""
        table = torch.full((len(self.test_class_names),), UNKNOWN)
        table[self.known] = torch.arange(self.num_classes)
        return table[labels].where(labels != UNKNOWN, UNKNOWN)

    def true_class_names(self, index: Tensor) -> list[str]:
        """Returns the class names of test samples at indices `[n]`, of unknown classes too."""
        assert self.test_labels is not None
        return [self.test_class_names[label] for label in self.test_labels[index].tolist()]

    def split_report(self) -> dict[str, Any]:
        """Adds class names, the number of samples of each class in each part, and the measured noise rates."""
        report = super().split_report() | {"class_names": self.class_names}
        targets: dict[str, Tensor] = {}
        if self.split is not None and self.targets is not None and self.clean_targets is not None:
            wrong = (self.targets != self.clean_targets).double()
            parts = self.split.parts()
            targets = {part: self.targets[indices] for part, indices in parts.items()}
            if self.label_noise is not None:
                noisy = ["train", "val"] if self.noisy_val and self.validates else ["train"]
                report["label_noise"] = {part: wrong[parts[part]].mean().item() for part in noisy}
        if self.test_set is not None:
            targets["test"] = self.test_set.targets
        report["per_class"] = {part: self._count(each) for part, each in targets.items()}
        if self.corrections is not None:
            report["corrections"] = {"file": self.corrections, **self._corrected}
        if self.has_unlabeled_samples and "unlabeled" in targets:
            report["without_label"] = {"unlabeled": len(targets.pop("unlabeled"))}
        if unknown := {part: count for part, each in targets.items() if (count := int((each == UNKNOWN).sum()))}:
            report["unknown"] = unknown
        return report

    @property
    def steps(self) -> int | None:
        """Batches per epoch and process in semi-supervised training: enough to serve the larger part once."""
        if self.unlabeled_batch_size is None:
            return None
        assert self.split is not None
        processes = self._processes()["num_replicas"]
        parts = [(self.split.train, self.batch_size), (self.split.unlabeled, self.unlabeled_batch_size)]
        return max(-(-len(part) // (batch * processes)) for part, batch in parts)

    def train_batches(self) -> EpochBatches:
        """Returns the sampler of labeled training batches."""
        assert self.split is not None
        assert self.targets is not None
        options: dict[str, Any] = {"drop_last": self.drop_last, "steps": self.steps, **self._training_options()}
        classes = self.targets[self.split.train]
        if self.sampling == "weighted":
            return WeightedBatches(classes, self.class_weights, self.batch_size, **options)
        if self.sampling == "balanced":
            return BalancedBatches(classes, self.batch_size, **options)
        return EpochBatches(len(classes), self.batch_size, **options)

    def train_dataloader(self) -> Any:
        """Serves the labeled training set, together with the unlabeled pool if `unlabeled_batch_size` is given.

        Raises:
            ValueError: If it is given, but the module is not semi-supervised.
        """
        if self.unlabeled_batch_size is None:
            return super().train_dataloader()
        module = getattr(self.trainer, "lightning_module", None)
        if not getattr(module, "semi_supervised", True):
            raise ValueError(
                f"data.unlabeled_batch_size is {self.unlabeled_batch_size}, but {type(module).__name__} trains on "
                "labeled samples only: leave the option out, or choose a semi-supervised module"
            )
        labeled = super().train_dataloader()
        assert self.unlabeled_set is not None
        if getattr(self.trainer, "overfit_batches", 0):
            unlabeled = self._loader(self.overfitted(self.unlabeled_set), self.unlabeled_batch_size)
        else:
            options = {"steps": self.steps, "stream": 1, **self._processes()}
            batches = EpochBatches(len(self.unlabeled_set), self.unlabeled_batch_size, **options)
            unlabeled = self._loader(self.unlabeled_set, None, sampler=batches)
        return CombinedLoader({"labeled": labeled, "unlabeled": unlabeled}, "max_size_cycle")

    def _split(self, labels: Tensor) -> None:
        request = ClassRequest(
            self.known,
            self.class_names,
            self.val_size,
            self.train_size,
            self.imbalance,
            self.num_labeled,
            self.balance_labeled,
            self.unknown_unlabeled,
            self.seed,
            **self.membership(),
        )
        labeled = labels[labels != UNKNOWN]
        split = split_classes(labeled, request)
        if self.has_unlabeled_samples:
            split = split._replace(unlabeled=torch.arange(len(labeled), len(labels)))
        clean = self.target_of(labels)
        targets = clean.clone()
        if isinstance(self.label_noise, HumanNoise | FileNoise):
            given = self._given_targets(self.label_noise, labeled, split)
            for part in (split.train, split.val) if self.noisy_val else (split.train,):
                targets[part] = given[part]
        elif self.label_noise is not None:
            transitions = self.label_noise.transitions(self.class_names, self.lookalikes)
            targets[split.train] = corrupt(clean[split.train], transitions, self.seed, part=3)
            if self.noisy_val:
                targets[split.val] = corrupt(clean[split.val], transitions, self.seed, part=4)
        if 0 in (counts := self._count(targets[split.train])):
            raise ValueError(
                f"data.label_noise {describe(self.label_noise)} leaves no training sample with the label "
                f"{self.class_names[counts.index(0)]!r}: lower its rate"
            )
        if self.unlabeled_batch_size is not None and not len(split.unlabeled):
            raise ValueError(
                f"data.unlabeled_batch_size {self.unlabeled_batch_size}, but data.num_labeled {self.num_labeled} "
                f"labels all {len(split.train)} training samples: lower num_labeled"
            )
        split = self._correct_training(split, targets)
        self.split, self.targets, self.clean_targets = split, targets, clean

    def _correct_training(self, split: Split, targets: Tensor) -> Split:
        """Applies the corrections to `targets` `[N]`; returns the split without dropped samples."""
        if self.corrections is None:
            return split
        found = Corrections(self._corrections_path()).resolve(
            "train", self.files.get("train", []), targets, self.class_names, self._other_files("test")
        )
        parts, counts = correct(targets, *found, split.parts())
        self._corrected = {name: {**self._corrected.get(name, {}), **by_part} for name, by_part in counts.items()}
        if 0 in (left := self._count(targets[parts["train"]])):
            raise ValueError(
                f"data.corrections: {self.corrections} leaves no training sample with the label "
                f"{self.class_names[left.index(0)]!r}: correct or drop fewer, or leave the class out of "
                "data.known_classes"
            )
        return split._replace(**parts)

    def _correct_test(self, labels: Tensor) -> Tensor | None:
        """Applies the corrections to the test labels `[N]`; returns the positions that are kept, `None` for all."""
        if self.corrections is None:
            return None
        found = Corrections(self._corrections_path()).resolve(
            "test", self.files.get("test", []), labels, self.test_class_names, self._other_files("train")
        )
        parts, counts = correct(labels, *found, {"test": torch.arange(len(labels))})
        self._corrected = {name: {**self._corrected.get(name, {}), **by_part} for name, by_part in counts.items()}
        return parts["test"]

    def _corrections_path(self) -> Path:
        assert self.corrections is not None
        path = Path(self.corrections).expanduser()
        return path if path.exists() or not (self.root / path).exists() else self.root / path

    def _other_files(self, part: str) -> list[str] | None:
        """Returns the file names of the other part, and of files that are left out; `None` before they are known."""
        if part not in self.files:
            return None
        return [*self.files[part], *(name for names in getattr(self, "left_out", {}).values() for name in names)]

    def _given_targets(self, noise: HumanNoise | FileNoise, labels: Tensor, split: Split) -> Tensor:
        """Returns the targets that a file gives the labeled samples of the full training set, int64 `[N]`."""
        if isinstance(noise, HumanNoise):
            given = noise.given_labels(self.root, labels)
        else:
            names = {column: each[: len(labels)] for column, each in self.sample_names().items()}
            ordered = self.membership().get("ids") is None
            given = noise.given_labels(self.root, labels, self.file_class_names, names, ordered)
        given = self.target_of(given)
        used = torch.cat([split.train, split.val]) if self.noisy_val else split.train
        if unknown := int((given[used] == UNKNOWN).sum()):
            raise ValueError(
                f"data.label_noise {type(noise).__name__} labels {unknown} training samples with a class that is not "
                "in data.known_classes: leave that option out"
            )
        return given

    def _count(self, targets: Tensor) -> list[int]:
        return torch.bincount(targets[targets != UNKNOWN], minlength=self.num_classes).tolist()
