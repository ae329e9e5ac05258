import torch
from torch import Tensor, nn


class DisturbValue(nn.Module):
    """A regression loss with noise added to some targets in every step: a regularizer.

    In training, Gaussian noise is added to the fraction `rate` of a batch's targets (rounded to whole samples). This is
    what the source article intends: its standard deviation of 1e-8 has no effect, and it draws samples with
    replacement, so that fewer are changed.

    Args:
        std: Standard deviation of the noise, in the units of the targets; those of a `Regressor` have standard
            deviation 1.
        rate: Fraction of the targets, in [0, 1].
        loss: The loss with noisy targets; squared error by default.

    Raises:
        ValueError: If the standard deviation is negative, or the rate outside [0, 1].
    """

    def __init__(self, std: float = 0.1, rate: float = 0.1, loss: nn.Module | None = None) -> None:
        super().__init__()
        if not 0 <= std < float("inf"):
            raise ValueError(f"DisturbValue.std: {std} is no standard deviation; give 0 or more")
        if not 0 <= rate <= 1:
            raise ValueError(f"DisturbValue.rate: {rate} is no fraction of the targets; give one from 0 to 1")
        self.std, self.rate = std, rate
        self.loss = nn.MSELoss() if loss is None else loss

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Returns the loss for predictions `[B]` and targets `[B]`.

        Raises:
            ValueError: If their shapes differ.
        """
        if prediction.shape != target.shape:
            raise ValueError(f"predictions {list(prediction.shape)} and targets {list(target.shape)} differ in shape")
        if self.training:
            chosen = torch.randperm(len(target), device=target.device)[: round(self.rate * len(target))]
            noise = torch.randn(len(chosen), dtype=target.dtype, device=target.device)
            target = target.index_add(0, chosen, self.std * noise)
        return self.loss(prediction, target)
