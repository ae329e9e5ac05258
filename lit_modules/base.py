import inspect
from abc import ABC, abstractmethod
from functools import partial
from types import NoneType
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from datamodules.batch import Batch
from lit_modules.metrics import EpochMeans, EpochOutputs

Stage = Literal["train", "val", "test"]


class LitModule(LightningModule, ABC):
    """What all modules share: optimizer and scheduler from outside, one `step`, and metrics logged once an epoch.

    Args:
        net: The network, with `features(x)` and `head`.
        loss: Training objective `loss(output, target)`, any `torch.nn` loss or one of `lit_modules.losses`. One whose
            `forward` also names `index` or `epoch` is given them.
        optimizer: Makes the optimizer from the parameters that require gradients; Adam when left out.
        scheduler: Makes the learning-rate scheduler from the optimizer. One that takes `total_steps` is given the
            number of steps of the whole training and moves at every step; others move at every epoch.
        channels_last: Whether pictures and weights are laid out with the channels last, which convolutions like best.
        compile: Whether the network is compiled with `torch.compile`.
    """

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
        self.save_hyperparameters(ignore=["net", "options"], logger=False)
        # Only plain values go into a checkpoint, so that it loads with `weights_only=True`. (The command line hands
        # over losses and optimizers as plain dictionaries; in Python, give them to `load_from_checkpoint` again.)
        for name, value in list(self.hparams.items()):
            if isinstance(value, np.generic):
                self.hparams[name] = value.item()
            elif name in ("loss", "optimizer", "scheduler") and not isinstance(value, (dict, str, NoneType)):
                del self.hparams[name]
        self.net = net.to(memory_format=torch.channels_last) if channels_last else net
        if compile:
            self.net.compile()  # unlike `torch.compile(net)`, this leaves the names in checkpoints as they are
        self.channels_last = channels_last
        self.loss = loss
        self._loss_extras = {"index", "epoch"} & set(inspect.signature(loss.forward).parameters)
        # Not a default of the signature: jsonargparse would hand Adam's weight decay of 0 on to an AdamW in the YAML.
        self.make_optimizer = optimizer or torch.optim.Adam
        self.make_scheduler = scheduler
        self.train_means = EpochMeans("loss", *self.train_scores)
        self.eval_outputs = EpochOutputs(*self.kept_outputs)

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute; the running hook's name, set 40 times a step, without torch's search for parameters."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    train_scores: tuple[str, ...] = ()
    """Numbers that `step` returns beside the loss in training, to be averaged over the epoch."""

    kept_outputs: tuple[str, ...]
    """Keys of the step output that `scores` needs."""

    @abstractmethod
    def step(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """Returns `loss`, the output, `target` and `index` of a batch, all but the loss detached."""

    @abstractmethod
    def scores(self, outputs: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        """Returns the metrics of a whole evaluation from the kept outputs, each sample once, in order of `index`."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns the network's output for inputs `[B, ...]`, brought to its number type and layout."""
        x = x.to(self.dtype)
        if self.channels_last and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return self.net(x)

    def objective(self, output: Tensor, batch: Batch, target: Tensor) -> Tensor:
        """Returns the training loss, handing the loss what it asks for."""
        extras: dict[str, Any] = {"index": batch["index"], "epoch": self.current_epoch}
        return self.loss(output, target, **{name: extras[name] for name in self._loss_extras})

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Runs `step` and adds its loss and scores to the epoch's means."""
        outputs = self.step(batch, "train")
        means = [outputs["loss"].detach(), *(outputs.pop(name) for name in self.train_scores)]
        self.train_means.add(means, len(batch["index"]))
        return outputs

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Logs `train/...` after the last batch, before any callback asks for it at the end of the epoch."""
        trainer = self.trainer
        if trainer.is_last_batch or trainer.should_stop or 0 < trainer.max_steps <= trainer.global_step:
            self._log_training()

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Runs `step` and keeps what the metrics need."""
        return self._evaluate(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Runs `step` and keeps what the metrics need."""
        return self._evaluate(batch, "test")

    def on_validation_epoch_end(self) -> None:
        """Logs `val/...`."""
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Logs `test/...`."""
        self._log_evaluation("test")

    def configure_optimizers(self) -> Any:
        """Makes the optimizer and the scheduler."""
        optimizer = self.make_optimizer([weight for weight in self.parameters() if weight.requires_grad])
        if self.make_scheduler is None:
            return optimizer
        counts_steps, given = _total_steps(self.make_scheduler)
        steps = {"total_steps": int(self.trainer.estimated_stepping_batches)} if counts_steps and not given else {}
        scheduler = self.make_scheduler(optimizer, **steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": scheduler,
                "interval": "step" if counts_steps else "epoch",
                "monitor": getattr(scheduler, "monitor", "val/loss"),  # for one that waits for a plateau
                "name": "train/lr",
            },
        }

    def _evaluate(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        outputs = self.step(batch, stage)
        self.eval_outputs.update(outputs)
        return outputs

    # In what follows every process has computed the same value; `sync_dist` only tells Lightning that this is known.

    def _log_training(self) -> None:
        if not self.train_means.update_pending():
            return
        for name, value in self.train_means.compute().items():
            self.log(f"train/{name}", value, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
        self.train_means.reset()

    def _log_evaluation(self, stage: Stage) -> None:
        scores = self.scores(self.eval_outputs.gather(), stage)
        for name, value in scores.items():
            self.log(f"{stage}/{name}", value, prog_bar=stage == "val", sync_dist=True)


def _total_steps(factory: Any) -> tuple[bool, bool]:
    """Says whether a scheduler takes `total_steps`, and whether it has been given them.

    What the command line makes is `partial(..., the class, **all its options)`.
    """
    options: dict[str, Any] = {}
    if isinstance(factory, partial):
        options = factory.keywords
        factory = next((argument for argument in factory.args if isinstance(argument, type)), factory.func)
    return "total_steps" in inspect.signature(factory).parameters, options.get("total_steps") is not None
