import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress

import yaml

from scripts.yaml_checks import check_yaml

MOST_CHARACTERS = 100_000
"""In one word of the command line: Linux itself takes no more than 131,071."""


def check_words(words: Sequence[str]) -> None:
    """Refuses words that no option can mean, before a parser takes minutes over them or waits for ever.

    Args:
        words: The command line.

    Raises:
        ValueError: If a word is too long or no text, an option has no value, or a value is a pipe, or YAML with a key
            twice or aliases that grow beyond bounds. The message names the option.
    """
    for option, value in options_in(words):
        name = abridged(option) if is_text(option) else ascii(abridged(option))
        if not option:
            name = f"the word {abridged(value or '')!a}"
        if len(option) + len(value or "") > MOST_CHARACTERS:
            length = f"{len(option) + len(value or ''):,}"
            raise ValueError(f"{name}: has {length} characters; what is that long belongs into a --config file")
        if not is_text(option + (value or "")):
            raise ValueError(f"{name}: {abridged(ascii(value))} is no text in UTF-8; write or rename it in UTF-8")
        if value is None:
            if "." in option and not option.endswith(".help"):
                raise ValueError(f"{name}: has no value; give one, such as `{name} <value>`")
            continue
        if _is_pipe(value):
            raise ValueError(f"{name}: {value} is a pipe; write what comes out of it into a file, and name that")
        try:
            check_yaml(value)
        except yaml.YAMLError:
            pass  # a plain word, most likely; the parser knows what the option takes
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def options_in(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yields each option with its value, `None` where it has none; words that belong to no option come with ''."""
    position = 0
    while position < len(words):
        word, following = words[position], words[position + 1 : position + 2]
        position += 1
        if not word.startswith("--") and word != "-c":
            yield "", word
        elif "=" in word:
            yield word.split("=", 1)[0], word.split("=", 1)[1]
        elif following and not following[0].startswith("--"):
            yield word, following[0]
            position += 1
        else:
            yield word, None


def abridged(text: str, most: int = 60) -> str:
    """Returns a text, or its beginning where it is long."""
    return text if len(text) <= most else f"{text[:most]}..."


def is_text(text: str) -> bool:
    """Whether something can be written into files and names of files."""
    with suppress(UnicodeEncodeError):
        return b"\0" not in text.encode()
    return False


def _is_pipe(value: str) -> bool:
    with suppress(OSError):
        return stat.S_ISFIFO(os.stat(value).st_mode)
    return False
