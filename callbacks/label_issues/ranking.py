"""Training samples ranked by how likely their label is wrong: the ranking, how good it is, its file and its figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from litzoo.callbacks.files import write_csv
from litzoo.callbacks.reporting.figures import Captioned, draw_image_rows, in_rows
from litzoo.callbacks.samples import ABSENT, label_names

COLUMNS = 6


def rank_suspects(seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ranks samples by their mean loss, the most suspicious first; of equal ones the first in the training set.

    Args:
        seen: `loss`, `count`, `given`, `believed` and `clean`, `[N]` each, as `SampleLosses` keeps them.

    Returns:
        `index`, `score` (the mean loss, float64), `given`, `believed` and `clean` of the n samples that were seen, on
        the CPU.
    """
    columns = {name: values.cpu() for name, values in seen.items()}
    index = torch.nonzero(columns["count"])[:, 0]
    score = columns["loss"][index].double() / columns["count"][index]
    order = torch.argsort(score, descending=True, stable=True)
    index = index[order]
    labels = {name: columns[name][index].long() for name in ("given", "believed", "clean")}
    return {"index": index, "score": score[order], **labels}


def outstanding(score: Tensor) -> int:
    """Returns how many of the highest scores make a group of their own: where the variance between two is largest.

    Otsu, "A threshold selection method from gray-level histograms", 1979, without the histogram.

    Args:
        score: `[n]`, from high to low.
    """
    if len(score) < 2:
        return 0
    above = torch.arange(1, len(score), dtype=torch.double)
    below, total = len(score) - above, score.cumsum(0)
    between = above * below * (total[:-1] / above - (total[-1] - total[:-1]) / below) ** 2
    return int(between.argmax()) + 1 if between.max() > 0 else 0


def ranking_quality(wrong: Tensor) -> dict[str, float]:
    """Compares a ranking with the truth.

    Args:
        wrong: Whether each label is wrong, bool `[n]`, the most suspicious first.

    Returns:
        `precision` and `recall` of the first samples, as many as labels are wrong (there the two are the same number),
        and `average_precision` over the whole ranking; nothing if no label is wrong.
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

    Args:
        path: Of the file, with the columns `rank` (from 1), `index`, `given`, `believed`, `score`, `stands_out` and,
            where it is known, `true`.
        ranking: As `rank_suspects` returns it.
        class_names: In the order of the labels.
        files: A column with the samples' files, or none.
    """
    names, samples = label_names(class_names), len(ranking["index"])
    standing_out = outstanding(ranking["score"])
    columns: dict[str, Sequence[object]] = {
        "rank": range(1, samples + 1),
        "index": ranking["index"].tolist(),
        **files,
        "given": [names[label] for label in ranking["given"].tolist()],
        "believed": [names[label] for label in ranking["believed"].tolist()],
        "score": [f"{score:.6g}" for score in ranking["score"].tolist()],
        "stands_out": [rank < standing_out for rank in range(samples)],
    }
    if bool((ranking["clean"] != ABSENT).any()):
        columns["true"] = [names[label] for label in ranking["clean"].tolist()]
    write_csv(path, columns)


def draw_suspects(ranking: Mapping[str, Tensor], images: Tensor, class_names: Sequence[str]) -> Figure:
    """Draws the first samples of a ranking with the label given and the one believed, red where it is wrong indeed.

    Args:
        ranking: As `rank_suspects` returns it.
        images: Of the first n of it, uint8 `[n, C, H, W]`.
        class_names: In the order of the labels.
    """
    names, known = label_names(class_names), bool((ranking["clean"] != ABSENT).any())
    labels = zip(*(ranking[name].tolist() for name in ("given", "believed", "clean")), strict=True)
    shown = []
    for image, (given, believed, clean) in zip(images, labels, strict=False):
        caption = f"given {names[given]}\nmodel {names[believed]}"
        if clean != ABSENT:
            caption += f"\ntrue {names[clean]}"
        shown.append(Captioned(image, caption, "tab:red" if clean not in (ABSENT, given) else "black"))
    standing_out, samples = outstanding(ranking["score"]), len(ranking["index"])
    heading = f"{standing_out:,} of {samples:,} training labels stand out; the {len(images)} most suspicious"
    return draw_image_rows(in_rows(shown, COLUMNS), heading + ("; red: wrong indeed" if known else ""), COLUMNS)
