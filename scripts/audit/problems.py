"""What else an audit finds beside wrong labels: copies with different labels, and samples far from every class."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from litzoo.datamodules.splits.near_duplicates import SIDE, find_pairs
from litzoo.scripts.audit.pool import CHUNK, Pool

NEIGHBOURS = 30
"""Neighbours that a sample must have, or half of a class if that is less: more than there are strange images alike."""
FAR = 3.5
"""Deviations from the median beyond which a distance is far.

Both values were set on digits, MNIST and Fashion-MNIST with 40 images of another data set and 20 of noise among them.
"""


class Problems(NamedTuple):
    """What is found of each audited sample, in the order of their positions in the pool.

    Attributes:
        copy: Position in the pool of a copy with another label, int64 `[n]`; -1 for none.
        far: Whether it is far from every class, bool `[n]`.
    """

    copy: Tensor
    far: Tensor

    def columns(self, names: Sequence[str]) -> dict[str, list[object]]:
        """Returns columns of `suspects.csv`: the name of the copy, empty for none, and whether the sample is far.

        Args:
            names: Names of all samples in the pool.
        """
        copies = [names[each] if each >= 0 else "" for each in self.copy.tolist()]
        return {"copy_with_other_label": copies, "far": self.far.tolist()}

    def reasons(self, names: Sequence[str], labels: Sequence[str]) -> list[list[str]]:
        """Says in words what is found of each sample.

        Args:
            names: Names of all samples in the pool.
            labels: Their labels.
        """
        return [
            ([f"its copy {names[copy]} is labelled {labels[copy]}"] if copy >= 0 else [])
            + (["far from every class"] if far else [])
            for copy, far in zip(self.copy.tolist(), self.far.tolist(), strict=True)
        ]

    def reordered(self, order: Tensor) -> "Problems":
        """Returns those of the samples at places `[m]`, in this order."""
        return Problems(self.copy[order], self.far[order])


def problems_of(outputs: Mapping[str, Tensor], pool: Pool, datamodule: Any) -> Problems:
    """Looks for problems.

    Args:
        outputs: `position`, `features`, `probabilities` and `fold` of all samples, in the order of their positions.
        pool: The samples.
        datamodule: Where they are from.
    """
    position = outputs["position"]
    copies = disputed_copies(pool, position, pool.content_ids(datamodule, position))
    far = far_samples(outputs["features"], outputs["fold"], outputs["probabilities"].argmax(dim=1))
    copy = torch.tensor([copies.get(each, -1) for each in position.tolist()], dtype=torch.int64)
    return Problems(copy, far)


def disputed_copies(pool: Pool, position: Tensor, ids: Sequence[str]) -> dict[int, int]:
    """Finds samples with a copy that has another label: position -> position of the copy.

    Images are compared by small versions of themselves (`find_pairs`), rows by their content ids.

    Args:
        pool: The samples.
        position: Positions of the audited ones, int64 `[n]`.
        ids: Their content ids, if they have any.
    """
    labels, found = pool.targets[position], dict[int, int]()
    sample = pool.rows.index_select(0, position[:1])
    pairs: list[tuple[int, int]] = []
    if sample.ndim == 4 and sample.dtype == torch.uint8:
        small = torch.cat([resize(pool.rows.index_select(0, part), [SIDE, SIDE]) for part in position.split(CHUNK)])
        for label in labels.unique().tolist():
            one, others = (torch.nonzero(chosen)[:, 0] for chosen in (labels == label, labels > label))
            pairs += find_pairs(small, one, others)
    else:
        seen: dict[str, dict[int, int]] = {}  # id -> label -> first row
        for row, (name, label) in enumerate(zip(ids, labels.tolist(), strict=False)):
            known = seen.setdefault(name, {})
            pairs += [(row, copy) for their, copy in known.items() if their != label]
            known.setdefault(label, row)
    places = position.tolist()
    for row, copy in pairs:
        found.setdefault(places[row], places[copy])
        found.setdefault(places[copy], places[row])
    return found


def far_samples(features: Tensor, fold: Tensor, predicted: Tensor) -> Tensor:
    """Returns which samples are far from all others of their fold, bool `[n]`.

    The distance is the cosine distance of the features to the 30th nearest sample of the fold, whose samples the model
    has not seen (as the score of Sun et al. 2022 is to training samples); far is more than 3.5 robust standard
    deviations above the median.

    Args:
        features: Features of each fold's own model, `[n, D]`; with D = 0 none is far.
        fold: Number of the fold, int64 `[n]`.
        predicted: Predicted classes, int64 `[n]`.
    """
    far = torch.zeros(len(fold), dtype=torch.bool)
    if not features.shape[1]:
        return far
    for number in fold.unique().tolist():
        inside = torch.nonzero(fold == number)[:, 0]
        counts = torch.bincount(predicted[inside])
        count = min(NEIGHBOURS, max(1, int(counts[counts > 0].median()) // 2), len(inside) - 1)
        if count < 1:
            continue
        _, similar = nearest_in_fold(features, inside, inside, count)
        distance = 1 - similar[:, -1]
        middle = distance.median()
        spread = 1.4826 * (distance - middle).abs().median()  # the standard deviation of normally distributed values
        far[inside] = distance > middle + FAR * spread.clamp(min=1e-6)
    return far


def nearest_in_fold(features: Tensor, rows: Tensor, inside: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns the samples of a fold with the most similar features, int64 `[m, count]`, and the cosine similarities.

    Args:
        features: Features of all samples, `[n, D]`; those of different folds are of different models.
        rows: Samples of the fold whose neighbours are looked for, int64 `[m]`.
        inside: All samples of the fold, int64.
        count: How many; the sample itself is none of them.
    """
    known = torch.nn.functional.normalize(features[inside].float(), dim=1)
    found = []
    for part in rows.split(CHUNK):
        similar = torch.nn.functional.normalize(features[part].float(), dim=1) @ known.T
        similar[part[:, None] == inside[None]] = -torch.inf
        found.append(similar.topk(count, dim=1))
    if not found:
        return torch.zeros(0, count, dtype=torch.int64), torch.zeros(0, count)
    return inside[torch.cat([each.indices for each in found])], torch.cat([each.values for each in found])
