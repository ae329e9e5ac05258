"""torchvision's transforms as plain values: class and arguments, as checkpoints keep them."""

import inspect
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import torch
from torchvision.transforms import InterpolationMode, v2

PACKAGE = "torchvision.transforms.v2"
DTYPE = "torch."


def describe(transform: v2.Transform) -> dict[str, Any]:
    """Returns `class_path` and `init_args` of a transform, as numbers, strings and lists.

    torchvision's transforms keep their arguments as attributes of the same name.

    Raises:
        ValueError: If it is not one of `torchvision.transforms.v2`, or an argument is not a plain value.
    """
    name = type(transform).__name__
    if getattr(v2, name, None) is not type(transform):
        raise ValueError(
            f"data.eval_transform: {name} is not one of {PACKAGE}, so that a checkpoint could not describe it; use one "
            "of these"
        )
    parameters = inspect.signature(type(transform).__init__).parameters
    arguments = {key: vars(transform)[key] for key in list(parameters)[1:] if key in vars(transform)}
    if isinstance(transform, v2.Compose):
        arguments = {"transforms": list(transform.transforms)}
    return {
        "class_path": f"{PACKAGE}.{name}",
        "init_args": {key: _plain(name, value) for key, value in arguments.items()},
    }


def rebuild(description: Mapping[str, Any]) -> v2.Transform:
    """Returns the transform that `describe` described; only classes of torchvision are created.

    Raises:
        ValueError: If the description names something else.
    """
    package, _, name = str(description.get("class_path")).rpartition(".")
    kind = getattr(v2, name, None) if package == PACKAGE else None
    if not (isinstance(kind, type) and issubclass(kind, v2.Transform)):
        raise ValueError(f"eval_transform: {description.get('class_path')!r} is not a transform of {PACKAGE}")
    return kind(**{key: _restored(key, value) for key, value in description.get("init_args", {}).items()})


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, v2.Transform):
        return describe(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, torch.dtype):
        return str(value)
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(name, each) for each in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(
        f"data.eval_transform: {name} has an argument of type {type(value).__name__}, which a checkpoint cannot keep; "
        "give numbers, strings and lists"
    )


def _restored(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return rebuild(value)
    if key == "interpolation" and isinstance(value, str):
        return InterpolationMode(value)
    if isinstance(value, str) and value.startswith(DTYPE):
        return getattr(torch, value.removeprefix(DTYPE))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_restored(key, each) for each in value]
    return value
