"""Options and behaviour that all datamodules with one class per sample share, whatever the samples are."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from litzoo.datamodules.batch import UNKNOWN, Batch
from litzoo.datamodules.class_batches import labeled_batches, with_unlabeled
from litzoo.datamodules.class_split import class_report, count_classes, sample_names, split_training_set
from litzoo.datamodules.dataset import IndexedDataset, Rows
from litzoo.datamodules.other_corrections import OtherCorrections
from litzoo.datamodules.samplers import EpochBatches, class_weights
from litzoo.datamodules.splits.argument_types import check_class_options, check_split_types
from litzoo.datamodules.splits.core import ClassName, Split, positions_of
from litzoo.datamodules.splits.corrected import AppliedCorrections
from litzoo.datamodules.splits.file_noise import FileNoise
from litzoo.datamodules.splits.human_noise import HumanNoise
from litzoo.datamodules.splits.imbalance import Imbalance
from litzoo.datamodules.splits.label_noise import LabelNoise

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
       are those of the labels as delivered, so that the other samples stay where they are: a training or validation
       sample that is corrected to an unknown class is left out, one corrected to a known class does not join.

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
            `Corrections`. Of several, such as those of two audits, each corrects what the ones before it have left.
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
        delivered: Split and targets of the full training set before the corrections.
        other_corrections: Whether, and what, the corrections of a test differ from those of the checkpoint's training.
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
        corrections: str | list[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_split_types(label_noise, imbalance, known_classes)
        has_noise, has_pool = label_noise is not None, self.has_unlabeled_samples
        check_class_options(num_labeled, unlabeled_batch_size, has_pool, has_noise, noisy_val, sampling, effective_beta)
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
        self.applied_corrections = (
            None
            if corrections is None
            else AppliedCorrections([corrections] if isinstance(corrections, str) else corrections, self.root)
        )
        self.delivered: tuple[Split, Tensor] | None = None
        self.other_corrections = OtherCorrections(self)
        self._not_used = 0

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
            self.test_labels, kept = labels.clone(), None
            if self.applied_corrections is not None:
                kept = self.applied_corrections.test(
                    self.test_labels, self.test_class_names, sample_names(self, "test", len(labels))
                )
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
        return count_classes(self.targets[self.split.train], self.num_classes)

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

    def unused_samples(self) -> int:
        """Returns the number of training samples of known classes that the split leaves out of all parts."""
        return self._not_used

    def split_report(self) -> dict[str, Any]:
        """Adds class names, the number of samples of each class in each part, and the measured noise rates."""
        return super().split_report() | class_report(self)

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
        return labeled_batches(self, drop_last=self.drop_last, steps=self.steps, **self._training_options())

    def train_dataloader(self) -> Any:
        """Serves the labeled training set, together with the unlabeled pool if `unlabeled_batch_size` is given.

        Raises:
            ValueError: If it is given, but the module is not semi-supervised.
        """
        labeled = super().train_dataloader()
        if self.unlabeled_batch_size is None:
            return labeled
        return with_unlabeled(self, labeled, self._loader, self._processes())

    def state_dict(self) -> dict[str, Any]:
        """Adds what identifies the corrections, and the split without them."""
        return super().state_dict() | self.other_corrections.state()

    def check_split(self, saved: Mapping[str, Any]) -> None:
        """Checks that a checkpoint was trained on this split; a test may have other corrections."""
        self.other_corrections.check_split(saved)

    def check_options(self, saved: Mapping[str, Any]) -> None:
        """Checks that the options of the split are those of a checkpoint; a test may have other corrections."""
        self.other_corrections.check_options(saved)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Serves the whole test set in order; warns if its corrections are not those of the checkpoint."""
        self.other_corrections.warn()
        return super().test_dataloader()

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Serves `new_set`, else the test set, with the same warning."""
        if self.new_set is None:
            self.other_corrections.warn()
        return super().predict_dataloader()

    def left_out_files(self) -> list[str]:
        """Returns the names of files that are left out of all parts, which corrections may name all the same."""
        return []

    def _split(self, labels: Tensor) -> None:
        found = split_training_set(self, labels)
        self.split, self.targets, self.clean_targets, self._not_used, self.delivered = found
