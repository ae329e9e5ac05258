"""What a checkpoint holds of a datamodule, known when the datamodule is created."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_RESTORED: ContextVar[Mapping[str, Any]] = ContextVar("restored", default={})  # noqa: B039 (never changed)


@contextmanager
def restored_from(checkpoint: Mapping[str, Any]) -> Iterator[None]:
    """Tells datamodules that are created within what a checkpoint holds of them.

    Lightning restores a datamodule after the module has been created, which is too late for what the module is created
    from, such as the number of inputs.

    Args:
        checkpoint: Content of the checkpoint.
    """
    token = _RESTORED.set(checkpoint)
    try:
        yield
    finally:
        _RESTORED.reset(token)


def restored_of(name: str) -> Mapping[str, Any]:
    """Returns what the checkpoint of `restored_from` holds of the class `name`; nothing outside of it."""
    return _RESTORED.get().get(name, {})
