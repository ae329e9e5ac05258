from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from litzoo.datamodules.base import BaseDataModule
from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.dataset import IndexedDataset, Rows
from litzoo.datamodules.splits.classes import ClassRequest, split_classes
from litzoo.datamodules.splits.core import positions_of, shown
from litzoo.datamodules.splits.human_noise import HumanNoise
from litzoo.datamodules.splits.imbalance import Imbalance
from litzoo.datamodules.splits.label_noise import LabelNoise, corrupt


class ClassifiedDataModule(BaseDataModule):
    """Samples with one class each, and any of the troubles that come with classes.

    What is asked is done in this order, and what does not fit together is refused with the numbers:

    1. `known_classes`: samples of other classes leave the training set; in the test set they stay, as unknown.
    2. `val_size`: drawn next, it depends on the known classes and the seed alone.
    3. `train_size` and `imbalance`: what the training set keeps of the rest.
    4. `num_labeled`: which of these keep their label; the others are the unlabeled pool, which `unknown_unlabeled`
       samples of unknown classes join.
    5. `label_noise`: which of the labels are wrong.

    Args:
        train_size: Training samples: a count, a fraction of what validation leaves, `{per_class: n}`, or all of them
            when left out. With an imbalance it is their sum, or with `per_class` the size of the largest class.
        known_classes: Names or labels of the classes to learn, in the order of their targets; all when left out. A
            test sample of another class has the target `UNKNOWN`.
        imbalance: How imbalanced the training set is: `LongTailed`, `StepImbalance` or `ClassCounts`. Without
            `train_size` it keeps as many samples as the classes can provide.
        num_labeled: Training samples that have a label: a count, or a fraction; all when left out.
        balance_labeled: Whether each class has as many labels, within one; else they are in proportion to the classes.
        unknown_unlabeled: Samples of unknown classes in the unlabeled pool, beside those of known ones: a count, or a
            fraction of all that the training set has; their targets are `UNKNOWN`.
        label_noise: Wrong labels in the training set: `SymmetricNoise`, `AsymmetricNoise` or `MatrixNoise`,
            or the labels that people gave, `HumanNoise`.
        noisy_val: Whether the validation set has the same noise; else its labels are right.
        **options: See `BaseDataModule`.

    Raises:
        ValueError: If two options do not go together, or less than two classes are known.

    Attributes:
        class_names: In the order of the targets; of the class, those of all classes in the files.
        lookalikes: Which class is easily taken for which, by name, for `AsymmetricNoise`.
        known: The label in the files of each target.
        test_class_names: Of all classes in the test set, unknown ones too.
    """

    class_names: tuple[str, ...]
    lookalikes: ClassVar[dict[str | int, str | int]] = {}
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
        "seed",
    )

    def __init__(
        self,
        train_size: int | float | dict[str, int] | None = None,
        known_classes: list[str | int] | None = None,
        imbalance: Imbalance | None = None,
        num_labeled: int | float | None = None,
        balance_labeled: bool = True,
        unknown_unlabeled: int | float = 0,
        label_noise: LabelNoise | HumanNoise | None = None,
        noisy_val: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if noisy_val and label_noise is None:
            raise ValueError("data.noisy_val asks for the noise of training, and data.label_noise for none: set both")
        self.train_size = train_size  # type: ignore[assignment]
        self.known_classes, self.imbalance = known_classes, imbalance
        self.num_labeled, self.balance_labeled = num_labeled, balance_labeled
        self.unknown_unlabeled = unknown_unlabeled
        self.label_noise, self.noisy_val = label_noise, noisy_val
        self.file_class_names = self.class_names
        self.known = list(range(len(self.class_names)))
        if known_classes is not None:
            self.known = positions_of("data.known_classes", known_classes, self.class_names)
        if len(self.known) < 2:
            raise ValueError(f"data.known_classes: {known_classes} are less than two classes; name at least two")
        if unknown_unlabeled and (num_labeled is None or len(self.known) == len(self.file_class_names)):
            raise ValueError(
                f"data.unknown_unlabeled {unknown_unlabeled} with data.num_labeled {num_labeled} and {len(self.known)} "
                f"of {len(self.file_class_names)} classes known: say how many samples are labeled, and leave some "
                "class out of data.known_classes"
            )
        self.class_names = tuple(self.file_class_names[label] for label in self.known)
        self.test_class_names = self.file_class_names
        self.test_labels: Tensor | None = None
        self.clean_targets: Tensor | None = None

    @property
    def num_classes(self) -> int:
        """How many classes there are to learn."""
        return len(self.class_names)

    @abstractmethod
    def read(self, train: bool) -> tuple[Rows, Tensor]:
        """Returns all inputs of a part, `N` rows, and their labels, int64 `[N]`."""

    def read_test(self) -> tuple[Rows, Tensor]:
        """Returns the inputs of the test set, and their labels as positions in `test_class_names`."""
        return self.read(train=False)

    def read_labels(self) -> Tensor:
        """Returns the labels of the training set alone; worth its own code where that is quicker than `read`."""
        return self.read(train=True)[1]

    def find_split(self) -> None:
        """Splits the training set and corrupts its labels, unless that is done."""
        if self.split is None:
            self._split(self.read_labels())

    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; a second call finds everything there and does nothing."""
        if stage in ("fit", "validate") and self.train_set is None:
            inputs, labels = self.read(train=True)
            if self.split is None:
                self._split(labels)
            assert self.split is not None
            noisy, clean = self.label_noise is not None, self.clean_targets
            self.train_set = IndexedDataset(inputs, self.targets, self.split.train, clean if noisy else None)
            self.val_set = IndexedDataset(inputs, self.targets, self.split.val, clean if self.noisy_val else None)
            self.unlabeled_set = IndexedDataset(inputs, None, self.split.unlabeled, clean)
        if stage in ("test", "predict") and self.test_set is None:
            inputs, self.test_labels = self.read_test()
            self.test_set = IndexedDataset(inputs, self.target_of(self.test_labels))

    def target_of(self, labels: Tensor) -> Tensor:
        """Turns labels as in the files `[n]` into targets 0 to K - 1, `UNKNOWN` where the class is not known."""
        table = torch.full((len(self.test_class_names),), UNKNOWN)
        table[self.known] = torch.arange(self.num_classes)
        return table[labels]

    @property
    def unknown_class_names(self) -> list[str]:
        """The classes of the test set that are not learned."""
        return [name for label, name in enumerate(self.test_class_names) if label not in self.known]

    def true_class_names(self, index: Tensor) -> list[str]:
        """Returns what test samples at positions `[n]` really are, those of unknown classes too."""
        assert self.test_labels is not None
        return [self.test_class_names[label] for label in self.test_labels[index].tolist()]

    @property
    def class_counts(self) -> list[int]:
        """How many training samples have each label, `[K]`; wrong labels count as what they say."""
        assert self.split is not None
        assert self.targets is not None
        return torch.bincount(self.targets[self.split.train], minlength=self.num_classes).tolist()

    def split_report(self) -> dict[str, Any]:
        """Adds the class names, how many samples of each class are in each part, and the measured noise."""
        report = super().split_report() | {"class_names": self.class_names}
        targets: dict[str, Tensor] = {}
        if self.targets is not None and self.clean_targets is not None:
            wrong = (self.targets != self.clean_targets).double()
            parts = self.parts()
            targets = {part: self.targets[indices] for part, indices in parts.items()}
            if self.label_noise is not None:
                noisy = ["train", "val"] if self.noisy_val and self.validates else ["train"]
                report["label_noise"] = {part: wrong[parts[part]].mean().item() for part in noisy}
        if self.test_set is not None:
            targets["test"] = self.test_set.targets
        report["per_class"] = {part: self._count(each) for part, each in targets.items()}
        if unknown := {part: count for part, each in targets.items() if (count := int((each == UNKNOWN).sum()))}:
            report["unknown"] = unknown
        return report

    def _count(self, targets: Tensor) -> list[int]:
        return torch.bincount(targets[targets != UNKNOWN], minlength=self.num_classes).tolist()

    def _split(self, labels: Tensor) -> None:
        asked = ClassRequest(
            self.known,
            self.class_names,
            self.val_size,
            self.train_size,
            self.imbalance,
            self.num_labeled,
            self.balance_labeled,
            self.unknown_unlabeled,
            self.seed,
        )
        split = split_classes(labels, asked)
        clean = self.target_of(labels)
        targets = clean.clone()
        if isinstance(self.label_noise, HumanNoise):
            given = self._human_targets(self.label_noise, labels, split.train)
            for part in (split.train, split.val) if self.noisy_val else (split.train,):
                targets[part] = given[part]
        elif self.label_noise is not None:
            transitions = self.label_noise.transitions(self.class_names, self.lookalikes)
            targets[split.train] = corrupt(clean[split.train], transitions, self.seed, part=3)
            if self.noisy_val:
                targets[split.val] = corrupt(clean[split.val], transitions, self.seed, part=4)
        left = torch.bincount(targets[split.train], minlength=self.num_classes)
        if not left.all():
            raise ValueError(
                f"data.label_noise {shown(self.label_noise)} leaves no training sample with the label "
                f"{self.class_names[int(left.argmin())]!r}: lower its rate"
            )
        self.split, self.targets, self.clean_targets = split, targets, clean

    def _human_targets(self, noise: HumanNoise, labels: Tensor, train: Tensor) -> Tensor:
        given = self.target_of(noise.given_labels(self.root, labels))
        if unknown := int((given[train] == UNKNOWN).sum()):
            raise ValueError(
                f"data.label_noise HumanNoise labels {unknown} training samples with a class that is not in "
                f"data.known_classes: leave that option out"
            )
        return given
