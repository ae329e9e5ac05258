"""A number with what it counts, for messages."""


def counted(number: int, one: str, more: str | None = None) -> str:
    """Returns a number with `one`, or with `more`, by default the same with an s: `1 file`, `1,234 files`."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"
