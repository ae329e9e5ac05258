"""Counts what the tests have tried, for the last lines of a run: kills survived, inputs refused, processes tried."""

from collections import Counter

COUNTS: Counter[str] = Counter()


def count(what: str, number: int = 1) -> None:
    """Notes that a test has seen so many of something go well; called after what it asserts."""
    COUNTS[what] += number
