from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


def check_config_files(args: Any) -> None:
    """Refuses a config that is no YAML mapping, by its name: the parser would speak of its content alone.

    Args:
        args: The command line, a list of words; anything else is left to the parser.

    Raises:
        ValueError: If a file is broken, empty, or holds something else than options.
    """
    for path in _named(args) if isinstance(args, list) else ():
        if not path.is_file():
            continue
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"--config {path}: is no YAML: {' '.join(str(error).split())}") from error
        if not isinstance(content, dict):
            held = "nothing" if content is None else f"a {type(content).__name__}"
            raise ValueError(f"--config {path}: holds {held}; it takes options, such as `trainer: {{max_epochs: 5}}`")


def _named(words: list[str]) -> Iterator[Path]:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ("--config", "-c"):
            yield Path(following)
        elif word.startswith("--config="):
            yield Path(word.split("=", 1)[1])
