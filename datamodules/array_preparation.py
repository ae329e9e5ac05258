"""How arrays in memory become inputs of a network that was trained on `ArrayDatasetsDataModule`."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from torch import Tensor

from litzoo.datamodules.io.map_datasets import numbers_of, read_dataset, require_map_style


class ArrayPreparation:
    """Takes feature vectors, series or other arrays of one shape as they are, as float32.

    Args:
        shape: Of one input.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "ArrayPreparation":
        """Builds it from the entry `arrays` of an `ArrayDatasetsDataModule`'s state in a checkpoint."""
        return cls(state["shape"])

    def tensor(self, inputs: Any) -> Tensor:
        """Returns inputs as float32 `[N, *shape]`.

        Args:
            inputs: A tensor, an array or a data frame `[N, *shape]`, or `[*shape]` for a single sample; a list of
                samples, or of lists or tuples of numbers; or a map-style data set of inputs, `(input, label)` pairs or
                dictionaries, whose labels are not read.

        Raises:
            TypeError: If they are something else.
            ValueError: If there is no sample, or one has another shape or values that are not finite.
        """
        if _are_samples(inputs):
            require_map_style("inputs", inputs)
            rows = read_dataset("inputs", inputs, keys=None, images=False, labeled=False)[0]
        else:
            rows = numbers_of("inputs", inputs)
        if tuple(rows.shape) == self.shape:
            rows = rows[None]
        if tuple(rows.shape[1:]) != self.shape:
            raise ValueError(
                f"inputs: have the shape {list(rows.shape)}, but a sample of the training {list(self.shape)}: give "
                f"{[*('N',), *self.shape]}, with the features of training in their order"
            )
        if not len(rows):
            raise ValueError("inputs: there is no sample; give at least one")
        return rows


def _are_samples(inputs: Any) -> bool:
    """Whether inputs are samples to read one by one; else they are numbers."""
    if isinstance(inputs, (list, tuple)):
        first = inputs[0] if inputs else None
        is_row = isinstance(first, tuple) and all(isinstance(each, Real) for each in first)  # no (input, label)
        return not (isinstance(first, (Real, list)) or is_row)
    return not (hasattr(inputs, "__array__") or hasattr(inputs, "toarray"))  # tensors, arrays, data frames; sparse ones
