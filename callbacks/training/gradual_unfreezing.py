import warnings
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning
from lightning.pytorch.trainer.states import TrainerFn
from torch.optim import Optimizer

from litzoo.callbacks.evaluation import evaluated_part
from litzoo.callbacks.training._network_stages import (
    CachesFeatures,
    LearnsInStages,
    NetworkStage,
    groups_of,
    require_cacheable,
    require_reachable,
    train_last,
    wrap_anew,
)

Depth = int | Literal["all"]


class GradualUnfreezing(BaseFinetuning):
    """Trains the head of a network and some of the stages before it, more of them from given epochs on.

    What is frozen is at the start of the network, gets no gradients, and is wholly in evaluation mode: batch norm keeps
    its statistics, and nothing is dropped.

    The optimizer has a group for each stage from the beginning, which makes `train/lr/<stage>` in TensorBoard;
    unfreezing only lets gradients in. So every schedule goes with it, and what is trained is a function of the epoch
    alone: a resumed training goes on as the configuration says. `train/trainable/stages` and `train/trainable/weights`
    say how many stages before the head, and how many numbers in all, are trained.

    Args:
        trained_stages: How many of the last stages are trained from the start, the head not counted: 0 extracts
            features, `all` trains the whole network.
        unfreeze_at: Epoch, counted from 0 -> how many of the last stages are trained from then on.
        depth_factor: What the learning rate is multiplied with from each stage to the one before it, in (0, 1]; that of
            the head is the optimizer's.
        cache_features: Whether the features of all training samples are computed once, while the head alone is trained,
            and then looked up. It needs images that are not augmented.

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
                f"GradualUnfreezing.unfreeze_at: epoch {later[0][0]}; give epochs from 1 on, and what is trained from "
                "the start as trained_stages"
            )
        self.schedule = {0: trained_stages, **dict(later)}
        self._require_rising()
        if not 0 < depth_factor <= 1:
            raise ValueError(f"GradualUnfreezing.depth_factor: {depth_factor} is outside (0, 1]; 1 is the same for all")
        if cache_features and trained_stages != 0:
            raise ValueError(
                f"GradualUnfreezing.cache_features: with trained_stages {trained_stages} the features change at every "
                "step; set trained_stages to 0, or leave it out"
            )
        self.depth_factor, self.cache_features = depth_factor, cache_features
        self._stages: list[NetworkStage] = []
        self._trained = 0  # stages before the head
        self._cached = False

    def depth_at(self, epoch: int) -> Depth:
        """Returns how many stages before the head are trained in an epoch."""
        return self.schedule[max(start for start in self.schedule if start <= epoch)]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Freezes what is frozen at first, and hands the optimizer a group for each stage.

        Raises:
            TypeError: If the module has no stages, or with `cache_features` does not look features up.
            ValueError: If it has fewer stages, training images that would be cached are changed, or the strategy
                cannot train more weights than it began with.
        """
        if stage != "fit":
            return
        if not isinstance(pl_module, LearnsInStages):
            raise TypeError(
                f"GradualUnfreezing needs a classifier or a regressor of the zoo, not {type(pl_module).__name__}; "
                "leave it out"
            )
        self._stages = list(pl_module.stages())
        before = [each.name for each in self._stages[:-1]]
        if (most := max((depth for depth in self.schedule.values() if depth != "all"), default=0)) > len(before):
            raise ValueError(
                f"GradualUnfreezing: {most} stages are to be trained, but the network has {len(before)} before its "
                f"head ({', '.join(before) or 'none'}); give at most {len(before)}, or all"
            )
        if self.cache_features:
            require_cacheable(trainer, pl_module)
        require_reachable(trainer, [*self.schedule])
        warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode at the start of training")  # on purpose
        self._cached = False
        pl_module.weight_groups = groups_of(pl_module, self._stages, self.depth_factor)
        super().setup(trainer, pl_module, stage)

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        """Freezes what is frozen in the first epoch."""
        self._trained = self._depth(0)
        train_last(self._stages, self._trained + 1)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Goes on where a resumed training was, be it in the middle of an epoch."""
        self._follow(trainer, pl_module, trainer.current_epoch)

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Unfreezes what is to be trained from an epoch on, and logs what is trained."""
        self._follow(pl_module.trainer, pl_module, epoch)
        count = sum(weight.numel() for weight in pl_module.parameters() if weight.requires_grad)
        for name, value in {"stages": self._trained, "weights": count}.items():
            pl_module.log(f"train/trainable/{name}", float(value), on_epoch=True, batch_size=1, sync_dist=True)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leaves the module as it is without this callback: all of it can be trained."""
        if stage == "fit" and isinstance(pl_module, LearnsInStages):
            train_last(self._stages, len(self._stages))
            pl_module.weight_groups = None
            self._drop_cache(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Does so too when the training is interrupted."""
        if trainer.state.fn == TrainerFn.FITTING:
            self.teardown(trainer, pl_module, "fit")

    def state_dict(self) -> dict[str, Any]:
        """Returns nothing: there is nothing but the configuration and the epoch."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores nothing."""

    def _follow(self, trainer: Trainer, module: LightningModule, epoch: int) -> None:
        depth = self._depth(epoch)
        train_last(self._stages, depth + 1)
        if depth != self._trained:
            self._trained = depth
            wrap_anew(trainer)
        if depth:
            self._drop_cache(module)
        elif self.cache_features and not self._cached:
            assert isinstance(module, CachesFeatures)
            found = evaluated_part(trainer, module, "train", "features", features=True)
            module.cache_features(found["index"], found["features"])
            self._cached = True

    def _drop_cache(self, module: LightningModule) -> None:
        if self._cached:
            assert isinstance(module, CachesFeatures)
            module.cache_features(None)
            self._cached = False

    def _depth(self, epoch: int) -> int:
        depth = self.depth_at(epoch)
        return len(self._stages) - 1 if depth == "all" else depth

    def _require_rising(self) -> None:
        counts = [float("inf") if depth == "all" else depth for depth in self.schedule.values()]
        if counts[0] < 0:
            raise ValueError(f"GradualUnfreezing.trained_stages: {counts[0]} stages; give a number from 0 up, or all")
        for (epoch, depth), before, count in zip(list(self.schedule.items())[1:], counts, counts[1:], strict=False):
            if count <= before:
                raise ValueError(
                    f"GradualUnfreezing.unfreeze_at: {depth} stages from epoch {epoch} on are no more than before "
                    f"({self.depth_at(epoch - 1)}); each epoch has to train more stages than the one before it"
                )
