"""The training loops that litzoo.scripts.benchmarks.training compares, and the timer of an epoch."""

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
from litzoo.scripts.cli.litzoo_cli import LitzooCLI
from litzoo.scripts.cli.main import run


class EpochTimer(Callback):
    """Times the last epoch from its start to the end of its last training batch, without validation and checkpoints."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the timer."""
        self._start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """Stops the timer; the last batch of the epoch overwrites the earlier ones."""
        self.seconds = time.perf_counter() - self._start


def epoch_seconds(trainer: Trainer) -> float:
    """Returns the seconds that the `EpochTimer` of a trainer has measured."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next(callback.seconds for callback in callbacks if isinstance(callback, EpochTimer))


class StepLogger(LightningModule):
    """A module as in tutorials: loss and accuracy logged at every step and shown in the progress bar."""

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


class TrainingLoops:
    """The loops for one network, optimizer and batch size; each method trains one epoch and returns its seconds.

    Args:
        config: Config of an experiment with MNIST.
        batch_size: Batch size of all loops.
        options: Further options of `litzoo fit`.
        samples: Number of training samples.
        folder: Folder of the runs.
    """

    def __init__(self, config: str, batch_size: int, options: list[str], samples: int, folder: str) -> None:
        # fmt: off
        self.arguments = [
            "fit", "--config", config, "--data.batch_size", str(batch_size), "--data.augment", "none",
            "--data.train_size", str(samples),
            "--test_after_fit", "false", "--trainer.accelerator", "cpu", "--trainer.default_root_dir", folder, *options,
        ]
        # fmt: on
        self.batch_size = batch_size
        self.autocast = "bf16-mixed" in options
        cli = self._fit(epochs=0)
        self.model: Any = cli.model
        datamodule = cli.datamodule
        assert isinstance(datamodule, MNISTDataModule)
        datamodule.setup("fit")
        train = datamodule.train_set
        assert train is not None
        self.num_samples = len(train.indices)
        self.inputs = datamodule.normalise(train.inputs[train.indices])
        self.targets = train.targets[train.indices]
        transform = v2.Compose(
            [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(datamodule.mean, datamodule.std)]
        )
        mnist = torchvision.datasets.MNIST(str(datamodule.root), transform=transform)
        self.dataset = Subset(mnist, train.indices.tolist())

    def limit(self) -> float:
        """A bare loop over tensors in memory."""
        model = self._reset_model()
        batches = (
            (self.inputs.index_select(0, batch), self.targets.index_select(0, batch))
            for batch in torch.randperm(len(self.targets)).split(self.batch_size)
        )
        return bare_epoch(model, model.make_optimizer(model.net.parameters()), batches, self.autocast)

    def litzoo(self) -> float:
        """`litzoo fit`."""
        return epoch_seconds(self._fit(epochs=1).trainer)

    def per_sample(self) -> float:
        """A bare loop over torchvision's data set and transforms, one sample at a time."""
        net = self._reset_contiguous_net()
        batches = DataLoader(self.dataset, self.batch_size, shuffle=True)
        return bare_epoch(net, self.model.make_optimizer(net.parameters()), batches, autocast=False)

    def per_sample_lightning(self) -> float:
        """Lightning with the same loader, and a module that logs at every step."""
        module = StepLogger(self._reset_contiguous_net(), self.model.make_optimizer)
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(max_epochs=1, callbacks=[EpochTimer()], default_root_dir=folder, accelerator="cpu")
            trainer.fit(module, DataLoader(self.dataset, self.batch_size, shuffle=True))
        return epoch_seconds(trainer)

    def _fit(self, epochs: int) -> LitzooCLI:
        timer = "--trainer.callbacks+=litzoo.scripts.benchmarks.training_loops.EpochTimer"
        return run([*self.arguments, "--trainer.max_epochs", str(epochs), timer])

    def _reset_model(self) -> Any:
        """Returns the module of `litzoo fit` with new random weights."""
        for module in self.model.net.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        return self.model

    def _reset_contiguous_net(self) -> nn.Module:
        """Returns a copy of its network with new random weights, in the default memory layout."""
        return copy.deepcopy(self._reset_model().net).to(memory_format=torch.contiguous_format)


def bare_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    autocast: bool,
    loss_function: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> float:
    """Trains on batches of inputs and targets, without anything else; returns the seconds."""
    model.train()
    start = time.perf_counter()
    for x, y in batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = loss_function(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start
