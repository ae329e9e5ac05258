from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.picture_rows import Captioned, draw_picture_rows


class TestedPictures(NamedTuple):
    """Test samples that can be shown.

    Attributes:
        scores: Higher = more unknown, `[N]`.
        unknown: Which are of an unknown class, bool `[N]`.
        names: What they really are, N names.
        answers: What they would be taken for, N names of known classes.
        pictures: Returns the pictures of rows `[n]`, uint8 `[n, C, H, W]`.
    """

    scores: Tensor
    unknown: Tensor
    names: Sequence[str]
    answers: Sequence[str]
    pictures: Callable[[Tensor], Tensor]


def draw_gallery(tested: TestedPictures, threshold: float, count: int) -> Figure:
    """Draws unknown samples that were found, those that were missed, and known ones that were refused.

    Args:
        tested: What there is.
        threshold: Above it a sample is called unknown.
        count: Pictures in a row: of the found ones the surest, of the others the most mistaken.
    """
    scores, unknown = tested.scores, tested.unknown
    rejected = scores > threshold
    kinds = {
        "unknown, found": (unknown & rejected, scores),
        "unknown, missed": (unknown & ~rejected, -scores),
        "known, refused": (~unknown & rejected, scores),
    }
    rows = []
    for among, order in kinds.values():
        chosen = _first(order, among, count)
        captions = [
            f"{tested.names[row]}\nlike {tested.answers[row]}\n{_short(scores[row])}" for row in chosen.tolist()
        ]
        rows.append(list(map(Captioned, tested.pictures(chosen), captions)))
    heading = f"true class, what it looks like to the model, score (unknown above {_short(threshold)})"
    names = [f"{name}\n{int(among.sum()):,}" for name, (among, _) in kinds.items()]
    return draw_picture_rows(rows, heading, count, names)


def _short(score: Tensor | float) -> str:
    return f"{score:#.3g}".rstrip(".")


def _first(order: Tensor, among: Tensor, count: int) -> Tensor:
    """Returns the rows with the largest values among some, at most `count`."""
    rows = torch.nonzero(among)[:, 0]
    return rows[order[rows].argsort(descending=True, stable=True)[:count]]
