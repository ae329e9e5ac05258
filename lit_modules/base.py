import inspect
import warnings
from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from litzoo.datamodules.batch import Batch
from litzoo.lit_modules.metrics import EpochMeans, EpochOutputs
from litzoo.lit_modules.networks.stages import Stage as NetworkStage
from litzoo.lit_modules.networks.stages import stages_of
from litzoo.lit_modules.optimization import optimizer_config, require_schedule_left
from litzoo.lit_modules.weights.plain_loading import PlainLoading, keep_plain


class FastHooks(LightningModule):
    """Spares a small model a tenth of the framework's time: Lightning notes the running hook's name 40 times a step."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute, the name of the running hook without torch's search for parameters."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)


Stage = Literal["train", "val", "test"]


class LitModule(FastHooks, PlainLoading, ABC):
    """What all modules share: optimizer and scheduler from outside, one `step`, and metrics logged once an epoch.

    Subclasses name in `train_scores` what `step` returns in training beside the loss, to be averaged over the epoch,
    and in `kept_outputs` what `scores` needs of a whole evaluation.

    Args:
        net: The network, with `features(x)` and `head`.
        loss: Training objective `loss(output, target)`, any `torch.nn` loss or one of `litzoo.lit_modules.losses`. One
            whose `forward` also names one of `loss_extras` is given it.
        optimizer: Makes the optimizer from the parameters that require gradients; Adam when left out.
        scheduler: Makes the learning-rate scheduler from the optimizer. One that takes `total_steps` is given the
            number of steps of the whole training and moves at every step; others move at every epoch.
        channels_last: Whether images and weights are laid out with the channels last, which convolutions like best.
        compile: Whether the network is compiled with `torch.compile`.

    Attributes:
        weight_groups: What the optimizer is given instead of all weights that are trained, if a callback wants it so:
            torch's parameter groups, each with `lr_scale` if its learning rate is to be another.
    """

    train_scores: tuple[str, ...] = ()
    kept_outputs: tuple[str, ...]
    loss_extras: tuple[str, ...] = ("index", "epoch")
    semi_supervised = False  # whether `step` takes a SemiSupervisedBatch
    weight_groups: list[dict[str, Any]] | None = None

    def __init__(
        self,
        net: nn.Module,
        loss: nn.Module,
        optimizer: OptimizerCallable | None = None,
        scheduler: LRSchedulerCallable | None = None,
        channels_last: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # Of losses and the like given as objects, which `keep_plain` leaves out.
            warnings.filterwarnings("ignore", ".*is already saved during checkpointing")
            self.save_hyperparameters(ignore=["net", "options"], logger=False)
        keep_plain(self.hparams)
        self.net = net
        if compile:
            self.net.compile()  # unlike `torch.compile(net)`, this leaves the names in checkpoints as they are
        self.channels_last, self.loss = channels_last, loss
        self.asked_extras = self._extras_of(loss)
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.train_means = EpochMeans("loss", *self.train_scores)
        self.eval_outputs = EpochOutputs(*self.kept_outputs)

    @abstractmethod
    def step(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """Returns `loss`, the output, `target` and `index` of a batch, all but the loss detached."""

    @abstractmethod
    def scores(self, outputs: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        """Returns the metrics of a whole evaluation from the kept outputs, each sample once, in order of `index`."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns the network's output for inputs `[B, ...]`."""
        return self.net(self.prepared(x))

    def prepared(self, x: Tensor) -> Tensor:
        """Returns inputs `[B, ...]` in the network's number type and layout.

        Raises:
            TypeError: If they are images from 0 to 255, which would be looked at without a word.
        """
        if x.dtype == torch.uint8:
            raise TypeError(
                f"{type(self).__name__}: uint8 images have to be brought on the scale that was trained on first, by "
                "the datamodule's `normalise`"
            )
        x = x.to(self.dtype)
        # Apple's GPUs get gradients of channels-last batch norm wrong in many versions of torch.
        if self.channels_last and x.ndim == 4 and x.device.type != "mps":
            x = x.contiguous(memory_format=torch.channels_last)
        return x

    def setup(self, stage: str) -> None:
        """Lays out the weights as `forward` lays out images."""
        if self.channels_last and self.trainer.strategy.root_device.type != "mps":
            self.net.to(memory_format=torch.channels_last)

    def stages(self) -> list[NetworkStage]:
        """Returns the parts of the network from the input to the head, which is the last."""
        return stages_of(self.net)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes the class, which the hyperparameters of a module that was made in Python do not tell."""
        checkpoint["module"] = type(self).__name__

    def objective(self, output: Tensor, batch: Batch, target: Tensor) -> Tensor:
        """Returns the training loss, handing the loss what it asks for.

        Raises:
            ValueError: If it is not one number.
        """
        loss = self.loss(output, target, **{name: self.extra(name, batch) for name in self.asked_extras})
        if loss.ndim:
            raise ValueError(
                f"loss: {type(self.loss).__name__} gives {list(loss.shape)} numbers; training needs one, that of "
                "`reduction: mean` or `sum`"
            )
        return loss

    def extra(self, name: str, batch: Batch) -> Any:
        """Returns one of `loss_extras`."""
        return batch["index"] if name == "index" else self.current_epoch

    def on_train_start(self) -> None:
        """Refuses a resumed training that is longer than its schedule."""
        trainer = self.trainer
        if trainer.ckpt_path is not None:
            schedulers = (config.scheduler for config in trainer.lr_scheduler_configs)
            require_schedule_left(schedulers, lambda: trainer.estimated_stepping_batches)

    def on_train_epoch_start(self) -> None:
        """Begins anew, whatever an interrupted epoch has left; a loss may have a `begin_epoch` to do so too."""
        self.train_means.reset()
        if begin := getattr(self.loss, "begin_epoch", None):
            begin(self.current_epoch)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Runs `step` and adds its loss and scores to the epoch's means."""
        outputs = self.step(batch, "train")
        means = [outputs["loss"].detach(), *(outputs.pop(name) for name in self.train_scores)]
        self.train_means.add(means, len(outputs["index"]))
        return outputs

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Logs `train/...` after the last batch, before any callback asks for it at the end of the epoch."""
        trainer = self.trainer
        stops = trainer.should_stop and trainer.fit_loop._can_stop_early  # else there is a least number of epochs
        if trainer.is_last_batch or stops or 0 < trainer.max_steps <= trainer.global_step:
            self._log_training()
        if trainer.is_last_batch and (end := getattr(self.loss, "end_epoch", None)):
            end(self.current_epoch)

    def on_validation_epoch_start(self) -> None:
        """Begins anew, whatever an interrupted evaluation has left."""
        self.eval_outputs.reset()

    on_test_epoch_start = on_validation_epoch_start

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Runs `step` and keeps what the metrics need."""
        outputs = self.step(batch, self._eval_stage)
        self.eval_outputs.update(outputs)
        return outputs

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        """Logs `val/...`, at the end of a test `test/...`, from all outputs at once."""
        for name, value in self.scores(self.eval_outputs.gather(), self._eval_stage).items():
            # Every process has computed the same value; `sync_dist` only tells Lightning that this is known.
            self.log(f"{self._eval_stage}/{name}", value, prog_bar=self._eval_stage == "val", sync_dist=True)

    on_test_epoch_end = on_validation_epoch_end

    def configure_optimizers(self) -> Any:
        """Makes the optimizer and the scheduler."""
        weights: list[Any] = [weight for weight in self.parameters() if weight.requires_grad]
        if self.weight_groups is not None:
            weights = [dict(group) for group in self.weight_groups]  # the optimizer writes into them
        return optimizer_config(
            self.make_optimizer, self.make_scheduler, weights, lambda: int(self.trainer.estimated_stepping_batches)
        )

    def _extras_of(self, loss: nn.Module) -> set[str]:
        """Names what a loss asks for beside output and target."""
        asked = list(inspect.signature(loss.forward).parameters.values())[2:]
        needed = {each.name for each in asked if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD}
        if unknown := needed - set(self.loss_extras):
            raise ValueError(
                f"loss: {type(loss).__name__} needs {', '.join(sorted(unknown))}, which a {type(self).__name__} does "
                f"not know; it can hand over {', '.join(self.loss_extras)}"
            )
        return {each.name for each in asked} & set(self.loss_extras)

    @property
    def _eval_stage(self) -> Stage:
        return "test" if self.trainer.testing else "val"

    def _log_training(self) -> None:
        if self.train_means.update_pending():
            for name, value in self.train_means.compute().items():
                self.log(f"train/{name}", value, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
            self.train_means.reset()
