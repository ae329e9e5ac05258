"""Whether a checkpoint is of the class that loads it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn


@contextmanager
def class_is_named(origin: str, content: Mapping[str, Any], loading: type) -> Iterator[None]:
    """Names the class to use while a checkpoint is loaded, if it is not the loading class or a base of it.

    Args:
        origin: The checkpoint, for messages.
        content: Its content; those of 0.1 do not name their class.
        loading: The class whose `load_from_checkpoint` is called.

    Raises:
        ValueError: If a checkpoint of another class cannot be loaded. One that can only leads to a warning.
    """
    held = content.get("module")
    if held is None or held in {each.__name__ for each in loading.__mro__}:
        yield
        return
    message = f"{origin}: holds a {held}, not a {loading.__name__}; use {held}.load_from_checkpoint"
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(message) from error
    rank_zero_warn(message)
