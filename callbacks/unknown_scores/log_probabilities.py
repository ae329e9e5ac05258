import torch
from torch import Tensor

from callbacks.unknown_scores.unknown_score import precise


def log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Returns log p and log(1 − p) of the softmax of logits `[N, K]`, both `[N, K]`.

    1 − p of a sure class is added up from the other classes: as a difference it would be 0 for most training samples
    of a good model, and the surest of them could not be told apart.
    """
    log_p = precise(logits).log_softmax(dim=1)
    sure = torch.zeros_like(log_p, dtype=torch.bool).scatter_(1, log_p.argmax(dim=1, keepdim=True), True)
    others = log_p.masked_fill(sure, -torch.inf).logsumexp(dim=1, keepdim=True)
    return log_p, torch.where(sure, others, (-log_p.exp()).log1p())
