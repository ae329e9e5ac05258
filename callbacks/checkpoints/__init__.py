"""Checkpoints: the best and the last one, written atomically, resumed exactly."""

from litzoo.callbacks.checkpoints.atomic_io import AtomicCheckpointIO
from litzoo.callbacks.checkpoints.best_and_last import BestCheckpoint, LastCheckpoint, MovableCheckpoint
from litzoo.callbacks.checkpoints.exact_resume import EpochSeed, ExactResume

__all__ = ["AtomicCheckpointIO", "BestCheckpoint", "EpochSeed", "ExactResume", "LastCheckpoint", "MovableCheckpoint"]
