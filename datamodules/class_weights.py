from collections.abc import Sequence

import torch
from torch import Tensor

WEIGHTINGS = ("inverse", "sqrt", "effective", "complement")


def class_weights(counts: Sequence[int], weighting: str, beta: float = 0.999) -> Tensor:
    """Returns how much a sample of each class counts, so that rare classes count more; on average over classes 1.

    Args:
        counts: Training samples of each class, `[K]`, none of them 0.
        weighting: `inverse`: 1 / n. `sqrt`: 1 / √n, half-way to no weights (Mahajan et al. 2018). `effective`:
            (1 − β) / (1 − β^n), the inverse of the effective number of samples (Cui et al. 2019). `complement`:
            1 − n / N, the source article's.
        beta: β of `effective`; 0 gives no weights, close to 1 gives those of `inverse`.

    Returns:
        Weights, float32 `[K]`.

    Raises:
        ValueError: If the weighting is none of these, or beta is outside [0, 1).
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta: {beta} is outside [0, 1); 0.9, 0.99, 0.999 and 0.9999 are usual")
    n = torch.tensor(counts, dtype=torch.float64)
    if weighting == "inverse":
        weights = 1 / n
    elif weighting == "sqrt":
        weights = n.rsqrt()
    elif weighting == "effective":
        weights = (1 - beta) / (1 - beta**n)
    elif weighting == "complement":
        weights = 1 - n / n.sum()
    else:
        raise ValueError(f"class weighting {weighting!r} is none of {', '.join(WEIGHTINGS)}")
    return (weights / weights.mean()).float()
