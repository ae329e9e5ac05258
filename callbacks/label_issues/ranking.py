"""Ranking of training samples by how likely their label is wrong: on plain tensors, without a trainer.

`rank_suspects` ranks per-sample losses, `count_flagged` tells how many to review, `ranking_quality` evaluates a ranking
where the true labels are known. The callback `NoisyLabelFinder` collects the losses during training.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from litzoo.callbacks.files import write_csv
from litzoo.callbacks.reporting.figures import CaptionedImage, draw_image_rows, split_into_rows
from litzoo.callbacks.samples import ABSENT, label_names

_FIGURE_COLUMNS = 6


def rank_suspects(seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ranks samples by their mean loss, the most suspicious first; ties are in the order of the training set.

    Args:
        seen: For each of N positions in the training set the sum of its losses (`loss`), how many were added (`count`;
            samples with 0 are left out), and the labels `given`, `predicted` and true (`clean`, `ABSENT` if not known);
            `SampleLosses.seen` is of this form.

    Returns:
        `index`, `score` (the mean loss, float64), `given`, `predicted` and `clean` of the n ranked samples, on the CPU.
    """
    columns = {name: values.cpu() for name, values in seen.items()}
    index = torch.nonzero(columns["count"])[:, 0]
    score = columns["loss"][index].double() / columns["count"][index]
    order = torch.argsort(score, descending=True, stable=True)
    index = index[order]
    labels = {name: columns[name][index].long() for name in ("given", "predicted", "clean")}
    return {"index": index, "score": score[order], **labels}


def count_flagged(score: Tensor) -> int:
    """Returns how many of the highest scores to flag: the split in two groups with the largest variance between them.

    Otsu, "A threshold selection method from gray-level histograms", 1979, without the histogram.

    Args:
        score: `[n]`, in descending order.
    """
    if len(score) < 2:
        return 0
    above = torch.arange(1, len(score), dtype=torch.double)
    below, total = len(score) - above, score.cumsum(0)
    between = above * below * (total[:-1] / above - (total[-1] - total[:-1]) / below) ** 2
    return int(between.argmax()) + 1 if between.max() > 0 else 0


def wrong_labels(ranking: Mapping[str, Tensor]) -> Tensor:
    """Returns which labels of a ranking are known to be wrong, bool `[n]`."""
    return (ranking["clean"] != ABSENT) & (ranking["clean"] != ranking["given"])


def ranking_quality(wrong: Tensor) -> dict[str, float]:
    """Evaluates a ranking against the true labels.

    Args:
        wrong: Whether each label is wrong, bool `[n]`, the most suspicious first.

    Returns:
        `precision` and `recall` of the first W samples, where W is the number of wrong labels (so that both are equal),
        and `average_precision` of the whole ranking; an empty dict if no label is wrong.
    """
    if not (total := int(wrong.sum())):
        return {}
    found = wrong.double().cumsum(0)
    hits = float(found[total - 1]) / total
    precision = found / torch.arange(1, len(wrong) + 1)
    return {"precision": hits, "recall": hits, "average_precision": float(precision[wrong].mean())}


def write_suspects(
    path: Path, ranking: Mapping[str, Tensor], class_names: Sequence[str], files: Mapping[str, Sequence[str]]
) -> None:
    """Writes a ranking as CSV.

    The columns are `rank` (from 1), `index`, those of `files`, `given`, `predicted`, `score`, `flagged` and, if a true
    label is known, `true`.

    Args:
        path: Path of the file.
        ranking: From `rank_suspects`.
        class_names: Names in the order of the labels.
        files: `{"file": names}` if samples are files, otherwise empty.
    """
    names, samples = label_names(class_names), len(ranking["index"])
    flagged = count_flagged(ranking["score"])
    columns: dict[str, Sequence[object]] = {
        "rank": range(1, samples + 1),
        "index": ranking["index"].tolist(),
        **files,
        "given": [names[label] for label in ranking["given"].tolist()],
        "predicted": [names[label] for label in ranking["predicted"].tolist()],
        "score": [f"{score:.6g}" for score in ranking["score"].tolist()],
        "flagged": [rank < flagged for rank in range(samples)],
    }
    if bool((ranking["clean"] != ABSENT).any()):
        columns["true"] = [names[label] for label in ranking["clean"].tolist()]
    write_csv(path, columns)


def draw_suspects(ranking: Mapping[str, Tensor], images: Tensor, class_names: Sequence[str]) -> Figure:
    """Draws the first samples of a ranking with their labels, in red if the given label is known to be wrong.

    Args:
        ranking: From `rank_suspects`.
        images: Images of its first n samples, uint8 `[n, C, H, W]`.
        class_names: Names in the order of the labels.
    """
    names, known = label_names(class_names), bool((ranking["clean"] != ABSENT).any())
    labels = zip(*(ranking[name].tolist() for name in ("given", "predicted", "clean")), strict=True)
    captioned = []
    for image, (given, predicted, clean) in zip(images, labels, strict=False):
        caption = f"given {names[given]}\npredicted {names[predicted]}"
        if clean != ABSENT:
            caption += f"\ntrue {names[clean]}"
        captioned.append(CaptionedImage(image, caption, "tab:red" if clean not in (ABSENT, given) else "black"))
    flagged, samples = count_flagged(ranking["score"]), len(ranking["index"])
    heading = f"{flagged:,} of {samples:,} training labels are flagged; the {len(images)} most suspicious"
    if known:
        heading += "; red: the label is wrong"
    return draw_image_rows(split_into_rows(captioned, _FIGURE_COLUMNS), heading, _FIGURE_COLUMNS)
