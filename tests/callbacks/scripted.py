from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from litzoo.lit_modules.metrics import EpochMeans

STEPS_AN_EPOCH = 4


class Scripted(LightningModule):
    """Has given validation scores and training losses; its only weight counts the training steps.

    The scores depend on the weight alone, so that a resumed run continues where its checkpoint stopped.

    Args:
        scores: The `val/loss` of each validation.
        validate_every: Steps between two validations.
        bad_step: The step with the training loss `bad_loss`.
        bad_loss: NaN or infinite.
    """

    def __init__(
        self,
        scores: Sequence[float] = (),
        validate_every: int = STEPS_AN_EPOCH,
        bad_step: int | None = None,
        bad_loss: float = float("nan"),
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.scores = scores
        self.validate_every = validate_every
        self.bad_step = bad_step
        self.bad_loss = bad_loss
        self.train_means = EpochMeans("loss")

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = -self.weight.sum()
        self.train_means.add([loss.detach()], len(batch))
        return loss + self.bad_loss if self.bad_step == self.trainer.global_step else loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/loss", self.scores[round(self.weight.item()) // self.validate_every - 1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(torch.zeros(STEPS_AN_EPOCH, 1))

    def val_dataloader(self) -> DataLoader | list:
        return DataLoader(torch.zeros(1, 1)) if self.scores else []
