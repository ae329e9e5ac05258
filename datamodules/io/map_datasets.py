"""Reads torch data sets of `(x, y)` pairs or dictionaries into memory: images as uint8, anything else as float32."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor
from torch.utils.data import IterableDataset

from litzoo.datamodules.io.decoding import convert
from litzoo.datamodules.io.images import PROGRESS_BAR_FROM

Keys = tuple[str | int, str | int]
INPUTS = ("input", "image", "img", "x", "pixel_values", "features")
"""Names that inputs have in dictionaries; one of them has to be there."""
TARGETS = ("target", "label", "y", "labels", "fine_label", "class")
_WHITE = (255, 255, 255)
_PREVIEW = 16
"""Samples that decide whether inputs are images."""


def require_map_style(name: str, dataset: Any) -> None:
    """Checks that a data set has a length and an index, and is not empty.

    Raises:
        TypeError: If it is an `IterableDataset`, or has none of these.
        ValueError: If it is empty.
    """
    if isinstance(dataset, IterableDataset):
        raise TypeError(
            f"{name}: {type(dataset).__name__} is an IterableDataset, whose samples have no index: collect them in a "
            "list, which is accepted too"
        )
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise TypeError(
            f"{name}: {type(dataset).__name__} is no map-style data set; give one with __len__ and __getitem__"
        )
    if not len(dataset):
        raise ValueError(f"{name}: the data set is empty; give one with at least one sample")


def are_images(name: str, dataset: Any, keys: Keys | None, labeled: bool = True) -> bool:
    """Whether inputs are images: Pillow images, uint8, or floats `[C, H, W]` from 0 to 1 of one or three channels."""
    samples = [_sample(name, dataset, index, keys, labeled)[0] for index in range(min(_PREVIEW, len(dataset)))]
    return all(_is_image(each) for each in samples)


def read_dataset(
    name: str, dataset: Any, keys: Keys | None, images: bool, labeled: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Returns all inputs, uint8 `[N, C, H, W]` for images or else float32 `[N, ...]`, and the labels, int64 `[N]`.

    Args:
        name: What the data set is called in messages.
        dataset: A map-style data set.
        keys: Where a sample holds input and label; `None` for the first and second of a pair, or the usual names in a
            dictionary.
        images: Whether the inputs are images.
        labeled: Whether to return labels.

    Raises:
        ValueError: If a sample cannot be read, shapes differ, or an input or label is not of the kind expected.
    """
    inputs: Tensor | None = None
    labels: list[int] = []
    grey = False
    for index in _indices(name, dataset):
        x, y = _sample(name, dataset, index, keys, labeled)
        place = f"{name}[{index}]"
        if not index:
            grey = isinstance(x, Image.Image) and x.mode in ("1", "L", "I", "F", "I;16")
        row = _image(place, x, grey) if images else numbers_of(place, x)
        if inputs is None:
            inputs = row.new_empty(len(dataset), *row.shape)
        if row.shape != inputs.shape[1:]:
            raise ValueError(
                f"{place} has the shape {list(row.shape)}, but {name}[0] {list(inputs.shape[1:])}: give all samples "
                "one shape, for images with torchvision's Resize or CenterCrop in the data set's transform"
            )
        inputs[index] = row
        if labeled:
            labels.append(_label(place, y))
    assert inputs is not None
    return inputs, torch.tensor(labels) if labeled else None


def inputs_of(name: str, dataset: Any) -> list[Any]:
    """Returns the inputs of a map-style data set or a list as they are: samples, or parts of pairs or dictionaries.

    Raises:
        ValueError: If a sample cannot be read, or a dictionary has no input.
    """
    indices = range(len(dataset)) if isinstance(dataset, (list, tuple)) else _indices(name, dataset)
    return [_sample(name, dataset, index, keys=None, labeled=False)[0] for index in indices]


def _indices(name: str, dataset: Any) -> Iterator[int]:
    count = len(dataset)
    if count < PROGRESS_BAR_FROM:
        yield from range(count)
    else:
        yield from track(range(count), f"Reading {name}", transient=True)


def is_random(name: str, dataset: Any, keys: Keys | None, images: bool) -> bool:
    """Whether a sample is another one when it is read again, as random transforms make it."""
    first, again = (read_dataset(name, _First(dataset), keys, images, labeled=False)[0] for _ in range(2))
    return first.shape != again.shape or not torch.equal(first, again)


