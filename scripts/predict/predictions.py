"""The predictions for several samples, and their table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from litzoo.callbacks.reporting.predictions_csv import joined_names, number_cells
from litzoo.datamodules.batch import UNKNOWN

SHOWN = 10
"""Number of samples in the printed table."""


@dataclass
class Predictions:
    """Predictions for N samples, on the CPU; what a module does not predict is `None` or empty.

    Attributes:
        class_names: Names of the K known classes, in the order of the probabilities; empty for a regressor.
        prediction: Class of each sample, int64 `[N]`, `UNKNOWN` (-1) for unknown ones; or values in the target's units,
            float32 `[N]`.
        probabilities: Softmax of the logits, float32 `[N, K]`.
        confidence: Largest probability, float32 `[N]`.
        unknown_score: Score of the unknown-class detection, float32 `[N]`, higher = more unknown.
        threshold: Score above which a sample is unknown.
        files: Names of the files, N of them; empty if the samples are not files.
        unreadable: Messages about files that were skipped.
        prediction_set: Which classes are in the set of each sample, bool `[N, K]`, if the training had
            `PredictionSets`.
        lower: Lower bound of each interval, float32 `[N]`, if the training had `PredictionIntervals`.
        upper: Upper bound.
        coverage: Probability that a set or an interval contains the truth.
    """

    prediction: Tensor
    class_names: Sequence[str] = ()
    probabilities: Tensor | None = None
    confidence: Tensor | None = None
    unknown_score: Tensor | None = None
    threshold: float | None = None
    files: Sequence[str] = ()
    unreadable: Sequence[str] = field(default_factory=list)
    prediction_set: Tensor | None = None
    lower: Tensor | None = None
    upper: Tensor | None = None
    coverage: float | None = None

    def __len__(self) -> int:
        return len(self.prediction)

    def __str__(self) -> str:
        """Returns a table of the first samples."""
        columns = {name: [str(cell) for cell in cells[:SHOWN]] for name, cells in self.columns().items()}
        if self.files:
            columns = {"file": list(self.files[:SHOWN])} | columns
        rows = [[*columns], *zip(*columns.values(), strict=True)]
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([f"{len(self):,} predictions", *lines, *(["..."] if len(self) > SHOWN else [])])

    @property
    def unknown(self) -> Tensor:
        """Which samples are of an unknown class, bool `[N]`."""
        return self.prediction == UNKNOWN if self.class_names else torch.zeros(len(self), dtype=torch.bool)

    @property
    def names(self) -> list[str]:
        """Class name of each sample, `unknown` for unknown ones; empty for a regressor."""
        labels = [*self.class_names, "unknown"]  # UNKNOWN is -1
        return [labels[label] for label in self.prediction.tolist()] if self.class_names else []

    @property
    def set_names(self) -> list[list[str]]:
        """Names of the classes in the set of each sample; empty without sets."""
        rows = [] if self.prediction_set is None else self.prediction_set.tolist()
        return [[name for name, held in zip(self.class_names, row, strict=True) if held] for row in rows]

    def columns(self, probabilities: bool = False) -> dict[str, list[Any]]:
        """Returns the columns of a table, as in `predictions.csv`.

        Args:
            probabilities: Whether to add a column `probability/<class>` for each class.
        """
        tensors = {
            "prediction": self.prediction,
            "confidence": self.confidence,
            "unknown_score": self.unknown_score,
            "lower": self.lower,
            "upper": self.upper,
        }
        columns = {name: number_cells(name, values) for name, values in tensors.items() if values is not None}
        if self.class_names:
            columns["class_name"] = self.names
        if self.prediction_set is not None:
            columns["prediction_set"] = joined_names(self.prediction_set, self.class_names)
        if probabilities and self.probabilities is not None:
            for name, values in zip(self.class_names, self.probabilities.T, strict=True):
                columns[f"probability/{name}"] = number_cells(f"probability/{name}", values)
        return columns


def joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Joins the outputs of batches, name -> tensor `[B, ...]`, into those of all samples, on the CPU."""
    return {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
