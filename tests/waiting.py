"""Operations that make the host wait for a GPU, counted on the CPU."""

from collections import Counter
from typing import Any

import torch
from lightning.pytorch import Callback
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {
    "_local_scalar_dense",
    "_unique2",
    "bincount",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
}
MASKABLE = {"index", "index_put", "index_put_", "_unsafe_index"}


class CountWaits(TorchDispatchMode):
    """Counts, by name, the operations whose result the host needs before it can go on."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Counts an operation and runs it."""
        name = func.overloadpacket.__name__
        masks = name in MASKABLE and any(
            each is not None and each.dtype in (torch.bool, torch.uint8) for each in args[1]
        )
        repeats = (
            name == "repeat_interleave" and isinstance(args[-1], torch.Tensor) and "output_size" not in (kwargs or {})
        )
        if name in WAITING or masks or repeats:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


class CountWaitsOfSteps(Callback):
    """Counts them in training steps, from the second one on; the first callback of the trainer.

    Args:
        last: Whether this is the last callback, which ends the counting that the first one has begun.
    """

    def __init__(self, first: "CountWaitsOfSteps | None" = None) -> None:
        self.first, self.counts, self.steps = first, Counter[str](), 0
        self._mode: CountWaits | None = None

    @property
    def state_key(self) -> str:
        """Lets a trainer have two of them."""
        return f"{type(self).__name__}{self.first is None}"

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Begins to count."""
        if self.first is None and batch_idx > 0:
            self._mode = CountWaits()
            self._mode.__enter__()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Ends the counting."""
        if self.first is not None and (mode := self.first._mode) is not None:
            mode.__exit__(None, None, None)
            self.first.counts += mode.counts
            self.first.steps += 1
            self.first._mode = None
