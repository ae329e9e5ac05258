"""How well two classes are ranked: average precision and AUROC, for imbalanced data beside the accuracy."""

import json
import re
import shlex
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.utilities import dim_zero_cat


class TwoClassRanking(Metric):
    """Average precision and AUROC of the second class, the positive one, ranked by its probability.

    Neither depends on a threshold, or on a temperature. By chance, the average precision is the fraction of samples of
    the second class, and the AUROC 0.5.
    """

    margins: list[Tensor]
    positive: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("margins", [], dist_reduce_fx="cat")
        self.add_state("positive", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds logits `[B, 2]` and classes `[B]`."""
        self.margins.append((preds[:, 1] - preds[:, 0]).float())
        self.positive.append(target)

    def compute(self) -> Any:
        """Returns `average_precision` and `auroc`, NaN if a logit is; nothing if one of the classes has no sample."""
        margins, positive = (dim_zero_cat(each).cpu().reshape(-1) for each in (self.margins, self.positive))
        if len(positive.unique()) < 2:
            return {}
        if margins.isnan().any():
            return dict.fromkeys(("average_precision", "auroc"), torch.tensor(torch.nan))
        # torchmetrics takes the sigmoid of logits, which in float32 makes confident predictions equal: ranks instead.
        ranks = margins.unique(return_inverse=True)[1].double()
        ranks = ranks / ranks.max().clamp(min=1)
        return {
            "average_precision": binary_average_precision(ranks, positive),
            "auroc": binary_auroc(ranks, positive),
        }


def ranked_class(names: Sequence[str], counts: Sequence[int], takes_known_classes: bool) -> str:
    """Says of which class the metrics are, and how to get those of the other one if that is the rare one.

    Args:
        names: Names of the two classes.
        counts: Their numbers of training samples; 0 if not known.
        takes_known_classes: Whether the datamodule has the option `known_classes`, which orders the classes.
    """
    text = f"average_precision and auroc are of the class {names[1]}, the second one"
    if counts[1] <= counts[0]:
        return f"{text}."
    # The classes of tables and folders are sorted by name: the second one need not be the one that is looked for.
    option = shlex.quote(f"[{', '.join(map(_as_yaml, reversed(names)))}]")
    remedy = f" in a new training with --data.known_classes {option}" if takes_known_classes else ""
    return f"{text}, which is the more frequent one in training. For those of {names[0]}, put it second{remedy}."


def _as_yaml(name: str) -> str:
    """Returns a class name as an item of a YAML list; `yes` and `01` are found without quotes too."""
    return name if re.fullmatch(r"\w([\w .-]*\w)?", name) else json.dumps(name, ensure_ascii=False)
