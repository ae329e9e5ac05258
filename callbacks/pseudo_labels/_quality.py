"""Labels of an unlabeled pool: how many are used and right, their file, and a figure of the worst."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from litzoo.callbacks.files import write_csv
from litzoo.callbacks.reporting.figures import Captioned, draw_image_rows, in_rows
from litzoo.callbacks.samples import ABSENT, label_names
from litzoo.datamodules.batch import UNKNOWN

COLUMNS = 6


def pool_rows(columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Picks the samples that have a label, in the order of the training set.

    Args:
        columns: As `PoolLabels` keeps them, `[N]` each.

    Returns:
        `index`, `label`, `confidence`, `used` (bool) and `clean` of n samples, on the CPU.
    """
    kept = {name: values.cpu() for name, values in columns.items()}
    index = torch.nonzero(kept["label"] != ABSENT)[:, 0]
    rows = {name: kept[name][index] for name in ("label", "confidence", "used", "clean")}
    return {"index": index, **rows, "used": rows["used"] == 1}


def wrong(rows: Mapping[str, Tensor]) -> Tensor:
    """Says which labels are known to be wrong, bool `[n]`; that of a sample of an unknown class always is."""
    return (rows["clean"] != ABSENT) & (rows["clean"] != rows["label"])


def pool_fractions(rows: Mapping[str, Tensor], class_names: Sequence[str]) -> dict[str, float]:
    """Returns how many samples are used, and how many of the labels used are right.

    Args:
        rows: As `pool_rows` returns them, one at least.
        class_names: In the order of the labels.

    Returns:
        `used`, the fraction of the samples; `used/<class>`, of the samples of a class: their true one, or where that is
        not known the one of their label; `used/unknown`, of the samples of unknown classes. `purity`, the fraction of
        right labels among those used whose true one is known; `purity/<class>`, among those that name a class. What
        would be a fraction of nothing is left out.
    """
    used, label, clean = rows["used"], rows["label"], rows["clean"]
    belongs = torch.where(clean == ABSENT, label, clean)
    judged, right = used & (clean != ABSENT), ~wrong(rows)
    fractions = {"used": _fraction(used)}
    if judged.any():
        fractions["purity"] = _fraction(right[judged])
    for number, name in [*enumerate(class_names), (UNKNOWN, "unknown")]:
        # A slash in a name would open a sub-group in TensorBoard.
        name, of, named = name.replace("/", "-"), belongs == number, judged & (label == number)
        if of.any():
            fractions[f"used/{name}"] = _fraction(used[of])
        if named.any():
            fractions[f"purity/{name}"] = _fraction(right[named])
    return fractions


def write_pseudo_labels(
    path: Path, rows: Mapping[str, Tensor], class_names: Sequence[str], files: Mapping[str, Sequence[str]]
) -> None:
    """Writes labels of a pool as CSV.

    Args:
        path: Of the file, with the columns `index`, `label`, `confidence`, `used` and, where any is known, `true`.
        rows: As `pool_rows` returns them.
        class_names: In the order of the labels.
        files: A column with the samples' files, or none.
    """
    names = label_names(class_names)
    columns: dict[str, Sequence[object]] = {
        "index": rows["index"].tolist(),
        **files,
        "label": [names[label] for label in rows["label"].tolist()],
        "confidence": [f"{confidence:.6g}" for confidence in rows["confidence"].tolist()],
        "used": rows["used"].tolist(),
    }
    if bool((rows["clean"] != ABSENT).any()):
        columns["true"] = [names[label] for label in rows["clean"].tolist()]
    write_csv(path, columns)


def most_confident_wrong(rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Picks the wrong labels that were used, the most confident first; of equal ones the first in the training set."""
    chosen = torch.nonzero(wrong(rows) & rows["used"])[:, 0]
    chosen = chosen[rows["confidence"][chosen].argsort(descending=True, stable=True)]
    return {name: values[chosen] for name, values in rows.items()}


def draw_wrong_labels(mistakes: Mapping[str, Tensor], images: Tensor, class_names: Sequence[str]) -> Figure:
    """Draws wrong labels that were used, with the true ones and the confidence.

    Args:
        mistakes: As `most_confident_wrong` returns them.
        images: Of the first n of them, uint8 `[n, C, H, W]`.
        class_names: In the order of the labels.
    """
    names = label_names(class_names)
    columns = zip(*(mistakes[name].tolist() for name in ("label", "clean", "confidence")), strict=True)
    shown = [
        Captioned(image, f"label {names[label]}\ntrue {names[clean]}\n{confidence:.4f}")
        for image, (label, clean, confidence) in zip(images, columns, strict=False)
    ]
    heading = f"the {len(shown)} most confident of {len(mistakes['index']):,} wrong pseudo-labels in use"
    return draw_image_rows(in_rows(shown, COLUMNS), heading, COLUMNS)


def _fraction(yes: Tensor) -> float:
    return float(yes.double().mean())
