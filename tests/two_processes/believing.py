"""Running means of what is believed of a pool, moved by one process or shared among several."""

import torch
import torch.distributed
from torch import Tensor, nn

from litzoo.lit_modules import FixMatch, FreeMatch, SoftMatch
from tests.two_processes.processes import collectives

SAMPLES, CLASSES = 24, 4


def believe() -> dict[str, Tensor]:
    """Labels all samples, or those of this process, with three methods; returns the state of the methods."""
    shared = torch.distributed.is_initialized()
    rank, processes = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if shared else (0, 1)
    aligned, free, student = FixMatch(align=True), FreeMatch(memory=0.9), nn.Identity()
    soft = SoftMatch(align=False, memory=0.9)
    student.class_counts = torch.tensor([4, 3, 2, 1])
    aligned.memory = free.memory
    generator = torch.Generator().manual_seed(3)
    for _ in range(5):
        views = {view: 2 * torch.randn(SAMPLES, CLASSES, generator=generator) for view in ("weak", "strong")}
        mine = {name: rows[rank::processes] for name, rows in (views | {"index": torch.arange(SAMPLES)}).items()}
        for method in (aligned, free, soft):
            with collectives() as called:
                method(student, {"unlabeled": mine})
            assert called == (["all_reduce"] if shared else [])
    softly = {f"soft {name}": value for name, value in soft.get_extra_state().items()}
    return aligned.get_extra_state() | free.get_extra_state() | softly
