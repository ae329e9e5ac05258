import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class EpochOutputs(Metric):
    """Keeps what the steps of an evaluation returned, from all processes, with every sample counted once.

    Metrics computed from it are exact: several processes repeat samples to fill their last batches, and means over
    batches weigh a short last batch wrongly.

    Args:
        names: Keys of the step output to keep, tensors `[B, ...]`, beside `index`.
    """

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = ("index", *names)
        for name in self.names:
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, outputs: dict[str, Tensor]) -> None:
        """Keeps a batch; nothing is copied."""
        for name in self.names:
            getattr(self, name).append(outputs[name])

    def compute(self) -> dict[str, Tensor]:
        """Returns each kept tensor `[N, ...]`, in the order of the samples' index; use `gather`."""
        kept = {name: dim_zero_cat(getattr(self, name)) for name in self.names}
        order = torch.argsort(kept["index"], stable=True)
        index = kept["index"][order]
        first = torch.ones_like(index, dtype=torch.bool)
        first[1:] = index[1:] != index[:-1]
        return {name: values[order][first] for name, values in kept.items()}

    def gather(self) -> dict[str, Tensor]:
        """Returns each kept tensor `[N, ...]`, in the order of the samples' index, and forgets them.

        torchmetrics makes scalars of tensors with one element; here a single sample keeps its dimension.
        """
        kept = {name: values[None] if values.ndim == 0 else values for name, values in self.compute().items()}
        self.reset()
        return kept
