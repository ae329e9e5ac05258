import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from scripts.command_words import abridged, options_in
from scripts.yaml_checks import check_yaml

MOST_BYTES = 2**20
YAML_FILES = (".yaml", ".yml", ".json")
SECTIONS = ("checkpoint", "data", "model", "trainer")
OPTION = re.compile(r"[A-Za-z_][\w.]*\+?")


def check_config_files(words: Sequence[str]) -> None:
    """Refuses a config that is no YAML mapping, by its name: the parser would speak of its content alone.

    Args:
        words: The command line.

    Raises:
        ValueError: If a file is absent, too large, broken, empty, or holds something else than options.
    """
    for option, value in options_in(words):
        if option in ("--config", "-c") and value is not None and not _is_inline(value):
            _check_options(f"--config {abridged(value) or repr(value)}", Path(value).expanduser())
        elif value is not None and value.endswith(YAML_FILES) and Path(value).is_file():
            _read(f"{option} {abridged(value)}", Path(value))


def _is_inline(value: str) -> bool:
    """Whether it is no path, but the options themselves."""
    return value.lstrip().startswith("{") or "\n" in value


def _check_options(name: str, path: Path) -> None:
    content = _read(name, path)
    if not isinstance(content, dict):
        held = "nothing" if content is None else f"a {type(content).__name__}"
        raise ValueError(f"{name}: holds {held}; it takes options, such as `trainer: {{max_epochs: 5}}`")
    for key in content:
        if not isinstance(key, str) or not OPTION.fullmatch(key):
            raise ValueError(f"{name}: {abridged(repr(key))} is no option; one is `trainer: {{max_epochs: 5}}`")
    for key in SECTIONS:
        if not isinstance(content.get(key), (dict, str, type(None))):
            raise ValueError(f"{name}: {key} holds a {type(content[key]).__name__}, no options")


def _read(name: str, path: Path) -> Any:
    try:
        if not path.is_file():
            os.stat(path)  # says why, if it is not there
            raise ValueError(f"{name}: is no file; name a YAML file")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ValueError(f"{name}: has {size:,} bytes, more than {MOST_BYTES:,}; name a YAML file of options alone")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: is no text in UTF-8 ({error}); name a YAML file, saved as UTF-8") from error
    except OSError as error:
        raise ValueError(f"{name}: cannot be read ({error.strerror}); name a YAML file") from error
    try:
        check_yaml(text)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split()).replace('in "<unicode string>", ', "in ")
        raise ValueError(f"{name}: is no YAML: {problem}") from error
    except ValueError as error:  # what `check_yaml` refuses, and a number or a date that cannot be
        raise ValueError(f"{name}: {error}") from error
