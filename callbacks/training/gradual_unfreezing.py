import warnings
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning
from lightning.pytorch.trainer.states import TrainerFn
from torch.optim import Optimizer

from litzoo.callbacks.evaluation import evaluate_part
from litzoo.callbacks.training._network_stages import (
    check_unfreezing_schedule,
    parameter_groups,
    require_cacheable,
    rewrap_ddp,
    train_last_stages,
)
from litzoo.lit_modules import TransferClassifier
from litzoo.lit_modules.base import LitModule
from litzoo.lit_modules.networks.stages import Stage

Depth = int | Literal["all"]
"""Number of trained stages before the head."""


class GradualUnfreezing(BaseFinetuning):
    """Trains the head and the last stages of a network, and unfreezes more stages at given epochs.

    Frozen stages get no gradients and are in evaluation mode: batch norm keeps its running statistics, and dropout is
    off.

    The optimizer has one parameter group for each stage from the start, logged as `train/lr/<stage>`; unfreezing only
    enables gradients. So it works with every learning-rate schedule, and what is trained depends on the epoch alone: a
    resumed training follows the current configuration. `train/trainable/stages` and `train/trainable/weights` log
    how many stages before the head, and how many parameters in all, are trained.

    Args:
        trained_stages: How many of the last stages are trained from the start, not counting the head: 0 is feature
            extraction, `all` trains the whole network.
        unfreeze_at: Epoch, counted from 0 -> how many of the last stages are trained from then on.
        depth_factor: Ratio of the learning rates of each stage and the stage after it, in (0, 1]; the head has the
            optimizer's learning rate.
        cache_features: Whether the features of all training samples are computed once and looked up while only the
            head is trained. Images must not be augmented.

    Raises:
        ValueError: If a number is out of range, or a later epoch does not train more stages.

    Example:
        >>> GradualUnfreezing(trained_stages=0, unfreeze_at={2: 1, 4: "all"}).depth_at(3)
        1
    """

    def __init__(
        self,
        trained_stages: Depth = 0,
        unfreeze_at: dict[int, Depth] | None = None,
        depth_factor: float = 1.0,
        cache_features: bool = False,
    ) -> None:
        super().__init__()
        later = sorted((unfreeze_at or {}).items())
        if later and later[0][0] < 1:
            raise ValueError(
                f"GradualUnfreezing.unfreeze_at: epoch {later[0][0]}; give epochs from 1 on, and the stages trained "
                "from the start as trained_stages"
            )
        self.schedule = {0: trained_stages, **dict(later)}
        self._check_depths()
        if not 0 < depth_factor <= 1:
            raise ValueError(
                f"GradualUnfreezing.depth_factor: {depth_factor} is outside (0, 1]; 1 is the same rate for all"
            )
        if cache_features and trained_stages != 0:
            raise ValueError(
                f"GradualUnfreezing.cache_features: with trained_stages {trained_stages} the features change at every "
                "step; set trained_stages to 0, or remove cache_features"
            )
        self.depth_factor, self.cache_features = depth_factor, cache_features
        self._stages: list[Stage] = []
        self._depth = 0  # trained stages before the head, in the current epoch
        self._cached = False

    def depth_at(self, epoch: int) -> Depth:
        """Returns how many stages before the head are trained in an epoch."""
        return self.schedule[max(start for start in self.schedule if start <= epoch)]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks module, data and strategy, and gives the optimizer one parameter group for each stage.

        Raises:
            TypeError: If the module has no stages, or cannot cache features with `cache_features`.
            ValueError: If it has fewer stages, features cannot be cached since images are changed, or the strategy
                cannot unfreeze parameters.
        """
        if stage != "fit":
            return
        if not isinstance(pl_module, LitModule):
            raise TypeError(
                f"GradualUnfreezing needs one of litzoo's classifiers or regressors, not {type(pl_module).__name__}; "
                "remove the callback"
            )
        self._stages = list(pl_module.stages())
        names = [each.name for each in self._stages[:-1]]
        if (most := max((depth for depth in self.schedule.values() if depth != "all"), default=0)) > len(names):
            raise ValueError(
                f"GradualUnfreezing: cannot train {most} stages, the network has {len(names)} before its head "
                f"({', '.join(names) or 'none'}); give at most {len(names)}, or all"
            )
        if self.cache_features:
            require_cacheable(trainer, pl_module)
        check_unfreezing_schedule(trainer, [*self.schedule])
        warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode at the start of training")  # intended
        self._cached = False
        pl_module.weight_groups = parameter_groups(pl_module, self._stages, self.depth_factor)
        super().setup(trainer, pl_module, stage)

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        """Freezes all stages that are not trained in the first epoch."""
        self._depth = self._number_of_stages(0)
        train_last_stages(self._stages, self._depth + 1)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores what is trained when resuming, also in the middle of an epoch."""
        self._update(trainer, pl_module, trainer.current_epoch)

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Unfreezes the stages due in an epoch, and logs how much is trained."""
        self._update(pl_module.trainer, pl_module, epoch)
        count = sum(weight.numel() for weight in pl_module.parameters() if weight.requires_grad)
        for name, value in {"stages": self._depth, "weights": count}.items():
            pl_module.log(f"train/trainable/{name}", float(value), on_epoch=True, batch_size=1, sync_dist=True)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Unfreezes the whole module again, as it is without this callback."""
        if stage == "fit" and isinstance(pl_module, LitModule):
            train_last_stages(self._stages, len(self._stages))
            pl_module.weight_groups = None
            self._drop_cache(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Unfreezes the whole module if training is interrupted."""
        if trainer.state.fn == TrainerFn.FITTING:
            self.teardown(trainer, pl_module, "fit")

    def state_dict(self) -> dict[str, Any]:
        """Returns nothing: what is trained follows from the configuration and the epoch."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores nothing."""

    def _update(self, trainer: Trainer, module: LightningModule, epoch: int) -> None:
        depth = self._number_of_stages(epoch)
        train_last_stages(self._stages, depth + 1)
        if depth != self._depth:
            self._depth = depth
            rewrap_ddp(trainer)
        if depth:
            self._drop_cache(module)
        elif self.cache_features and not self._cached:
            assert isinstance(module, TransferClassifier)
            outputs = evaluate_part(trainer, module, "train", "features", features=True)
            module.cache_features(outputs["index"], outputs["features"])
            self._cached = True

    def _drop_cache(self, module: LightningModule) -> None:
        if self._cached:
            assert isinstance(module, TransferClassifier)
            module.cache_features(None)
            self._cached = False

    def _number_of_stages(self, epoch: int) -> int:
        depth = self.depth_at(epoch)
        return len(self._stages) - 1 if depth == "all" else depth

    def _check_depths(self) -> None:
        counts = [float("inf") if depth == "all" else depth for depth in self.schedule.values()]
        if counts[0] < 0:
            raise ValueError(f"GradualUnfreezing.trained_stages: {counts[0]} stages; give 0 or more, or all")
        for (epoch, depth), previous, count in zip(list(self.schedule.items())[1:], counts, counts[1:], strict=False):
            if count <= previous:
                raise ValueError(
                    f"GradualUnfreezing.unfreeze_at: {depth} stages from epoch {epoch} on are not more than before "
                    f"({self.depth_at(epoch - 1)}); every epoch listed has to train more stages than the one before it"
                )
