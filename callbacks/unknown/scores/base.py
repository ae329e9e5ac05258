"""Base class of all unknown-class (OOD) scores, and the numerical helpers that several scores use."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class _LogitsAndFeatures(NamedTuple):
    logits: Tensor
    features: Tensor


class Evidence(_LogitsAndFeatures):
    """The outputs of a classifier for N samples, from which scores are computed: a pair, and `extras`.

    Args:
        logits: `[N, K]`, of any precision.
        features: Inputs of the classification head, `[N, D]`, of any precision; only scores with `uses_features` read
            them.
        extras: What scores with `extras` have observed, `<score>.<name>` -> `[N, ...]`.
    """

    extras: Mapping[str, Tensor]

    def __new__(cls, logits: Tensor, features: Tensor, extras: Mapping[str, Tensor] | None = None) -> "Evidence":
        """Returns the pair."""
        pair = super().__new__(cls, logits, features)
        pair.extras = extras or {}
        return pair


class UnknownScore(ABC):
    """Scores how likely samples belong to none of the known classes, higher = more unknown; base class of all scores.

    Works on plain tensors, without Lightning: `score.fit(Evidence(logits, features), target)`, then
    `score(Evidence(logits, features))`. Scores with `fits` have to be fitted on training samples of the known classes
    first; fitting runs on the CPU in float64, so that the result does not depend on the device. A new score implements
    `__call__`, and `compute_statistics` if it has to be fitted.

    A score that needs more than logits and features, such as gradients or several passes, names it in `extras` and
    computes it in `observe`, which is called with each batch; `self.extra(evidence, name)` returns it for all samples.

    Attributes:
        fits: Whether the score has to be fitted before it can be called.
        uses_features: Whether the score reads the features.
        extras: Names of what `observe` returns.
        statistics: What was fitted, by name; empty before.
    """

    fits: ClassVar[bool] = False
    uses_features: ClassVar[bool] = False
    extras: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.statistics: dict[str, Tensor] = {}

    @abstractmethod
    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns the scores `[N]` of N samples, float64 (float32 on devices without float64).

        Raises:
            RuntimeError: If the score has to be fitted and was not.
        """

    def observe(self, inputs: Tensor, model: nn.Module) -> dict[str, Tensor]:
        """Returns for a batch what the score needs beside logits and features; called only if `extras` names any.

        Args:
            inputs: What the network gets, `[B, ...]`, a copy. Gradients are enabled.
            model: Returns the logits `[B, K]` of inputs as a test computes them. It is in evaluation mode, and has to
                be when this returns; its `modules()` are those of the trained module.

        Returns:
            Each name in `extras` -> `[B, ...]`.
        """
        raise NotImplementedError(f"{type(self).__name__}.extras names {', '.join(self.extras)}: implement observe")

    def extra(self, evidence: Evidence, name: str) -> Tensor:
        """Returns what the score has observed of each sample, `[N, ...]`.

        Raises:
            ValueError: If the evidence does not hold it.
        """
        key = f"{type(self).__name__}.{name}"
        if key not in evidence.extras:
            raise ValueError(
                f"{type(self).__name__} reads {name}, which the evidence lacks: give it as "
                f"Evidence(logits, features, {{{key!r}: values}}); `observe` computes it"
            )
        return evidence.extras[key]

    def fit(self, known: Evidence, target: Tensor, head: nn.Linear | None = None) -> None:
        """Fits the score on training samples; does nothing for scores that need no fitting.

        Args:
            known: Logits and features of N training samples.
            target: Their classes, int64 `[N]`.
            head: The layer that maps features to logits, if it is a single linear layer.

        Raises:
            ValueError: If shapes, classes or parameters do not fit the samples, or a value is not finite.
        """
        if not self.fits:
            return
        checked = Evidence(
            self._checked("logits", known.logits, target).double(),
            self._checked("features", known.features, target) if self.uses_features else known.features,
            {name: values.detach().cpu() for name, values in known.extras.items()},
        )
        target, classes = target.cpu(), known.logits.shape[1]
        if not 0 <= target.min() <= target.max() < classes:
            raise ValueError(
                f"{type(self).__name__} is fitted on samples of known classes, 0 to {classes - 1}; got classes from "
                f"{int(target.min())} to {int(target.max())}"
            )
        self.statistics = self.compute_statistics(checked, target, head)
        self.to(known.logits.device)

    def compute_statistics(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns the statistics of training samples; `fit` calls it with checked arguments.

        Args:
            known: Logits in float64 and, if the score uses them, features in their own precision, both on the CPU. To
                have all features in float64 would take much memory: see `Float64Rows`.
            target: Their classes, int64 `[N]`, on the CPU.
            head: As for `fit`.
        """
        return {}

    def caution(self, target: Tensor) -> str | None:
        """Returns a warning about training samples with these classes, int64 `[N]`, that the score is fitted on."""
        return None

    def freeze(self) -> None:  # noqa: B027 (most scores have nothing to do)
        """Turns what `fit` has chosen into parameters, so that a program with the score can be exported."""

    def statistic(self, name: str) -> Tensor:
        """Returns one of the fitted statistics.

        Raises:
            RuntimeError: If the score was not fitted.
        """
        if not self.statistics:
            raise RuntimeError(
                f"{type(self).__name__} is not fitted: call fit with training samples, or load the state of a fitted "
                "score"
            )
        return self.statistics[name]

    def to(self, device: torch.device | str) -> None:
        """Moves the statistics to a device."""
        device = torch.device(device)
        self.statistics = {
            # MPS has no float64.
            name: (values.float() if device.type == "mps" and values.is_floating_point() else values).to(device)
            for name, values in self.statistics.items()
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the statistics for a checkpoint, each as `<score>.<statistic>`; an empty dict before fitting."""
        return {f"{type(self).__name__}.{name}": values for name, values in self.statistics.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores the statistics, on the device of the tensors in the state.

        Raises:
            ValueError: If the state is that of another score.
        """
        prefix = f"{type(self).__name__}."
        if others := sorted({name.split(".")[0] for name in state if not name.startswith(prefix)}):
            raise ValueError(
                f"{type(self).__name__} cannot load the state of {', '.join(others)}: choose that score, or fit this "
                "one on training samples"
            )
        self.statistics = {name.removeprefix(prefix): values for name, values in state.items()}

    def _invalid(self, parameter: str, problem: str) -> ValueError:
        """Returns the error for a parameter, with its name, its value and what is wrong with it."""
        return ValueError(f"{type(self).__name__}.{parameter}: {getattr(self, parameter)} {problem}")

    def _checked(self, name: str, values: Tensor, target: Tensor) -> Tensor:
        if values.ndim != 2 or target.shape != values.shape[:1] or target.dtype != torch.int64 or not len(target):
            raise ValueError(
                f"{type(self).__name__} is fitted on {name} [N, ...] and classes [N], int64; got {list(values.shape)} "
                f"and {list(target.shape)} of {target.dtype}"
            )
        values = values.detach().cpu()
        if broken := len(values) - int(values.isfinite().all(dim=1).sum()):
            raise ValueError(
                f"{type(self).__name__}: {name} of {broken:,} of {len(values):,} training samples are not finite"
            )
        return values


def to_float64(values: Tensor) -> Tensor:
    """Returns values, detached, as float64, or as float32 on MPS, which has no float64."""
    return values.detach().to(torch.float32 if values.device.type == "mps" else torch.float64)


def log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Returns log p and log(1 − p) of the softmax of logits `[N, K]`, both `[N, K]`.

    1 − p of the most likely class is the sum over the other classes: computed as a difference, it would be 0 for most
    training samples of a good model, and the most confident samples could not be ranked.
    """
    log_p = to_float64(logits).log_softmax(dim=1)
    likeliest = torch.zeros_like(log_p, dtype=torch.bool).scatter_(1, log_p.argmax(dim=1, keepdim=True), True)
    others = log_p.masked_fill(likeliest, -torch.inf).logsumexp(dim=1, keepdim=True)
    return log_p, torch.where(likeliest, others, (-log_p.exp()).log1p())


def distances(points: Tensor, centres: Tensor) -> Tensor:
    """Returns the Euclidean distances `[N, K]` of points `[N, D]` to centres `[K, D]`, computed by differences.

    By matrix products, distances much smaller than the points would lose all their digits.
    """
    if torch.compiler.is_compiling():  # ONNX has no `cdist`
        return (points[:, None] - centres).square().sum(dim=2).sqrt()
    return torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist")
