"""ClassificationLoss, the base class of the classification losses, and what they share; what modules ask of a loss."""

import inspect
from collections.abc import Collection
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Reduction = Literal["mean", "sum", "none"]


class ClassificationLoss(nn.Module):
    """Base class of the classification losses: the reduction and checks of their options.

    A loss that keeps a state for each sample sets `remembers`: it must be called once per batch, with the logits of
    unmixed samples.

    Args:
        reduction: `mean` or `sum` over the batch, or `none` for one loss per sample, `[B]`.

    Raises:
        ValueError: If the reduction is unknown.
    """

    remembers = False

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"{type(self).__name__}.reduction: {reduction!r} is none of mean, sum, none")
        self.reduction = reduction

    def reduce(self, losses: Tensor) -> Tensor:
        """Returns the mean or the sum of the losses `[B]`, or the losses themselves."""
        return losses if self.reduction == "none" else getattr(losses, self.reduction)()

    def in_range(self, name: str, value: float, least: float, most: float = float("inf")) -> float:
        """Returns an option after checking it.

        Raises:
            ValueError: If it is outside `[least, most]`, or not finite.
        """
        if not least <= value <= most or value == float("inf"):
            bounds = (
                f"outside [{least:g}, {most:g}]" if most < float("inf") else f"not a finite number from {least:g} up"
            )
            raise ValueError(f"{type(self).__name__}.{name}: {value} is {bounds}")
        return value


def checked(logits: Tensor, target: Tensor) -> Tensor:
    """Returns the logits in at least float32, which powers and logarithms need, after checking shapes and classes.

    Args:
        logits: `[B, K]`, of any precision.
        target: Classes 0 to K - 1, int64 `[B]`.

    Raises:
        ValueError: If they do not fit. Classes on a GPU are not checked, to avoid a synchronisation.
    """
    if logits.ndim != 2 or target.shape != logits.shape[:1] or target.dtype != torch.int64:
        raise ValueError(
            f"logits {list(logits.shape)} and target {list(target.shape)} of {target.dtype}: a classification loss "
            "takes logits [B, K] and classes [B], int64"
        )
    if _is_readable(target) and len(target) and not 0 <= target.min() <= target.max() < logits.shape[1]:
        raise ValueError(
            f"target: classes from {int(target.min())} to {int(target.max())}, but the logits are of classes 0 to "
            f"{logits.shape[1] - 1}"
        )
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _is_readable(values: Tensor) -> bool:
    """Whether reading a value neither waits for a device nor breaks a compiled graph."""
    return values.device.type == "cpu" and not torch.compiler.is_compiling()


def one_for_each_class(name: str, values: Tensor, logits: Tensor) -> Tensor:
    """Converts class statistics `[K]` to the dtype of the logits `[B, K]`.

    Raises:
        ValueError: If their number is not K.
    """
    if values.shape != logits.shape[1:]:
        raise ValueError(f"{name}: {list(values.shape)} numbers for logits of {logits.shape[1]} classes")
    return values.to(logits.dtype)


def one_hot(label: Tensor, classes: int) -> Tensor:
    """Returns classes `[B]` as float32 `[B, K]`; torch's own reads the classes on the host."""
    return (label[:, None] == torch.arange(classes, device=label.device)).float()


def cross_entropies(logits: Tensor, target: Tensor) -> Tensor:
    """Returns the cross-entropy of each sample, `[B]`."""
    return F.cross_entropy(checked(logits, target), target, reduction="none")


def require_loss(loss: Any) -> None:
    """Checks that a loss is a module.

    Raises:
        TypeError: If it is its name, its class or a function; the message says what is accepted.
    """
    if not isinstance(loss, nn.Module):
        name = getattr(loss, "__name__", "CrossEntropyLoss")
        example = f"{name}()" if inspect.isclass(loss) else "torch.nn.CrossEntropyLoss() or FocalLoss()"
        raise TypeError(f"loss: {loss!r} is not a module; give an object, {example}")


def requested_extras(loss: nn.Module, provided: Collection[str], provider: str) -> set[str]:
    """Returns the arguments that a loss takes beside output and target, out of those that are provided.

    Args:
        loss: Called as `loss(output, target, **extras)`.
        provided: Names of the extras.
        provider: The class that provides them, for messages.

    Raises:
        ValueError: If the loss requires another one.
    """
    parameters = list(inspect.signature(loss.forward).parameters.values())[2:]
    required = {p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD}
    if unknown := required - set(provided):
        raise ValueError(
            f"loss: {type(loss).__name__} requires {', '.join(sorted(unknown))}, which {provider} cannot provide; it "
            f"provides {', '.join(provided)}"
        )
    return {parameter.name for parameter in parameters} & set(provided)
