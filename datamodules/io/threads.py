"""A thread pool that reads files."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

T = TypeVar("T")
Source = TypeVar("Source")


def in_threads(read: Callable[[Source], T], sources: Sequence[Source]) -> list[T]:
    """Applies `read` to each source in parallel and returns the results in order; decoding releases the GIL.

    Returns a list, since a generator that is not exhausted is closed by the garbage collector at any moment, when it
    must not wait for threads.
    """
    return list(_threads().map(read, sources))


@cache
def _threads() -> ThreadPoolExecutor:
    """Returns the thread pool of this process."""
    return ThreadPoolExecutor(min(8, os.cpu_count() or 1), "reader")


# Forks, such as DataLoader workers, do not inherit threads.
os.register_at_fork(after_in_child=_threads.cache_clear)
