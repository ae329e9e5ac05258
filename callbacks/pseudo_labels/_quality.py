"""Coverage and accuracy of the pseudo-labels of an unlabeled pool, their CSV file, and a figure of the wrong ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from litzoo.callbacks.files import write_csv
from litzoo.callbacks.reporting.figures import CaptionedImage, draw_image_rows, split_into_rows
from litzoo.callbacks.samples import ABSENT, label_names
from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.tables.naming import apart

_FIGURE_COLUMNS = 6


def pool_rows(columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Selects the samples that have a pseudo-label, in the order of the training set.

    Args:
        columns: Columns `[N]` of `PoolLabels`.

    Returns:
        `index`, `label`, `confidence`, `used` (bool) and `clean` of n samples, on the CPU.
    """
    columns = {name: values.cpu() for name, values in columns.items()}
    index = torch.nonzero(columns["label"] != ABSENT)[:, 0]
    rows = {name: columns[name][index] for name in ("label", "confidence", "used", "clean")}
    return {"index": index, **rows, "used": rows["used"] == 1}


def coverage_and_accuracy(rows: Mapping[str, Tensor], class_names: Sequence[str]) -> dict[str, float]:
    """Returns the fraction of samples that are used for training, and the fraction of correct labels among these.

    Args:
        rows: From `pool_rows`, at least one.
        class_names: Names in the order of the labels.

    Returns:
        `coverage`, the fraction of samples used; `coverage/<class>`, of the samples of a class, by the true label or,
        if it is not known, by the pseudo-label; `coverage/unknown`, of the samples of unknown classes; `accuracy`, the
        fraction of correct pseudo-labels among the used ones with a known true label; `accuracy/<class>`, of the
        pseudo-labels of a class. Fractions of no samples are left out.
    """
    used, label, clean = rows["used"], rows["label"], rows["clean"]
    class_of = torch.where(clean == ABSENT, label, clean)
    evaluated, right = used & (clean != ABSENT), ~_is_wrong(rows)
    fractions = {"coverage": _fraction(used)}
    if evaluated.any():
        fractions["accuracy"] = _fraction(right[evaluated])
    for number, name in [*enumerate(class_names), (UNKNOWN, "unknown")]:
        name = name.replace("/", "-")  # a slash in a name would open a sub-group in TensorBoard
        members, predicted = class_of == number, evaluated & (label == number)
        if members.any():
            fractions[f"coverage/{name}"] = _fraction(used[members])
        if predicted.any():
            fractions[f"accuracy/{name}"] = _fraction(right[predicted])
    return fractions


def write_pseudo_labels(
    path: Path, rows: Mapping[str, Tensor], class_names: Sequence[str], files: Mapping[str, Sequence[str]]
) -> None:
    """Writes the pseudo-labels of a pool as CSV.

    The columns are `index`, those of `files`, `label`, `confidence`, `used` and, if a true label is known, `true`.

    Args:
        path: Path of the file.
        rows: From `pool_rows`.
        class_names: Names in the order of the labels.
        files: `{"file": names}` if samples are files, otherwise empty.
    """
    names = label_names(class_names)
    index: dict[str, Sequence[object]] = {"index": rows["index"].tolist()}
    columns: dict[str, Sequence[object]] = {
        "label": [names[label] for label in rows["label"].tolist()],
        "confidence": [f"{confidence:.6g}" for confidence in rows["confidence"].tolist()],
        "used": rows["used"].tolist(),
    }
    if bool((rows["clean"] != ABSENT).any()):
        columns["true"] = [names[label] for label in rows["clean"].tolist()]
    write_csv(path, index | apart(files, {*index, *columns}, path.name) | columns)


def most_confident_wrong(rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Selects the used pseudo-labels that are wrong, by descending confidence; ties are in training set order."""
    chosen = torch.nonzero(_is_wrong(rows) & rows["used"])[:, 0]
    chosen = chosen[rows["confidence"][chosen].argsort(descending=True, stable=True)]
    return {name: values[chosen] for name, values in rows.items()}


def draw_wrong_labels(
    mistakes: Mapping[str, Tensor], images: Tensor, class_names: Sequence[str], columns: int = _FIGURE_COLUMNS
) -> Figure:
    """Draws images with wrong pseudo-labels, captioned with pseudo-label, true label and confidence.

    Args:
        mistakes: From `most_confident_wrong`.
        images: Images of the first n of them, uint8 `[n, C, H, W]`.
        class_names: Names in the order of the labels.
        columns: Images in a row.
    """
    names = label_names(class_names)
    labels = zip(*(mistakes[name].tolist() for name in ("label", "clean", "confidence")), strict=True)
    captioned = [
        CaptionedImage(image, f"label {names[label]}\ntrue {names[clean]}\n{confidence:.4f}")
        for image, (label, clean, confidence) in zip(images, labels, strict=False)
    ]
    heading = f"the {len(captioned)} most confident of {len(mistakes['index']):,} wrong pseudo-labels in use"
    return draw_image_rows(split_into_rows(captioned, columns), heading, columns)


def _is_wrong(rows: Mapping[str, Tensor]) -> Tensor:
    """Returns which labels are known to be wrong, bool `[n]`; any label of a sample of an unknown class is."""
    return (rows["clean"] != ABSENT) & (rows["clean"] != rows["label"])


def _fraction(values: Tensor) -> float:
    return float(values.double().mean())
