from torch import Tensor
from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error, r2_score


def regression_scores(prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Returns `mae` and `rmse` in the target's units, and `r2` (1 is perfect, 0 no better than the mean).

    Args:
        prediction: `[N]`.
        target: `[N]`. With fewer than two samples there is no `r2`.
    """
    scores = {
        "mae": mean_absolute_error(prediction, target),
        "rmse": mean_squared_error(prediction, target, squared=False),
    }
    if len(target) > 1:
        scores["r2"] = r2_score(prediction, target)
    return scores
