"""LitModule: the base class of all modules."""

import warnings
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from litzoo.datamodules.batch import Batch
from litzoo.lit_modules._schedules import (
    learning_rate,
    monitors_validation,
    require_logged_monitors,
    require_schedules,
    set_learning_rate,
)
from litzoo.lit_modules.losses.base import requested_extras, require_loss
from litzoo.lit_modules.metrics import EpochMeans
from litzoo.lit_modules.mixed_precision import WHY, slow_on_this_cpu
from litzoo.lit_modules.networks.stages import Stage as NetworkStage
from litzoo.lit_modules.networks.stages import stages_of
from litzoo.lit_modules.optimization import optimizer_config, optimizer_steps, require_factories
from litzoo.lit_modules.weights.checkpoint_class import class_is_named
from litzoo.lit_modules.weights.plain_loading import keep_plain, read_content, refuse_foreign_code

Stage = Literal["train", "val", "test"]


class LitModule(LightningModule, ABC):
    """Base class of all modules: optimizer and scheduler are injected, `step` computes a batch, metrics are per epoch.

    A subclass is one task. It implements `step` and `metrics`, and where the defaults do not fit `update_metrics` and
    `default_callbacks`.

    Args:
        net: The network. Callbacks that look at features or freeze stages need `features(x)` and `head`.
        loss: Training objective `loss(output, target)`, any `torch.nn` loss or one of `litzoo.lit_modules.losses`. If
            its `forward` has a parameter named in `loss_extras`, that is passed too.
        optimizer: Makes the optimizer from the parameters that require gradients; Adam by default.
        scheduler: Makes the learning-rate scheduler from the optimizer. One with a `total_steps` parameter gets the
            number of steps of the whole training and is stepped after every batch; others after every epoch.
        channels_last: Whether images and weights use the channels-last memory format, which speeds up convolutions.
        compile: Whether the network is compiled with `torch.compile`.

    Attributes:
        train_metrics: Keys of the training step's output that are averaged over the epoch and logged, beside the loss.
        primary_metric: The test metric, without `test/`, that comparisons and tables show by default.
        loss_extras: Names that `loss_extra` can provide.
        semi_supervised: Whether `step` expects a `SemiSupervisedBatch` in training.
        weight_groups: Parameter groups for the optimizer instead of all trainable parameters, set by a callback. A
            group's `lr_scale` multiplies its learning rate.
    """

    train_metrics: tuple[str, ...] = ()
    primary_metric: str = "loss"
    loss_extras: tuple[str, ...] = ("index", "epoch")
    semi_supervised = False
    weight_groups: list[dict[str, Any]] | None = None
    _validated = True  # whether validation has run since the last step of a `ReduceLROnPlateau`

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
        require_loss(loss)
        require_factories(optimizer, scheduler)
        with warnings.catch_warnings():
            # About modules among the arguments, such as a loss; `keep_plain` removes them.
            warnings.filterwarnings("ignore", ".*is already saved during checkpointing")
            self.save_hyperparameters(ignore=["net", "options"], logger=False)
        keep_plain(self.hparams)
        self.net = net
        if compile:
            self.net.compile()  # unlike `torch.compile(net)`, this keeps the names in the state dict
        self.channels_last, self.loss = channels_last, loss
        self.requested_extras = requested_extras(loss, self.loss_extras, type(self).__name__)
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.train_means = EpochMeans("loss", *self.train_metrics)
        self.eval_metrics: MetricCollection | None = None

    # What a task declares.

    @abstractmethod
    def step(self, batch: Batch, stage: Stage) -> dict[str, Any]:
        """Computes a batch: returns `loss`, the network's output, `target` and `index`, all but the loss detached."""

    @abstractmethod
    def metrics(self, stage: Stage) -> dict[str, Metric]:
        """Returns new metrics of an evaluation, `val` or `test`, by the name after `val/` or `test/`.

        The value of one that computes a dict is logged under the names of the dict. Include `loss`.
        """

    def update_metrics(self, metrics: MetricCollection, outputs: dict[str, Any]) -> None:
        """Updates the evaluation's metrics with a batch.

        Args:
            metrics: Those of `metrics`.
            outputs: What `step` returned.
        """
        metrics.update(preds=outputs["logits" if "logits" in outputs else "prediction"], target=outputs["target"])

    def default_callbacks(self, datamodule: Any) -> list[str]:
        """Names the callbacks that the command adds to every run of this module, such as figures for its task.

        Args:
            datamodule: The run's, for figures that need something of it.

        Returns:
            Names of classes in `litzoo.callbacks`, or import paths. They are created without arguments.
        """
        return []

    # Inputs, network and objective.

    def forward(self, x: Tensor) -> Tensor:
        """Returns the network's output for inputs `[B, ...]`."""
        return self.net(self.prepare_input(x))

    def prepare_input(self, x: Tensor) -> Tensor:
        """Converts inputs `[B, ...]` to the module's dtype and memory format.

        Raises:
            TypeError: If they are uint8 images, which are not normalised yet.
        """
        if x.dtype == torch.uint8:
            raise TypeError(
                f"{type(self).__name__}: uint8 images must be normalised first, as in training: call the datamodule's "
                "`normalise`"
            )
        x = x.to(self.dtype)
        # On Apple's GPUs many versions of torch compute wrong gradients of channels-last batch norm.
        if self.channels_last and x.ndim == 4 and x.device.type != "mps":
            x = x.contiguous(memory_format=torch.channels_last)
        return x

    def objective(self, output: Tensor, batch: Batch, target: Tensor) -> Tensor:
        """Returns the training loss; passes the loss the extras it requests.

        Raises:
            ValueError: If it is not a scalar.
        """
        loss = self.loss(output, target, **{name: self.loss_extra(name, batch) for name in self.requested_extras})
        if loss.ndim:
            raise ValueError(
                f"loss: {type(self.loss).__name__} returns a tensor of shape {list(loss.shape)}; training needs a "
                "scalar: set `reduction` to mean or sum"
            )
        return loss

    def loss_extra(self, name: str, batch: Batch) -> Any:
        """Returns the value of one of `loss_extras`."""
        return batch["index"] if name == "index" else self.current_epoch

    def stages(self) -> list[NetworkStage]:
        """Returns the stages of the network from the input to the head, which is the last."""
        return stages_of(self.net)

    @property
    def lr(self) -> float:
        """The learning rate of the first parameter group; Lightning's `LearningRateFinder` reads and sets it."""
        return learning_rate(self.trainer)

    @lr.setter
    def lr(self, rate: float) -> None:
        """Sets the rate of all groups and the start of the schedules."""
        set_learning_rate(self.trainer, rate)

    # Lightning's hooks.

    def setup(self, stage: str) -> None:
        """Converts the weights to channels-last memory format if requested; warns of a precision that is slow here."""
        if slow_on_this_cpu(self.trainer.precision, self.trainer.accelerator):
            rank_zero_warn(f"trainer.precision: {self.trainer.precision} is slower than 32-true: {WHY}")
        if self.channels_last and self.trainer.strategy.root_device.type != "mps":
            self.net.to(memory_format=torch.channels_last)

    def configure_optimizers(self) -> Any:
        """Creates the optimizer and the scheduler."""
        weights: list[Any] = [weight for weight in self.parameters() if weight.requires_grad]
        if self.weight_groups is not None:
            weights = [dict(group) for group in self.weight_groups]  # copies, since the optimizer modifies them
        return optimizer_config(
            self.make_optimizer, self.make_scheduler, weights, lambda: int(optimizer_steps(self.trainer))
        )

    def on_train_start(self) -> None:
        """Checks the schedules against the training; calls `reserve` of the loss if it has one."""
        targets = getattr(self.trainer.datamodule, "targets", None)  # type: ignore[attr-defined]
        if targets is not None and (reserve := getattr(self.loss, "reserve", None)):
            reserve(len(targets))
        if self.trainer.ckpt_path is None:
            self._validated = False  # that of an earlier training does not count
        require_schedules(self.trainer)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Steps a scheduler; a `ReduceLROnPlateau` on a validation metric only if validation has run since its last."""
        if monitors_validation(self.trainer, scheduler):
            if not self._validated:
                return
            self._validated = False
        super().lr_scheduler_step(scheduler, metric)

    def on_train_epoch_end(self) -> None:
        """Raises if a `ReduceLROnPlateau` monitors a validation metric that validation does not log.

        Raises:
            ValueError: In that case.
        """
        if self._validated:
            require_logged_monitors(self.trainer)

    def on_train_epoch_start(self) -> None:
        """Resets the means, which an interrupted epoch may have left, and calls `begin_epoch` of parts that have it."""
        self.train_means.reset()
        self._tell_parts("begin_epoch")

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Runs `step` and adds its loss and metrics to the means of the epoch."""
        outputs = self.step(batch, "train")
        means = [outputs["loss"].detach(), *(outputs.pop(name) for name in self.train_metrics)]
        self.train_means.add(means, len(outputs["index"]))
        return outputs

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Logs `train/...` after the last batch, before callbacks read it at the end of the epoch."""
        trainer = self.trainer
        # `_can_stop_early` is False while there are fewer than `min_epochs` or `min_steps`.
        stops = trainer.should_stop and trainer.fit_loop._can_stop_early
        if trainer.is_last_batch:
            self.finish_epoch()
        elif stops or 0 < trainer.max_steps <= trainer.global_step:
            self.log_training()

    def finish_epoch(self) -> None:
        """Logs `train/...` and calls `end_epoch` of parts that have it, after the last batch of an epoch."""
        self.log_training()
        self._tell_parts("end_epoch")

    def _tell_parts(self, hook: str) -> None:
        """Calls a hook of the loss, and of other parts that have it, with the number of the epoch."""
        for part in self.children():
            if call := getattr(part, hook, None):
                call(self.current_epoch)

    def log_training(self) -> None:
        """Logs `train/...`, the means of the epoch so far; again if a training is resumed after the last batch."""
        if self.train_means.update_pending():
            for name, value in self.train_means.compute().items():
                self.log(f"train/{name}", value, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)

    def on_validation_epoch_start(self) -> None:
        """Creates new metrics: in float32, also in half-precision training, and on the current device."""
        metrics = self.metrics(self._eval_stage)
        self.eval_metrics = MetricCollection({**metrics}, compute_groups=False).to(self.device)
        self._metric_names = list(metrics)  # a `MetricCollection` sorts them

    on_test_epoch_start = on_validation_epoch_start

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Runs `step` and updates the metrics."""
        outputs = self.step(batch, self._eval_stage)
        if self.eval_metrics is not None and not self._repeats_samples:
            self.update_metrics(self.eval_metrics, outputs)
        return outputs

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        """Logs `val/...` or `test/...`; nothing if no process has updated a metric."""
        assert self.eval_metrics is not None
        self._validated = self._validated or not self.trainer.sanity_checking
        updated = any(metric.update_called for metric in self.eval_metrics.values())
        if not self.trainer.strategy.reduce_boolean_decision(updated, all=False):
            return
        with warnings.catch_warnings():
            # A process that only repeats samples gets the value of the other processes.
            warnings.filterwarnings("ignore", ".*was called before the ``update`` method")
            values: dict[str, Any] = {}
            for name in self._metric_names:
                value = self.eval_metrics[name].compute()
                values |= value if isinstance(value, dict) else {name: value}
        for name, value in values.items():
            # torchmetrics has reduced over processes; `sync_dist` only silences Lightning's warning.
            value = torch.as_tensor(value, dtype=torch.float32).to(self.device)
            self.log(f"{self._eval_stage}/{name}", value, prog_bar=self._eval_stage == "val", sync_dist=True)

    on_test_epoch_end = on_validation_epoch_end

    # Checkpoints.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Saves the class name, which the hyperparameters of a module created in Python lack."""
        checkpoint["module"] = type(self).__name__
        checkpoint["validated"] = self._validated

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores whether a `ReduceLROnPlateau` has to step."""
        self._validated = checkpoint.get("validated", True)

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **options: Any,
    ) -> Any:
        """Loads a module like Lightning, but runs no code that the checkpoint contains or names.

        Args:
            checkpoint_path: A path, a URL or a file opened for reading.
            map_location: See `torch.load`.
            hparams_file: YAML file whose hyperparameters replace those of the checkpoint.
            strict: Whether the names of the weights must match exactly.
            weights_only: False also unpickles objects, which may run any code: only for checkpoints you trust.
            **options: Hyperparameters that replace those of the checkpoint.

        Raises:
            ValueError: If the checkpoint names a class that is not imported yet, or is of a class that this one cannot
                load; the message names the class to use.
        """
        origin, content = f"checkpoint {checkpoint_path}", {}
        if weights_only and hparams_file is None:
            content = read_content(checkpoint_path)
            refuse_foreign_code(origin, content, given=options)
        with class_is_named(origin, content, cls):
            return super().load_from_checkpoint(
                checkpoint_path, map_location, hparams_file, strict, weights_only=weights_only, **options
            )

    @property
    def _eval_stage(self) -> Stage:
        return "test" if self.trainer.testing else "val"

    @property
    def _repeats_samples(self) -> bool:
        """Whether this process only evaluates samples of others, since there are fewer samples than processes."""
        loaders = self.trainer.test_dataloaders if self.trainer.testing else self.trainer.val_dataloaders
        return getattr(getattr(loaders, "sampler", None), "repeats", False)
