from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple, NoReturn

import torch
from torch import Tensor, nn


class Evidence(NamedTuple):
    """What a classifier makes of N samples: all that a score may look at.

    Attributes:
        logits: `[N, K]`, of any precision.
        features: What the head sees, `[N, D]`, of any precision; only scores with `uses_features` read them.
    """

    logits: Tensor
    features: Tensor


class UnknownScore(ABC):
    """How much a sample looks as if it were of no known class, higher = more unknown; base of all such scores.

    Scores with `fits` first learn from training samples of the known classes, on the CPU and in float64, so that every
    machine learns the same. A new score needs `__call__`, and where it fits, `learn`.

    Attributes:
        fits: Whether it has to be fitted before it can score.
        uses_features: Whether it looks at the features.
        statistics: What it has learnt, by name; empty before.
    """

    fits: ClassVar[bool] = False
    uses_features: ClassVar[bool] = False

    def __init__(self) -> None:
        self.statistics: dict[str, Tensor] = {}

    @abstractmethod
    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns the scores `[N]` of N samples, float64 where the device has it, else float32.

        Raises:
            RuntimeError: If it has to be fitted and was not.
        """

    def fit(self, known: Evidence, target: Tensor, head: nn.Linear | None = None) -> None:
        """Learns from training samples; does nothing where there is nothing to learn.

        Args:
            known: Of N training samples.
            target: Their classes, int64 `[N]`.
            head: The layer that turns features into logits, where it is one linear layer.

        Raises:
            ValueError: If shapes, classes or parameters do not fit the samples, or a number is not finite.
        """
        if not self.fits:
            return
        checked = Evidence(
            self._checked("logits", known.logits, target),
            self._checked("features", known.features, target) if self.uses_features else known.features,
        )
        target, classes = target.cpu(), known.logits.shape[1]
        if not 0 <= target.min() <= target.max() < classes:
            raise ValueError(
                f"{type(self).__name__} is fitted on samples of known classes, 0 to {classes - 1}; got classes from "
                f"{int(target.min())} to {int(target.max())}"
            )
        self.statistics = self.learn(checked, target, head)
        self.to(known.logits.device)

    def learn(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns the statistics of training samples.

        What it is given is checked and on the CPU, logits and features in float64 (features only where it uses them).
        """
        return {}

    def learnt(self, name: str) -> Tensor:
        """Returns one of the statistics.

        Raises:
            RuntimeError: If there are none.
        """
        if not self.statistics:
            raise RuntimeError(
                f"{type(self).__name__} has learnt nothing yet: call fit with training samples, or load the state of "
                "one that was fitted"
            )
        return self.statistics[name]

    def to(self, device: torch.device | str) -> None:
        """Moves the statistics to a device."""
        self.statistics = {name: _moved(values, torch.device(device)) for name, values in self.statistics.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the statistics for a checkpoint, each under the name of the score; nothing before they are learnt."""
        return {f"{type(self).__name__}.{name}": values for name, values in self.statistics.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores them, on the device that they are on.

        Raises:
            ValueError: If they are of another score.
        """
        prefix = f"{type(self).__name__}."
        if others := sorted({name.split(".")[0] for name in state if not name.startswith(prefix)}):
            raise ValueError(
                f"{type(self).__name__} cannot use the state of {', '.join(others)}: choose that score, or fit this "
                "one on training samples"
            )
        self.statistics = {name.removeprefix(prefix): values for name, values in state.items()}

    def refuse(self, parameter: str, why: str) -> NoReturn:
        """Refuses a parameter.

        Raises:
            ValueError: Always, with the parameter, its value and why.
        """
        raise ValueError(f"{type(self).__name__}.{parameter}: {getattr(self, parameter)} {why}")

    def _checked(self, name: str, values: Tensor, target: Tensor) -> Tensor:
        if values.ndim != 2 or target.shape != values.shape[:1] or target.dtype != torch.int64 or not len(target):
            raise ValueError(
                f"{type(self).__name__} is fitted on {name} [N, ...] and classes [N], int64; got {list(values.shape)} "
                f"and {list(target.shape)} of {target.dtype}"
            )
        values = values.detach().cpu().double()
        if broken := len(values) - int(values.isfinite().all(dim=1).sum()):
            raise ValueError(
                f"{type(self).__name__}: {name} of {broken:,} of {len(values):,} training samples are not finite"
            )
        return values


def precise(values: Tensor) -> Tensor:
    """Returns numbers as float64, or as float32 on MPS, which has no float64."""
    return values.detach().to(torch.float32 if values.device.type == "mps" else torch.float64)


def _moved(values: Tensor, device: torch.device) -> Tensor:
    return (values.float() if device.type == "mps" else values).to(device)


def log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Returns log p and log(1 − p) of the softmax of logits `[N, K]`, both `[N, K]`.

    1 − p of a sure class is added up from the other classes: as a difference it would be 0 for most training samples
    of a good model, and the surest of them could not be told apart.
    """
    log_p = precise(logits).log_softmax(dim=1)
    sure = torch.zeros_like(log_p, dtype=torch.bool).scatter_(1, log_p.argmax(dim=1, keepdim=True), True)
    others = log_p.masked_fill(sure, -torch.inf).logsumexp(dim=1, keepdim=True)
    return log_p, torch.where(sure, others, (-log_p.exp()).log1p())


def principal_axes(features: Tensor) -> tuple[Tensor, Tensor, int]:
    """Finds the directions in which features differ from 0.

    Args:
        features: `[N, D]`, float64, from where the directions are seen.

    Returns:
        The mean square along each axis, from large to small, `[D]`; the axes, columns of `[D, D]`; and how many of them
        the features span: what is as small as the rounding of float32, in which networks compute, is taken for 0.
    """
    values, axes = torch.linalg.eigh(features.T @ features / len(features))
    values, axes = values.flip(0), axes.flip(1)
    smallest = values[0] * len(values) * torch.finfo(torch.float32).eps ** 2
    return values, axes, int((values > smallest).sum())
