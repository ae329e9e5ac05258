"""What callbacks need to know of the stages of a network, and do with them."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, ParallelStrategy
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from litzoo.callbacks.evaluation import ServesParts


class NetworkStage(Protocol):
    """One part of a network's depth."""

    name: str
    modules: list[nn.Module]
    weights: list[nn.Parameter]


@runtime_checkable
class LearnsInStages(Protocol):
    """A module whose network has stages, and whose optimizer can be given groups of weights."""

    weight_groups: list[dict[str, Any]] | None

    def stages(self) -> Sequence[Any]:
        """Returns each `NetworkStage` from the input to the head, which is the last."""
        ...


@runtime_checkable
class CachesFeatures(Protocol):
    """A module that can look up what its head sees instead of computing it."""

    def cache_features(self, index: Tensor | None, features: Tensor | None = None) -> None:
        """Takes features `[N, D]` of all training samples and their positions; without any it computes them again."""
        ...

    def require_cacheable(self) -> None:
        """Refuses with a `ValueError` if it makes other images of the training samples."""
        ...


def train_last(stages: Sequence[NetworkStage], count: int) -> None:
    """Has only the last stages trained: the others get no gradients, and are in evaluation mode as a whole.

    Lightning's `freeze` leaves dropout on, and batch norm either keeps learning or goes by the batch instead.
    """
    for number, stage in enumerate(stages):
        trained = number >= len(stages) - count
        for module in stage.modules:
            module.train(trained)
        for weight in stage.weights:
            weight.requires_grad_(trained)


def groups_of(module: nn.Module, stages: Sequence[NetworkStage], factor: float) -> list[dict[str, Any]]:
    """Makes a parameter group for each stage, the head's first, with what else a module trains, such as its loss.

    Args:
        module: Whose weights are grouped.
        stages: Of its network.
        factor: Of the learning rate, from each stage to the one before it.
    """
    of_stages = {weight for stage in stages for weight in stage.weights}
    others = [weight for weight in module.parameters() if weight.requires_grad and weight not in of_stages]
    groups: list[dict[str, Any]] = [
        {"name": stage.name, "params": list(stage.weights), "lr_scale": factor**depth}
        for depth, stage in enumerate(reversed(stages))
    ]
    groups[0]["params"] += others
    return groups


def wrap_anew(trainer: Trainer) -> None:
    """Has the processes of a training exchange the gradients of what is trained from now on.

    `DistributedDataParallel` knows those weights alone that wanted gradients when the module was wrapped: any others
    would drift apart without a word.
    """
    if isinstance(trainer.strategy, DDPStrategy):
        trainer.strategy.model = trainer.lightning_module
        trainer.strategy.configure_ddp()


def require_cacheable(trainer: Trainer, module: LightningModule) -> None:
    """Refuses a training in which a sample's features are not the same every time.

    Raises:
        TypeError: If the module does not look features up, or the datamodule does not serve its parts.
        ValueError: If training images are augmented, or changed by the module.
    """
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(module, CachesFeatures) or not isinstance(datamodule, ServesParts):
        raise TypeError(
            "GradualUnfreezing.cache_features needs a TransferClassifier and data of the zoo, not "
            f"{type(module).__name__} and {type(datamodule).__name__}"
        )
    if (augment := getattr(datamodule, "augment", "none")) not in ("none", ["none"]):
        raise ValueError(
            f"GradualUnfreezing.cache_features: data.augment {augment} makes another image every time; set it to "
            "none, or leave cache_features out"
        )
    module.require_cacheable()


def require_reachable(trainer: Trainer, epochs: Sequence[int]) -> None:
    """Refuses a strategy that cannot train more weights than it began with, and tells of an epoch that does not come.

    Args:
        trainer: Of the training.
        epochs: From each of which on more stages are trained, the first one's too.

    Raises:
        ValueError: If the strategy is one.
    """
    strategy = trainer.strategy
    if len(epochs) > 1 and isinstance(strategy, ParallelStrategy) and not isinstance(strategy, DDPStrategy):
        raise ValueError(
            f"GradualUnfreezing.unfreeze_at: a {type(strategy).__name__} keeps to the weights it began with; choose "
            "--trainer.strategy ddp, or train the same stages all the time"
        )
    if 0 < (trainer.max_epochs or 0) <= epochs[-1]:
        rank_zero_warn(
            f"GradualUnfreezing.unfreeze_at: epoch {epochs[-1]} does not come, the training ends after "
            f"{trainer.max_epochs} epochs, counted from 0"
        )
