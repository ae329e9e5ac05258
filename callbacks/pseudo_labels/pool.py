"""Predictions for an unlabeled pool, its newest pseudo-labels, and checks of the modules that learn from it."""

from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from litzoo.callbacks.contracts import PredictsLogits, ServesParts
from litzoo.callbacks.evaluation import evaluate_part
from litzoo.callbacks.samples import ABSENT, Reduce, SampleColumn, SampleColumns
from litzoo.lit_modules.semi_supervised import AssignedLabels, PseudoLabels

_MAX_PENDING = 50
_COLUMNS = {
    "order": SampleColumn(ABSENT, torch.int64, "max"),
    "label": SampleColumn(ABSENT, torch.int32, "max"),
    "confidence": SampleColumn(ABSENT, torch.float32, "max"),
    "used": SampleColumn(ABSENT, torch.int32, "max"),
    "clean": SampleColumn(ABSENT, torch.int32, "max"),
}


@dataclass(frozen=True)
class PoolPredictions:
    """Predictions for all samples of the unlabeled pool, in the order of `index`, on the CPU.

    Attributes:
        label: The most likely class, int64 `[U]`.
        confidence: Its probability, float32 `[U]`.
        index: Position in the full training set, int64 `[U]`.
    """

    label: Tensor
    confidence: Tensor
    index: Tensor


def predict_pool(trainer: Trainer, module: LightningModule) -> PoolPredictions:
    """Runs a model in evaluation mode on the whole pool.

    Every process has to call it; the result is the same on each.
    """
    outputs = evaluate_part(trainer, module, "unlabeled", "labels")
    confidence, label = outputs["logits"].softmax(dim=1).max(dim=1)
    return PoolPredictions(label.cpu(), confidence.cpu(), outputs["index"].cpu())


def scatter_by_position(trainer: Trainer, index: Tensor, values: Tensor) -> Tensor:
    """Returns a tensor `[N]` over the full training set, with values at positions `index` `[U]` and 0 elsewhere."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    scattered = torch.zeros(len(datamodule.targets), dtype=values.dtype)
    scattered[index] = values
    return scattered


class PoolLabels(SampleColumns):
    """The newest pseudo-label of each sample of an unlabeled pool, and whether it was used.

    `add` only queues a batch; the columns are filled once every 50 batches. Of a sample that is seen twice in an epoch
    the later label is kept, whichever process saw it; if both processes saw it at the same position, the larger label.

    Attributes:
        seen: Columns `[N]` of all complete epochs, one entry for each position in the training set: `order` (when the
            sample was last seen in its epoch, counted in samples of one process), int64; `label`, `used` (0 or 1) and
            the true label (`clean`), int32; `confidence`, float32.
    """

    def __init__(self) -> None:
        super().__init__(_COLUMNS)
        self._samples_in_epoch = 0
        self._pending: list[tuple[Tensor, ...]] = []

    def add(
        self, label: Tensor, confidence: Tensor, used: Tensor, index: Tensor, clean_target: Tensor | None = None
    ) -> None:
        """Adds a batch, `[U]` each: labels, confidences, whether used, positions and, if known, true labels."""
        clean = torch.full_like(label, ABSENT) if clean_target is None else clean_target
        self._pending.append((index, label, confidence, used, clean))
        if len(self._pending) == _MAX_PENDING:
            self.update_pending()

    def update_pending(self) -> None:
        """Writes the queued batches into the columns."""
        if not self._pending:
            return
        index, label, confidence, used, clean = (torch.cat(parts) for parts in zip(*self._pending, strict=True))
        self._pending.clear()
        self.grow_to_hold(index)
        order = torch.arange(self._samples_in_epoch, self._samples_in_epoch + len(index), device=index.device)
        self._samples_in_epoch += len(index)
        self.epoch["order"].scatter_reduce_(0, index, order, "amax")
        last = self.epoch["order"][index] == order
        for name, values in {"label": label, "confidence": confidence, "used": used, "clean": clean}.items():
            self.epoch[name][index[last]] = values[last].to(self.epoch[name].dtype)

    def state_within_epoch(self) -> dict[str, Any]:
        """Adds the number of samples seen in the epoch."""
        return {**super().state_within_epoch(), "samples_in_epoch": self._samples_in_epoch}

    def load_state_within_epoch(self, state: dict[str, Any]) -> None:
        """Restores the number of samples seen too."""
        super().load_state_within_epoch(state)
        self._samples_in_epoch = state["samples_in_epoch"]

    def merge_processes(self, epoch: dict[str, Tensor], reduce: Reduce) -> dict[str, Tensor]:
        """Merges the epoch of all processes: all columns of a sample come from the process that saw it last."""
        self._samples_in_epoch = 0
        merged, chosen = {}, torch.ones_like(epoch["order"], dtype=torch.bool)
        for name, (empty, _, reduction, _) in self.columns.items():
            merged[name] = reduce(torch.where(chosen, epoch[name], empty), reduction)
            chosen &= epoch[name] == merged[name]
        return merged


def require_pseudo_labels(callback: Callback, module: LightningModule) -> PseudoLabels:
    """Returns the pseudo-label method of a module.

    Raises:
        ValueError: If it has none.
    """
    method = getattr(module, "pseudo_labels", None)
    if not isinstance(method, PseudoLabels):
        raise ValueError(
            f"{type(callback).__name__} needs pseudo-labels, but {type(module).__name__} has none: set "
            "model.pseudo_labels, for example to FixMatch, or remove the callback"
        )
    return method


def require_pool(callback: Callback, trainer: Trainer, module: LightningModule) -> PseudoLabels:
    """Returns the pseudo-label method of a module, and checks that the module can be run on the pool.

    Raises:
        TypeError: If the module cannot predict logits, or the datamodule cannot serve the pool.
        ValueError: If the module has no pseudo-labels.
    """
    method = require_pseudo_labels(callback, module)
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(module, PredictsLogits) or not isinstance(datamodule, ServesParts):
        raise TypeError(
            f"{type(callback).__name__} needs a classifier and a datamodule that serves the unlabeled pool, not "
            f"{type(module).__name__} and {type(datamodule).__name__}; see PredictsLogits and ServesParts in "
            "litzoo.callbacks.contracts"
        )
    return method


def require_assigned_labels(callback: Callback, trainer: Trainer, module: LightningModule) -> AssignedLabels:
    """Returns the `AssignedLabels` of a module, and checks that the module can be run on the pool.

    Raises:
        TypeError: As `require_pool`.
        ValueError: If the module has no pseudo-labels, or its method computes them itself.
    """
    method = require_pool(callback, trainer, module)
    if not isinstance(method, AssignedLabels):
        raise ValueError(
            f"{type(callback).__name__} assigns labels, but {type(method).__name__} computes its own: set "
            "model.pseudo_labels to AssignedLabels, or remove the callback"
        )
    return method
