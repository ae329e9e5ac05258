from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litzoo.datamodules.batch import Batch
from litzoo.lit_modules.base import LitModule, Stage
from litzoo.lit_modules.metrics import regression_scores
from litzoo.lit_modules.networks import MLP


class Regressor(LitModule):
    """Predicts one number with a multi-layer perceptron.

    The network works in standard units (training targets of mean 0 and standard deviation 1), and so do the losses:
    a `val/loss` of 1 is no better than always predicting the mean. Predictions, MAE and RMSE are in the target's
    own units.

    Args:
        input_shape: `(F,)`, the number of features.
        target_mean: Mean of the training targets; kept with the checkpoint.
        target_std: Their standard deviation.
        hidden: Width of each hidden layer; none makes it linear regression.
        dropout: Fraction of each hidden layer's outputs that is dropped in training.
        batch_norm: Whether each hidden layer is normalised before its ReLU.
        loss: Training objective `loss(prediction, target)` in standard units; squared error when left out.
            Validation and test always report plain squared error.
        **options: See `LitModule`.

    Raises:
        ValueError: If the targets do not vary.
    """

    kept_outputs = ("prediction", "target")

    def __init__(
        self,
        input_shape: Sequence[int],
        target_mean: float = 0.0,
        target_std: float = 1.0,
        hidden: Sequence[int] = (64, 64),
        dropout: float = 0.0,
        batch_norm: bool = False,
        loss: nn.Module | None = None,
        **options: Any,
    ) -> None:
        if not target_std > 0:
            raise ValueError(
                f"target_std: {target_std}; targets that do not vary, or only one, leave nothing to predict"
            )
        net = MLP(torch.Size(input_shape).numel(), 1, hidden, dropout, batch_norm)
        super().__init__(net, nn.MSELoss() if loss is None else loss, **options)
        self.target_mean = target_mean
        self.target_std = target_std

    def setup(self, stage: str) -> None:
        """Refuses to have the targets rounded.

        Raises:
            ValueError: If Lightning would cast them, as whatever is in a batch, to half precision.
        """
        super().setup(stage)
        if (precision := self.trainer.precision) in ("bf16-true", "16-true"):
            raise ValueError(
                f"trainer.precision: {precision} would round the targets; choose 32-true, bf16-mixed or 16-mixed"
            )

    def step(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """Returns `loss` (standard units), `prediction` and `target` `[B]` (own units) and `index`."""
        output = self(batch["input"]).squeeze(1)
        target = (batch["target"] - self.target_mean) / self.target_std
        loss = self.objective(output, batch, target) if stage == "train" else F.mse_loss(output, target)
        return {
            "loss": loss,
            "prediction": self._in_own_units(output.detach()),
            "target": batch["target"],
            "index": batch["index"],
        }

    def scores(self, outputs: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        """Returns the loss (standard units), MAE and RMSE (own units) and R²."""
        scores = regression_scores(outputs["prediction"], outputs["target"])
        return {"loss": (scores["rmse"] / self.target_std) ** 2, **scores}

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Returns `index` and the `prediction` in the target's own units."""
        return {"index": batch["index"], "prediction": self._in_own_units(self(batch["input"]).squeeze(1))}

    def _in_own_units(self, output: Tensor) -> Tensor:
        return output.float() * self.target_std + self.target_mean
