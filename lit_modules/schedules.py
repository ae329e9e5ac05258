import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class CosineWithWarmup(LambdaLR):
    """Raises the learning rate in a straight line, then lowers it to 0 along half a cosine (Loshchilov & Hutter 2017).

    Args:
        optimizer: Whose learning rates are scheduled.
        total_steps: Of the whole training; left out, a module of the zoo fills it in.
        warmup: Share of the steps that raise the rate.

    Raises:
        ValueError: If `warmup` is not in [0, 1), or nobody has filled in `total_steps`.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int | None = None, warmup: float = 0.1) -> None:
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup: {warmup} is not in [0, 1)")
        if total_steps is None:
            raise ValueError("total_steps: the number of steps of the whole training is needed")
        warmup_steps = round(warmup * total_steps)
        falling_steps = total_steps - warmup_steps

        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / (warmup_steps + 1)
            progress = (step - warmup_steps) / max(1, falling_steps)
            return (1 + math.cos(math.pi * min(1.0, progress))) / 2

        super().__init__(optimizer, factor)
