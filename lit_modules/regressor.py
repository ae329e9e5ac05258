from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection

from litzoo.datamodules.batch import Batch
from litzoo.lit_modules.base import LitModule, Stage
from litzoo.lit_modules.metrics import R2
from litzoo.lit_modules.networks import MLP
from litzoo.lit_modules.networks.mlp import flat_size


class Regressor(LitModule):
    """Predicts a number with a multi-layer perceptron.

    The network and the losses work in standard units (training targets of mean 0 and standard deviation 1): a
    `val/loss` of 1 is no better than always predicting the mean. Predictions, MAE and RMSE are in the target's units.

    Args:
        input_shape: `(F,)`, the number of features.
        target_mean: Mean of the training targets; saved in checkpoints.
        target_std: Their standard deviation.
        hidden: Width of each hidden layer; none for linear regression.
        dropout: Dropout rate of each hidden layer.
        batch_norm: Whether each hidden layer has batch norm before its ReLU.
        loss: Training objective `loss(prediction, target)` in standard units; squared error by default. Validation and
            test always report squared error.
        **options: See `LitModule`.

    Raises:
        ValueError: If the targets have no variance.

    Attributes:
        keeps_features: Whether evaluation and prediction also return `features` `[B, D]`; set by callbacks.
    """

    primary_metric = "rmse"

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
                f"target_std: {target_std} is not above 0; targets that do not vary, or a single one, leave nothing to "
                "predict"
            )
        net = MLP(flat_size(input_shape), 1, hidden, dropout, batch_norm)
        super().__init__(net, nn.MSELoss() if loss is None else loss, **options)
        self.target_mean = target_mean
        self.target_std = target_std
        self.keeps_features = False

    def step(self, batch: Batch, stage: Stage) -> dict[str, Any]:
        """Returns `loss` (standard units), `prediction` and `target` `[B]` (the target's units) and `index`."""
        features, output = ({}, self(batch["input"]).squeeze(1)) if stage == "train" else self._evaluate(batch["input"])
        target = self._standardize(batch["target"])
        loss = self.objective(output, batch, target) if stage == "train" else F.mse_loss(output, target)
        return {
            "loss": loss,
            "prediction": self._unstandardize(output.detach()),
            "target": batch["target"],
            "index": batch["index"],
            **features,
        }

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Returns `index` and the `prediction` in the target's units."""
        features, output = self._evaluate(batch["input"])
        return {"index": batch["index"], "prediction": self._unstandardize(output), **features}

    def metrics(self, stage: Stage) -> dict[str, Metric]:
        """Returns the loss (squared error in standard units), MAE and RMSE (the target's units) and R²."""
        return {
            "loss": MeanSquaredError(),
            "mae": MeanAbsoluteError(),
            "rmse": MeanSquaredError(squared=False),
            "r2": R2(),
        }

    def update_metrics(self, metrics: MetricCollection, outputs: dict[str, Any]) -> None:
        """Updates each metric in its units. R² has none: standard ones keep its sums of squares accurate."""
        prediction, target = outputs["prediction"], outputs["target"]
        for name in ("mae", "rmse"):
            metrics[name].update(prediction, target)
        for name in ("loss", "r2"):
            metrics[name].update(self._standardize(prediction), self._standardize(target))

    def default_callbacks(self, datamodule: Any) -> list[str]:
        """Names the baseline and the figures of a test: residuals, and for a table the importance of its columns."""
        of_tables = ["PermutationImportance"] if hasattr(type(datamodule), "feature_groups") else []
        return ["Baseline", "ResidualPlot", *of_tables]

    def setup(self, stage: str) -> None:
        """Rejects half-precision training, for which Lightning would round the targets in every batch.

        Raises:
            ValueError: If the precision is `bf16-true` or `16-true`.
        """
        super().setup(stage)
        if (precision := self.trainer.precision) in ("bf16-true", "16-true"):
            raise ValueError(
                f"trainer.precision: {precision} would round the targets; use 32-true, bf16-mixed or 16-mixed"
            )

    def _evaluate(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Returns `{"features": [B, D]}` if `keeps_features`, else `{}`, and the network's output `[B]`."""
        if not self.keeps_features:
            return {}, self(x).squeeze(1)
        net: Any = self.net
        features = net.features(self.prepare_input(x))
        return {"features": features.detach().float()}, net.head(features).squeeze(1)

    def _standardize(self, values: Tensor) -> Tensor:
        return (values - self.target_mean) / self.target_std

    def _unstandardize(self, output: Tensor) -> Tensor:
        return output.float() * self.target_std + self.target_mean
