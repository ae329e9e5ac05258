"""Whether a checkpoint is of the class that loads it."""

from collections.abc import Mapping
from typing import Any


def other_class(content: Mapping[str, Any], loading: type) -> str | None:
    """Returns the name of the class that a checkpoint holds, or None if it is the loading class or a base of it.

    Args:
        content: Of the checkpoint; those of 0.1 do not name their class.
        loading: The class whose `load_from_checkpoint` is called.
    """
    name = content.get("module")
    return None if name is None or name in {each.__name__ for each in loading.__mro__} else str(name)


def use_instead(origin: str, held: str, loading: type) -> str:
    """Returns the message that names the class to use."""
    return f"{origin}: holds a {held}, not a {loading.__name__}; use {held}.load_from_checkpoint"
