import copy
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
import torchmetrics
import torchvision
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision.transforms import v2

from litzoo.datamodules import MNISTDataModule
from litzoo.scripts.cli.main import LitzooCLI, run


class EpochClock(Callback):
    """Times the last epoch from its start to the end of its last training batch: no validation, no checkpoint."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """Stops the clock; the last batch of the epoch has the last word."""
        self.seconds = time.perf_counter() - self._start


class StepByStep(LightningModule):
    """A module as tutorials write it: loss and accuracy logged at every step, shown in the progress bar."""

    def __init__(self, net: nn.Module, make_optimizer: Callable[..., torch.optim.Optimizer]) -> None:
        super().__init__()
        self.net = net
        self.make_optimizer = make_optimizer
        self.accuracy = torchmetrics.Accuracy("multiclass", num_classes=10)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Returns the loss of a batch."""
        logits = self.net(batch[0])
        loss = F.cross_entropy(logits, batch[1])
        self.accuracy(logits, batch[1])
        self.log("train_loss", loss, prog_bar=True)
        self.log("train_acc", self.accuracy, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns the optimizer."""
        return self.make_optimizer(self.net.parameters())


class Case:
    """One network, optimizer and batch size, trained in the four ways."""

    def __init__(self, config: str, batch_size: int, options: list[str], samples: int, folder: str) -> None:
        # fmt: off
        self.arguments = [
            "fit", "--config", config, "--data.batch_size", str(batch_size), "--data.augment", "none",
            "--data.train_size", str(samples),
            "--test_after_fit", "false", "--trainer.accelerator", "cpu", "--trainer.default_root_dir", folder, *options,
        ]
        # fmt: on
        self.batch_size = batch_size
        self.precision = "bf16-mixed" if "bf16-mixed" in options else "32-true"
        self.built = self._litzoo(epochs=0)
        datamodule = self.built.datamodule
        assert isinstance(datamodule, MNISTDataModule)
        datamodule.setup("fit")
        train = datamodule.train_set
        assert train is not None
        self.samples = train.indices
        self.inputs = datamodule.normalise(train.inputs[train.indices])
        self.targets = train.targets[train.indices]
        transform = v2.Compose(
            [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(datamodule.mean, datamodule.std)]
        )
        self.one_by_one = Subset(
            torchvision.datasets.MNIST(str(datamodule.root), transform=transform), train.indices.tolist()
        )

    def limit(self) -> float:
        """Trains an epoch in a bare loop over tensors; returns seconds."""
        model = self._fresh()
        batches = (
            (self.inputs.index_select(0, batch), self.targets.index_select(0, batch))
            for batch in torch.randperm(len(self.targets)).split(self.batch_size)
        )
        return bare_epoch(model, model.make_optimizer(model.net.parameters()), batches, self.precision == "bf16-mixed")

    def per_sample(self) -> float:
        """Trains an epoch as the sources do; returns seconds."""
        model = self._fresh()
        net = copy.deepcopy(model.net).to(memory_format=torch.contiguous_format)
        batches = DataLoader(self.one_by_one, self.batch_size, shuffle=True)
        return bare_epoch(net, model.make_optimizer(net.parameters()), batches, autocast=False)

    def per_sample_lightning(self) -> float:
        """Trains an epoch as peers do; returns seconds."""
        model = self._fresh()
        clock = EpochClock()
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(max_epochs=1, callbacks=[clock], default_root_dir=folder, accelerator="cpu")
            net = copy.deepcopy(model.net).to(memory_format=torch.contiguous_format)
            trainer.fit(
                StepByStep(net, model.make_optimizer), DataLoader(self.one_by_one, self.batch_size, shuffle=True)
            )
        return clock.seconds

    def litzoo(self) -> float:
        """Trains with the command; returns the seconds of one epoch."""
        callbacks = self._litzoo(epochs=1).trainer.callbacks  # type: ignore[attr-defined]
        return next(callback.seconds for callback in callbacks if isinstance(callback, EpochClock))

    def _litzoo(self, epochs: int) -> LitzooCLI:
        extra = ["--trainer.max_epochs", str(epochs), "--trainer.callbacks+=litzoo.scripts.benchmarks.ways.EpochClock"]
        return run([*self.arguments, *extra])

    def _fresh(self):  # type: ignore[no-untyped-def]
        """Makes the command's module anew, with fresh weights."""
        model = self.built.model
        for module in model.net.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        return model


def bare_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable[tuple[Tensor, Tensor]], autocast: bool
) -> float:
    """Trains on batches of inputs and classes, and nothing else; returns seconds."""
    model.train()
    start = time.perf_counter()
    for x, y in batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start
