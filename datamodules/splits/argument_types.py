"""Checks of the options of data with classes; the command line checks types itself, Python does not."""

import inspect
from typing import Any

from litzoo.datamodules.splits.file_noise import FileNoise
from litzoo.datamodules.splits.human_noise import HumanNoise
from litzoo.datamodules.splits.imbalance import Imbalance
from litzoo.datamodules.splits.label_noise import LabelNoise

NOISE = "SymmetricNoise(0.2), or an AsymmetricNoise, MatrixNoise, HumanNoise or FileNoise"
IMBALANCE = "LongTailed(100), or a StepImbalance or ClassCounts"


def check_split_types(label_noise: Any, imbalance: Any, known_classes: Any) -> None:
    """Refuses what is no label noise, no imbalance or no list of classes.

    Raises:
        TypeError: The message says what is accepted.
    """
    if not isinstance(label_noise, LabelNoise | HumanNoise | FileNoise | None):
        raise TypeError(f"data.label_noise: {_described(label_noise)} is not a label noise; give {NOISE}")
    if not isinstance(imbalance, Imbalance | None):
        raise TypeError(f"data.imbalance: {_described(imbalance)} is not an imbalance; give {IMBALANCE}")
    if known_classes is not None and not isinstance(known_classes, (list, tuple, range)):
        raise TypeError(
            f"data.known_classes: {_described(known_classes)} is not a list of classes; give names or labels, such as "
            "[0, 1, 2]"
        )


def _described(value: Any) -> str:
    return f"the class {value.__name__}" if inspect.isclass(value) else repr(value)


def check_class_options(
    num_labeled: Any,
    unlabeled_batch_size: int | None,
    has_unlabeled_samples: bool,
    noisy: bool,
    noisy_val: bool,
    sampling: str,
    effective_beta: float,
) -> None:
    """Refuses options of classes that are out of range, or conflict.

    Raises:
        ValueError: The message names the option, its value and what is accepted.
    """
    if noisy_val and not noisy:
        raise ValueError("data.noisy_val is true, but data.label_noise is null: set both or neither")
    has_pool = num_labeled is not None or has_unlabeled_samples
    if unlabeled_batch_size is not None and (not has_pool or unlabeled_batch_size < 1):
        raise ValueError(
            f"data.unlabeled_batch_size {unlabeled_batch_size} with data.num_labeled {num_labeled}: give at least 1, "
            "and the number of labeled samples"
        )
    if num_labeled is not None and has_unlabeled_samples:
        raise ValueError(
            f"data.num_labeled {num_labeled} hides labels, but data.unlabeled_folder provides images without one: "
            "leave one of them out; data.train_size takes fewer labeled images"
        )
    if sampling not in ("shuffle", "weighted", "balanced"):
        raise ValueError(f"data.sampling: {sampling!r} is not one of shuffle, weighted, balanced")
    if not 0 <= effective_beta < 1:
        raise ValueError(f"data.effective_beta: {effective_beta} is outside [0, 1); give for example 0.999")