class _First:
    """The first samples of a data set."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return min(4, len(self.dataset))

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]


def _sample(name: str, dataset: Any, index: int, keys: Keys | None, labeled: bool) -> tuple[Any, Any]:
    place = f"{name}[{index}]"
    try:
        sample = dataset[index]
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{place} cannot be read, of {len(dataset)} samples ({reason}); repair the data set"
        ) from error
    if not labeled and isinstance(sample, (tuple, list)) and sample and keys is None:
        return sample[0], None
    if not labeled and not isinstance(sample, (tuple, list, Mapping)):
        return sample, None
    if keys is not None:
        try:
            return sample[keys[0]], sample[keys[1]] if labeled else None
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"{place} has no {' and '.join(map(repr, keys))}, but is {_described(sample)}") from error
    if isinstance(sample, Mapping):
        x = sample[_key(place, sample, INPUTS, "input")]
        return x, sample[_key(place, sample, TARGETS, "label")] if labeled else None
    if isinstance(sample, (tuple, list)) and len(sample) == 2:
        return sample[0], sample[1]
    raise ValueError(
        f"{place} is {_described(sample)}; samples are (input, label) pairs or dictionaries; for others say where both "
        "are, such as keys=(0, 2)"
    )


def _key(place: str, sample: Mapping[str, Any], usual: Sequence[str], what: str) -> str:
    found = [name for name in usual if name in sample]
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} entries that may be the {what} ({', '.join(found)})" if found else f"no {what}"
    raise ValueError(
        f"{place} has {problem}, of {', '.join(map(str, sample))}; name input and label, such as "
        'keys=("image", "label")'
    )


def _is_image(x: Any) -> bool:
    if isinstance(x, Image.Image):
        return True
    if not isinstance(x, (Tensor, np.ndarray)):
        return False
    values = torch.as_tensor(x) if isinstance(x, Tensor) else torch.from_numpy(np.array(x))
    if values.dtype == torch.uint8:
        return values.ndim in (2, 3)
    if not values.is_floating_point() or values.ndim != 3 or not {values.shape[0], values.shape[-1]} & {1, 3}:
        return False
    return float(values.min()) >= 0 and float(values.max()) <= 1


def _image(place: str, x: Any, grey: bool) -> Tensor:
    """Returns an image, uint8 `[C, H, W]`."""
    if isinstance(x, Image.Image):
        x = np.array(convert(x, "L" if grey else "RGB", None, _WHITE))
    if not isinstance(x, (Tensor, np.ndarray)):
        raise ValueError(f"{place} is {_described(x)}, not an image like the first ones")
    values = torch.from_numpy(np.array(x)) if isinstance(x, np.ndarray) else x.as_subclass(Tensor).cpu()
    if values.ndim not in (2, 3) or (values.dtype != torch.uint8 and not values.is_floating_point()):
        raise ValueError(
            f"{place} is {_described(x)}; an image is a Pillow image, an array [H, W] or [H, W, C] or a tensor "
            "[C, H, W], uint8, or floats from 0 to 1"
        )
    if values.ndim == 2:
        values = values[None]
    elif isinstance(x, np.ndarray):
        if x.shape[2] in (1, 3, 4):
            values = values.permute(2, 0, 1)
        elif x.shape[0] not in (1, 3, 4):
            raise ValueError(f"{place} is {_described(x)}, whose channels cannot be told; give a tensor [C, H, W]")
    elif x.shape[0] not in (1, 3, 4) and x.shape[2] in (1, 3, 4):
        values = values.permute(2, 0, 1)
    if values.dtype == torch.uint8:
        return values
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{place} has values from {low:.4g} to {high:.4g}; floats of an image are from 0 to 1: leave Normalize "
            "out, the datamodule normalises, or set images=False to take all values as they are"
        )
    return (values.float() * 255).round().to(torch.uint8)


def numbers_of(place: str, x: Any) -> Tensor:
    """Returns numbers of any shape, float32.

    Args:
        place: What they are called in messages.
        x: A tensor, an array, a data frame or nested lists.

    Raises:
        ValueError: If they are no finite numbers, a single one, or of a kind of which something would be lost.
    """
    _refuse_loss(place, x)
    try:
        if hasattr(x, "iloc") and hasattr(x, "columns"):
            x = x.to_numpy(np.float64, na_value=np.nan)
        values = x.as_subclass(Tensor).cpu() if isinstance(x, Tensor) else torch.from_numpy(np.array(x))
        values = values.to(torch.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place} is {_described(x)}; an input is an image, or an array of numbers") from error
    if not values.ndim:
        raise ValueError(f"{place} is a single number; an input has at least one dimension, such as [1]")
    if not values.isfinite().all():
        raise ValueError(f"{place} has values that are not finite; replace or remove them")
    return values


def _refuse_loss(place: str, x: Any) -> None:
    """Refuses sparse, masked and complex numbers, and data frames with columns of something else than numbers."""
    if hasattr(x, "toarray") or (isinstance(x, Tensor) and x.layout != torch.strided):
        dense = "to_dense" if isinstance(x, Tensor) else "toarray"
        raise ValueError(f"{place} is sparse; make it dense with .{dense}()")
    if np.ma.is_masked(x):
        raise ValueError(f"{place} has masked values; replace them, such as with .filled(0)")
    if hasattr(x, "iloc") and hasattr(x, "columns"):
        for name, dtype in zip(x.columns, x.dtypes, strict=True):
            if dtype.kind not in "biuf":
                raise ValueError(
                    f"{place}: the column {name!r} has the dtype {dtype}, which is not of real numbers; convert it, or "
                    "leave it out as in training"
                )
    elif x.is_complex() if isinstance(x, Tensor) else np.iscomplexobj(x):
        raise ValueError(f"{place} has complex numbers; give real and imaginary part as numbers of their own")


def _label(place: str, y: Any) -> int:
    single = y.numel() == 1 if isinstance(y, Tensor) else isinstance(y, (np.ndarray, np.generic)) and y.size == 1
    value = y.item() if single else y
    if not isinstance(value, int):
        hint = "; its classes may be one-hot: give their positions" if np.ndim(y) else ""
        raise ValueError(
            f"{place} has the label {y!r} of type {type(y).__name__}; labels are integers, from 0 to the number of "
            f"classes - 1{hint}"
        )
    if value < 0:
        raise ValueError(
            f"{place} has the label {value}; labels begin at 0. Samples without a label go into `unlabeled`; a class "
            "not to learn gets a number of its own and is left out of known_classes"
        )
    return int(value)


def _described(x: Any) -> str:
    if isinstance(x, (Tensor, np.ndarray)):
        return f"{type(x).__name__} {x.dtype} {list(x.shape)}"
    if isinstance(x, Mapping):
        return f"a dictionary of {', '.join(map(str, x))}"
    return f"a {type(x).__name__} of {len(x)}" if isinstance(x, (tuple, list)) else f"a {type(x).__name__}"
