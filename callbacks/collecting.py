"""Collects the outputs of all batches of a test."""

from abc import abstractmethod
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from litzoo.callbacks.plain_modules import collect, reading
from litzoo.lit_modules.metrics import EpochOutputs


class CollectsTestOutputs(Callback):
    """Mixin of callbacks that evaluate the outputs of a whole test at once.

    Args:
        names: Keys of the step outputs to collect beside `index`.
    """

    def __init__(self, *names: str) -> None:
        self.tested = EpochOutputs(*names)

    @abstractmethod
    def evaluate_test(self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor]) -> None:
        """Evaluates the outputs of all processes; every process calls it, with the same outputs.

        Args:
            trainer: The trainer that tests.
            pl_module: Its module.
            outputs: `index` int64 `[N]` and each collected output `[N, ...]`, each sample once, in order of `index`.
        """

    def collected(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], batch: Any
    ) -> dict[str, Tensor] | None:
        """Returns what is collected of a batch, by default the outputs of the step; None for nothing."""
        return outputs

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Discards the outputs of an interrupted test."""
        self.tested.reset()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collects the outputs of the step."""
        chosen = self.collected(trainer, pl_module, outputs, batch)
        if chosen is not None:
            collect(self.tested, trainer, reading(self, pl_module, "test_step"), chosen, batch, dataloader_idx)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers the outputs of all processes and evaluates them."""
        if self.tested.update_called:
            self.evaluate_test(trainer, pl_module, self.tested.to(pl_module.device).gather())
