"""Checks the words of the command line and the YAML of configs before jsonargparse parses them."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from numbers import Number
from pathlib import Path
from typing import Any

import yaml
from jsonargparse.typing import register_type

from litzoo import callbacks, datamodules, lit_modules
from litzoo.scripts.configs import nearest_configs

OLD_PATH = re.compile(r"(callbacks|datamodules|lit_modules)\.(?:\w+\.)*(\w+)")
OF_CLASS = ("class_path", "init_args", "dict_kwargs", "<<")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _as_number(value: Any) -> Any:
    """Returns a number, or the number that a word of the command line is; raises ValueError for other text."""
    if isinstance(value, Number):
        return value
    return int(value) if re.fullmatch(r"[+-]?\d+", str(value)) else float(value)


# torchvision's transforms take `numbers.Number`, which jsonargparse does not know: it would write "Unable to serialize
# instance 15" to the run's config.
register_type(Number, serializer=lambda value: value, deserializer=_as_number, fail_already_registered=False)


def check_yaml(text: str) -> None:
    """Refuses options beside `class_path`, and duplicate keys, of which YAML readers silently take the last.

    Raises:
        ValueError: The message names the line and the fix.
        yaml.YAMLError: If it is not YAML.
    """
    node = yaml.compose(text, Loader=LOADER)
    if node is not None:
        _check_node(node, set())


def refuse_old_path(text: str) -> None:
    """Refuses a class path of litzoo 0.1, such as `callbacks.RunSummary`, unless the user has a package of that name.

    Raises:
        ValueError: The message gives the new name.
    """
    match = OLD_PATH.fullmatch(text)
    if match is None or match[2] not in (*callbacks.__all__, *datamodules.__all__, *lit_modules.__all__):
        return
    package = find_spec(match[1])
    ours = find_spec(f"litzoo.{match[1]}")
    if package is None or (ours is not None and package.origin == ours.origin):
        raise ValueError(f"{text} is a class path of litzoo 0.1; write {match[2]}")


def _check_node(node: yaml.Node, seen: set[int]) -> None:
    if isinstance(node, yaml.ScalarNode):
        refuse_old_path(node.value)
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return
    seen.add(id(node))  # an alias is the node that it stands for
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _check_node(child, seen)
        return
    keys: dict[str, int] = {}
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            _note_key(keys, key.value, key.start_mark.line + 1)
        _check_node(value, seen)
    _check_class(keys)


def _note_key(keys: dict[str, int], key: str, line: int) -> None:
    if key in keys:
        first = f" and line {keys[key]}" if keys[key] != line else ""
        raise ValueError(f"line {line}{first}: {key!r} is there twice; join the two, or remove one")
    keys[key] = line


def _check_class(keys: dict[str, int]) -> None:
    if "class_path" not in keys:
        return
    for key, line in keys.items():
        if key not in OF_CLASS:
            raise ValueError(
                f"line {line}: {key!r} stands beside class_path; options of a class belong under init_args"
            )


def check_words(words: Sequence[str]) -> None:
    """Refuses an option without a value, text that is not UTF-8, and YAML that `check_yaml` refuses.

    Args:
        words: The command line.

    Raises:
        ValueError: The message names the option.
    """
    for option, value in options_in(words):
        name = shorten(option) if is_text(option) else ascii(shorten(option))
        if not option:
            name = f"the word {shorten(value or '')!a}"
        if not is_text(option + (value or "")):
            raise ValueError(f"{name}: {shorten(ascii(value))} is no text in UTF-8; write or rename it in UTF-8")
        if value is None:
            if "." in option and not option.endswith(".help"):
                raise ValueError(f"{name}: has no value; give one, such as `{name} <value>`")
            continue
        try:
            check_yaml(value)
        except yaml.YAMLError:
            pass  # most likely a plain word; the parser checks it
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def options_in(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yields each option with its value, or `None`; a word without an option comes with the option ''."""
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


def shorten(text: str, most: int = 60) -> str:
    """Returns a text, cut off if it is long."""
    return text if len(text) <= most else f"{text[:most]}..."


def is_text(text: str) -> bool:
    """Whether a text is valid in UTF-8 files and in file names."""
    with suppress(UnicodeEncodeError):
        return b"\0" not in text.encode()
    return False


YAML_FILES = (".yaml", ".yml", ".json")
SECTIONS = ("checkpoint", "data", "model", "trainer")
OPTION = re.compile(r"[A-Za-z_][\w.]*\+?")


def check_config_files(words: Sequence[str]) -> None:
    """Refuses a config that is not a YAML mapping; unlike the parser, the message names the file.

    Args:
        words: The command line.

    Raises:
        ValueError: If a file is absent, broken, empty, or holds something else than options.
    """
    for option, value in options_in(words):
        if option in ("--config", "-c") and value is not None and not _is_inline(value):
            _check_options(f"--config {shorten(value) or repr(value)}", Path(value).expanduser())
        elif value is not None and value.endswith(YAML_FILES) and Path(value).is_file():
            _read(f"{option} {shorten(value)}", Path(value))


def _is_inline(value: str) -> bool:
    """Whether the value is not a path, but the options themselves."""
    return value.lstrip().startswith("{") or "\n" in value


def _check_options(name: str, path: Path) -> None:
    content = _read(name, path)
    if not isinstance(content, dict):
        held = "nothing" if content is None else f"a {type(content).__name__}"
        raise ValueError(f"{name}: holds {held}; it takes options, such as `trainer: {{max_epochs: 5}}`")
    for key in content:
        if not isinstance(key, str) or not OPTION.fullmatch(key):
            raise ValueError(f"{name}: {shorten(repr(key))} is no option; one is `trainer: {{max_epochs: 5}}`")
    for key in SECTIONS:
        if not isinstance(content.get(key), (dict, str, type(None))):
            raise ValueError(f"{name}: {key} holds a {type(content[key]).__name__}, no options")


def _read(name: str, path: Path) -> Any:
    try:
        if not path.is_file():
            os.stat(path)  # says why, if it is not there
            raise ValueError(f"{name}: is no file; name a YAML file")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: is no text in UTF-8 ({error}); name a YAML file, saved as UTF-8") from error
    except OSError as error:
        nearest = ", ".join(nearest_configs(path.name)) or "see `litzoo configs`"
        raise ValueError(
            f"{name}: cannot be read ({error.strerror}); name a YAML file or a shipped experiment ({nearest})"
        ) from error
    try:
        check_yaml(text)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split()).replace('in "<unicode string>", ', "in ")
        raise ValueError(f"{name}: is no YAML: {problem}") from error
    except ValueError as error:  # what `check_yaml` refuses, and a number or a date that cannot be
        raise ValueError(f"{name}: {error}") from error
