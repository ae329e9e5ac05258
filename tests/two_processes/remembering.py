"""Losses that remember, trained on the same batches by one process or shared among several."""

import torch
import torch.distributed
from torch import Tensor

from litzoo.lit_modules.losses import EarlyLearningRegularization, ForwardCorrection, SparseOverParameterization
from tests.two_processes.processes import collectives

SAMPLES, CLASSES = 23, 4
"""An odd number: with two processes one has a sample more than the other."""


def remember() -> dict[str, Tensor]:
    """Trains with each loss, on all samples or on the fraction of this process; returns what the losses know then."""
    shared = torch.distributed.is_initialized()
    rank, processes = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if shared else (0, 1)
    early, forward = EarlyLearningRegularization(), ForwardCorrection(warm_up=2)
    noise = SparseOverParameterization(lr_u=0.5, lr_v=0.5, start=0.01)
    generator = torch.Generator().manual_seed(2)
    for epoch in range(3):
        logits = 2 * torch.randn(SAMPLES, CLASSES, generator=generator)
        target = torch.randint(CLASSES, (SAMPLES,), generator=generator)
        index = torch.randperm(SAMPLES, generator=generator)
        mine = slice(rank, None, processes)
        with collectives() as called:
            early(logits[mine], target[mine], index[mine])
        # Before the first, they agree on the largest batch.
        assert called == (["all_reduce"] * (epoch == 0) + ["all_gather_into_tensor"] if shared else [])
        noise(logits[mine], target[mine], index[mine])
        forward(logits[mine], target[mine], epoch=epoch)
        forward.end_epoch(epoch)
    assert forward.matrix is not None
    return {"past beliefs": early.get_extra_state(), "noise": noise.get_extra_state(), "matrix": forward.matrix}
