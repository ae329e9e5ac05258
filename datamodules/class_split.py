"""The split and the targets of a training set with classes, from the options of its datamodule, and their report."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor

from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.splits.classes import ClassRequest, split_classes
from litzoo.datamodules.splits.core import Split
from litzoo.datamodules.splits.corrected import SampleNames
from litzoo.datamodules.splits.file_noise import FileNoise
from litzoo.datamodules.splits.human_noise import HumanNoise
from litzoo.datamodules.splits.noisy_targets import noisy_targets

if TYPE_CHECKING:
    from litzoo.datamodules.class_labels import ClassLabels


class SplitTargets(NamedTuple):
    """A split of the full training set, `N` samples.

    Attributes:
        split: Indices of each part.
        targets: Targets as used for training, int64 `[N]`: with wrong labels and corrections.
        clean: Targets as in the files, int64 `[N]`.
        not_used: Number of samples of known classes that no part has.
        delivered: Split and targets before the corrections.
    """

    split: Split
    targets: Tensor
    clean: Tensor
    not_used: int
    delivered: tuple[Split, Tensor]


def split_training_set(data: "ClassLabels", labels: Tensor) -> SplitTargets:
    """Applies the options of a datamodule in their order; see `ClassLabels`.

    Args:
        data: The datamodule.
        labels: Labels of the full training set as in the files, int64 `[N]`.

    Raises:
        ValueError: If the options conflict with each other or with the data.
    """
    request = ClassRequest(
        data.known,
        data.class_names,
        data.val_size,
        data.train_size,
        data.imbalance,
        data.num_labeled,
        data.balance_labeled,
        data.unknown_unlabeled,
        data.seed,
        **data.membership(),
    )
    labeled = labels[labels != UNKNOWN]
    split = split_classes(labeled, request)
    if data.has_unlabeled_samples:
        split = split._replace(unlabeled=torch.arange(len(labeled), len(labels)))
    clean = data.target_of(labels)
    targets = noisy_targets(
        data.label_noise,
        clean,
        split,
        data.noisy_val,
        data.seed,
        data.class_names,
        data.lookalikes,
        lambda noise: _given_targets(data, noise, labeled),
    )
    if data.unlabeled_batch_size is not None and not len(split.unlabeled):
        raise ValueError(
            f"data.unlabeled_batch_size {data.unlabeled_batch_size}, but data.num_labeled {data.num_labeled} labels "
            f"all {len(split.train)} training samples: lower num_labeled"
        )
    rest = torch.ones(len(clean), dtype=torch.bool)
    rest[torch.cat(list(split))] = False
    delivered = (split, targets)
    if data.applied_corrections is not None:
        targets = targets.clone()
        given = torch.where(targets == UNKNOWN, labels, torch.tensor(data.known)[targets])
        names = sample_names(data, "train", len(labels), len(labeled) if data.has_unlabeled_samples else None)
        split = data.applied_corrections.training(
            split, targets, given, data.file_class_names, data.class_names, names, data.target_of
        )
    return SplitTargets(split, targets, clean, int((rest & (clean != UNKNOWN)).sum()), delivered)


def sample_names(
    data: "ClassLabels", part: Literal["train", "test"], samples: int, labeled: int | None = None
) -> SampleNames:
    """Returns how corrections can name the samples of a set, of which the first `labeled` have a label."""
    other = "test" if part == "train" else "train"
    elsewhere = [*data.files[other], *data.left_out_files()] if other in data.files else None
    ids = data.content_ids(part)
    contents = (ids, data.content_ids("all")) if len(ids) == samples else ([], [])
    # A pool's file may have the name of a labeled one, and has no label to correct.
    names = data.test_class_names if part == "train" else ()
    return SampleNames(data.files.get(part, [])[:labeled], elsewhere, *contents, other_names=names)


def class_report(data: "ClassLabels") -> dict[str, Any]:
    """Returns class names, the number of samples of each class in each part, and the measured noise rates."""
    report: dict[str, Any] = {"class_names": data.class_names}
    targets: dict[str, Tensor] = {}
    if data.split is not None and data.targets is not None and data.clean_targets is not None:
        parts = data.split.parts()
        targets = {part: data.targets[indices] for part, indices in parts.items()}
        if data.label_noise is not None:
            wrong = (data.targets != data.clean_targets).double()
            noisy = ["train", "val"] if data.noisy_val and data.validates else ["train"]
            report["label_noise"] = {part: wrong[parts[part]].mean().item() for part in noisy}
    if data.test_set is not None:
        targets["test"] = data.test_set.targets[data.test_set.indices]
    report["per_class"] = {part: count_classes(each, data.num_classes) for part, each in targets.items()}
    used: dict[str, Any] = {"file": None}
    if data.applied_corrections is not None:
        used = {"file": data.applied_corrections.file, **data.applied_corrections.counts}
    if data.other_corrections.trained_with is not None:
        report["test_corrections"] = used
    elif data.applied_corrections is not None:
        report["corrections"] = used
    if data.has_unlabeled_samples and "unlabeled" in targets:
        report["without_label"] = {"unlabeled": len(targets.pop("unlabeled"))}
    if unknown := {part: count for part, each in targets.items() if (count := int((each == UNKNOWN).sum()))}:
        report["unknown"] = unknown
    return report


def count_classes(targets: Tensor, num_classes: int) -> list[int]:
    """Returns the number of samples of each class; those of unknown classes do not count."""
    return torch.bincount(targets[targets != UNKNOWN], minlength=num_classes).tolist()


def _given_targets(data: "ClassLabels", noise: HumanNoise | FileNoise, labels: Tensor) -> Tensor:
    """Returns the targets that a file gives the labeled samples of the full training set, int64 `[N]`."""
    if isinstance(noise, HumanNoise):
        return data.target_of(noise.given_labels(data.root, labels))
    names = {column: each[: len(labels)] for column, each in data.sample_names().items()}
    ordered = data.membership().get("ids") is None
    return data.target_of(noise.given_labels(data.root, labels, data.file_class_names, names, ordered))
