"""Messages for arguments of the wrong type; the command line checks types itself, Python does not."""

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
