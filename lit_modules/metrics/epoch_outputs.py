import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class EpochOutputs(Metric):
    """Collects step outputs of a whole evaluation from all processes, each sample once, in order of `index`.

    For what needs all raw outputs, such as figures, prediction files and exact rankings. Duplicates, which a padded
    distributed sampler makes, are dropped by their `index`; samples of different loaders are no duplicates.

    Args:
        names: Keys of the step output to collect beside `index`, tensors `[B, ...]`.
    """

    loader: list[Tensor]

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = ("index", *names)
        for name in (*self.names, "loader"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, outputs: dict[str, Tensor], loader: int = 0) -> None:
        """Adds a batch of one of several loaders, without copying it."""
        for name in self.names:
            getattr(self, name).append(outputs[name])
        self.loader.append(torch.full_like(outputs["index"], loader))

    def compute(self) -> dict[str, Tensor]:
        """Returns each collected tensor `[N, ...]` in order of loader and `index`; call `gather` instead."""
        collected = {name: dim_zero_cat(getattr(self, name)) for name in self.names}
        order = torch.argsort(collected["index"], stable=True)
        loader = dim_zero_cat(self.loader)
        order = order[torch.argsort(loader[order], stable=True)]
        index, loader = collected["index"][order], loader[order]
        first = torch.ones_like(index, dtype=torch.bool)
        first[1:] = (index[1:] != index[:-1]) | (loader[1:] != loader[:-1])
        return {name: values[order][first] for name, values in collected.items()}

    def gather(self) -> dict[str, Tensor]:
        """Returns each collected tensor `[N, ...]` in order of loader and `index`, and resets.

        torchmetrics turns tensors with one element into scalars; here a single sample keeps its dimension.
        """
        collected = {name: values[None] if values.ndim == 0 else values for name, values in self.compute().items()}
        self.reset()
        return collected
