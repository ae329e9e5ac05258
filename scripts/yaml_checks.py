from typing import Any, NamedTuple

import yaml

MOST_VALUES = 100_000
DEEPEST = 50
OF_CLASS = ("class_path", "init_args", "dict_kwargs", "<<")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Open(NamedTuple):
    """A list or mapping that has not ended yet."""

    anchor: str | None
    keys: dict[str, int] | None  # of a mapping: key -> line
    children: list[int]  # how many values each child holds; of a mapping, keys and values by turns


def check_yaml(text: str) -> None:
    """Refuses what YAML allows and no configuration means: a key twice, options beside their class, endless aliases.

    Of two equal keys YAML's readers take the last without a word. A few lines of aliases of aliases stand for more
    values than any memory holds (https://en.wikipedia.org/wiki/Billion_laughs_attack): they are counted here, from what
    the text says, and not built.

    Raises:
        ValueError: The message names the line and the remedy.
        yaml.YAMLError: If it is no YAML.
    """
    sizes: dict[str | None, int] = {}
    document = _Open(None, None, [])
    opened = [document]
    event: Any
    for event in yaml.parse(text, Loader=LOADER):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            keys: dict[str, int] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
            opened.append(_Open(event.anchor, keys, []))
            if len(opened) > DEEPEST:
                raise ValueError(f"line {line} is nested {DEEPEST} deep; nothing that can be configured is")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            ended = opened.pop()
            _check_class(ended.keys or {})
            size, anchor = 1 + sum(ended.children), ended.anchor
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in [each.anchor for each in opened]:
                raise ValueError(f"line {line}: *{event.anchor} stands within the &{event.anchor} that it repeats")
            size, anchor = sizes.get(event.anchor, 1), None
        elif isinstance(event, yaml.ScalarEvent):
            size, anchor = 1, event.anchor
            if opened[-1].keys is not None and len(opened[-1].children) % 2 == 0:
                _note_key(opened[-1].keys, event.value, line)
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        opened[-1].children.append(size)
        if size > MOST_VALUES or len(opened[-1].children) > MOST_VALUES:
            raise ValueError(
                f"line {line}: holds more than {MOST_VALUES:,} values, those of its aliases counted; keep data in "
                "files of their own"
            )


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
