from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from litzoo.callbacks.evaluation import Answers, ServesParts, evaluated_part
from litzoo.callbacks.samples import ABSENT, Reduce, SampleColumn, SampleColumns


@runtime_checkable
class LearnsPool(Protocol):
    """A way to learn from unlabeled samples."""

    weight: float  # of the unlabeled term
    threshold: float  # confidence from which samples are learned from
    schedulable: tuple[str, ...]  # which of the two may be changed during training

    def current_threshold(self) -> float:
        """Returns the threshold in use, which some methods find themselves."""
        ...

    def bar(self, barred: Tensor) -> None:
        """Leaves samples out from now on, by their position in the full training set, bool `[N]`."""
        ...


@runtime_checkable
class TakesLabels(LearnsPool, Protocol):
    """One whose labels come from outside."""

    def assign(self, label: Tensor, confidence: Tensor, threshold: float) -> None:
        """Takes over labels (none below 0) and confidences, by position in the full training set, and a threshold."""
        ...

    def barred(self, index: Tensor) -> Tensor:
        """Says which samples, at positions `[U]`, are left out."""
        ...


def pool_learner(callback: Callback, module: LightningModule) -> LearnsPool:
    """Returns how a module learns from unlabeled samples.

    Raises:
        ValueError: If it does not.
    """
    method = getattr(module, "pseudo_labels", None)
    if not isinstance(method, LearnsPool):
        raise ValueError(
            f"{type(callback).__name__} works on pseudo-labels, and {type(module).__name__} has none: set "
            "model.pseudo_labels, FixMatch for example, or remove the callback"
        )
    return method


@dataclass(frozen=True)
class PoolAnswers:
    """What a model answers for each sample of the unlabeled pool, in the order of `index`, on the CPU.

    Attributes:
        label: The likeliest class, int64 `[U]`.
        confidence: Its probability, float32 `[U]`.
        index: Position in the full training set, int64 `[U]`.
    """

    label: Tensor
    confidence: Tensor
    index: Tensor


def pool_answers(trainer: Trainer, module: LightningModule) -> PoolAnswers:
    """Runs a model in evaluation mode on the whole pool; every process has to call it, and gets the same."""
    found = evaluated_part(trainer, module, "unlabeled", "labels")
    confidence, label = found["logits"].softmax(dim=1).max(dim=1)
    return PoolAnswers(label.cpu(), confidence.cpu(), found["index"].cpu())


def by_position(trainer: Trainer, index: Tensor, values: Tensor) -> Tensor:
    """Spreads values of samples at positions `[U]` over the full training set `[N]`; elsewhere they are 0."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    spread = torch.zeros(len(datamodule.targets), dtype=values.dtype)
    spread[index] = values
    return spread


def require_pool_learner(callback: Callback, trainer: Trainer, module: LightningModule) -> LearnsPool:
    """Returns how a module learns from a pool that can be run through it.

    Raises:
        TypeError: If the module does not show its answers, or the datamodule does not serve its parts.
        ValueError: If the module has no pseudo-labels.
    """
    method = pool_learner(callback, module)
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(module, Answers) or not isinstance(datamodule, ServesParts):
        raise TypeError(
            f"{type(callback).__name__} needs a classifier and data of the zoo, not {type(module).__name__} and "
            f"{type(datamodule).__name__}"
        )
    return method


def require_takes_labels(callback: Callback, trainer: Trainer, module: LightningModule) -> TakesLabels:
    """Returns how a module learns labels that it is given.

    Raises:
        TypeError: As `require_pool_learner`.
        ValueError: If the module has no pseudo-labels, or finds them itself.
    """
    method = require_pool_learner(callback, trainer, module)
    if not isinstance(method, TakesLabels):
        raise ValueError(
            f"{type(callback).__name__} assigns labels, but {type(method).__name__} finds its own: set "
            "model.pseudo_labels to AssignedLabels, or remove the callback"
        )
    return method


MOST_PENDING = 50
COLUMNS = {
    "order": SampleColumn(ABSENT, torch.int64, "max"),
    "label": SampleColumn(ABSENT, torch.int32, "max"),
    "confidence": SampleColumn(ABSENT, torch.float32, "max"),
    "used": SampleColumn(ABSENT, torch.int32, "max"),
    "clean": SampleColumn(ABSENT, torch.int32, "max"),
}


class PoolLabels(SampleColumns):
    """The newest pseudo-label of each sample of an unlabeled pool, with what was made of it.

    `add` only notes references, and the columns are filled once in fifty batches. Of a sample that comes twice in an
    epoch the later one counts, in whichever process it is; if both are as late, the larger label.

    Attributes:
        seen: Of the whole epochs so far, one entry `[N]` for each position in the training set: `order` (its place
            among all that this process saw of that epoch), int64; `label`, whether it was `used` (0 or 1) and the true
            label (`clean`), int32; `confidence`, float32.
    """

    def __init__(self) -> None:
        super().__init__(COLUMNS)
        self._served = 0  # samples in this epoch
        self._pending: list[tuple[Tensor, ...]] = []

    def add(
        self, label: Tensor, confidence: Tensor, used: Tensor, index: Tensor, clean_target: Tensor | None = None
    ) -> None:
        """Adds a batch, `[U]` each: labels, confidences, whether used, positions and, where known, true labels."""
        clean = torch.full_like(label, ABSENT) if clean_target is None else clean_target
        self._pending.append((index, label, confidence, used, clean))
        if len(self._pending) == MOST_PENDING:
            self.update_pending()

    def update_pending(self) -> None:
        """Fills in what has been added since the last time."""
        if not self._pending:
            return
        index, label, confidence, used, clean = (torch.cat(parts) for parts in zip(*self._pending, strict=True))
        self._pending.clear()
        self.make_room(index)
        order = torch.arange(self._served, self._served + len(index), device=index.device)
        self._served += len(index)
        self.epoch["order"].scatter_reduce_(0, index, order, "amax")
        last = self.epoch["order"][index] == order
        for name, values in {"label": label, "confidence": confidence, "used": used, "clean": clean}.items():
            self.epoch[name][index[last]] = values[last].to(self.epoch[name].dtype)

    def agree(self, epoch: dict[str, Tensor], reduce: Reduce) -> dict[str, Tensor]:
        """Takes all columns of a sample from one process, the one that saw it last."""
        self._served = 0
        agreed, still = {}, torch.ones_like(epoch["order"], dtype=torch.bool)
        for name, (empty, _, how) in self.columns.items():
            agreed[name] = reduce(torch.where(still, epoch[name], empty), how)
            still &= epoch[name] == agreed[name]
        return agreed
