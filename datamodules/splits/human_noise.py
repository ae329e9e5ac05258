"""Labels given by people: CIFAR-10N, CIFAR-100N and files like them."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.io.paths import require_file

RECONSTRUCT = np.empty(0).__reduce__()[0]
"""NumPy's function that unpickles an array, under different names in files of NumPy 1 and 2."""
ALLOWED: list[Any] = [
    (RECONSTRUCT, "numpy.core.multiarray._reconstruct"),
    (RECONSTRUCT, "numpy._core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    type(np.dtype(np.int64)),
]
"""The only functions and classes that the file may name: arrays of whole numbers are built, and no code is run."""


class HumanNoise:
    """Labels that people gave to the training images, in place of the true ones (CIFAR-10N, Wei et al. 2022).

    The file holds a dictionary of int64 arrays: the true labels, `clean_label`, and one or more sets of human labels,
    all in the order of the original training images. Images from class folders get the label of their number within
    their class, so that sorted by name they have to be in that order too.

    Args:
        labels: Which labels of the file: for CIFAR-10N `worse_label` (40.2 % wrong), `aggre_label` (9.0 %), or
            `random_label1` to `random_label3` (17.2, 18.1 and 17.6 %); for CIFAR-100N `noisy_label` (40.2 %).
        file: Path of the file, absolute or in `data.root`; `cifar10n/CIFAR-100_human.pt` for CIFAR-100N.
    """

    def __init__(self, labels: str = "worse_label", file: str = "cifar10n/CIFAR-10_human.pt") -> None:
        self.labels, self.file = labels, file

    def given_labels(self, root: Path, true_labels: Tensor) -> Tensor:
        """Returns the human label of each training image, int64 `[N]`.

        Args:
            root: Folder of the data.
            true_labels: Labels of the full training set, int64 `[N]`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is not such a file, has no such labels, or is of other images.
        """
        path = root / self.file
        content = _read(path)
        # CIFAR-100N also has labels of the twenty superclasses, which are no classes here.
        human = {name for name in content if not name.startswith("clean") and "coarse" not in name}
        if self.labels not in human:
            available = ", ".join(sorted(human))
            raise ValueError(f"HumanNoise.labels: {self.labels!r} is not in {path}; it has {available}")
        clean, given = content["clean_label"], content[self.labels]
        true = true_labels.numpy()
        classes = max(clean.max(), true.max()) + 1
        counts, expected = (np.bincount(each, minlength=classes) for each in (clean, true))
        if len(given) != len(clean) or given.min() < 0 or given.max() >= classes or (counts != expected).any():
            raise ValueError(
                f"HumanNoise.file: {path} has labels of {len(given)} images, {counts.tolist()} of each class, but the "
                f"training set has {len(true)}, {expected.tolist()}; use the file of this data set"
            )
        # In the original order of the images this is the identity.
        by_class = np.empty_like(given)
        by_class[np.argsort(true, kind="stable")] = given[np.argsort(clean, kind="stable")]
        return torch.from_numpy(by_class)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        require_file(path)
        with torch.serialization.safe_globals(ALLOWED):
            content = torch.load(path, weights_only=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"HumanNoise.file: {path} is absent; put CIFAR-10N's {path.name} there, or give its path"
        ) from error
    except UnpicklingError as error:
        raise ValueError(
            f"HumanNoise.file: {path} is damaged, or holds something other than int64 arrays; it was not loaded"
        ) from error
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"HumanNoise.file: {path} cannot be read as a dictionary of labels ({reason})") from error
    if not isinstance(content, dict) or not all(_is_labels(each) for each in content.values()):
        raise ValueError(f"HumanNoise.file: {path} is not a dictionary of int64 arrays of one length each")
    if "clean_label" not in content:
        raise ValueError(f"HumanNoise.file: {path} has no clean_label, but {', '.join(map(str, content)) or 'nothing'}")
    return content


def _is_labels(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.int64 and value.ndim == 1 and len(value) > 0
