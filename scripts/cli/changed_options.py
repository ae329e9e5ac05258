"""Finds the options in which two trainings differ, and puts them into words."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from lightning.pytorch.utilities import rank_zero_warn

from litzoo.callbacks.files import display_path
from litzoo.scripts.cli.links import linked_names

MAX_ITEMS = 8
LONGEST_VALUE = 60  # characters
IGNORED = {"config", "ckpt_path", "resume", "experiment", "test_after_fit", "trainer.default_root_dir"}
IGNORED |= {"trainer.enable_progress_bar", "trainer.enable_model_summary"}
IGNORED |= {"seed_everything", "trainer.precision"}  # `RunRecord` warns of these
IGNORED |= {"model.runs", "model.described"}


class Change(NamedTuple):
    """An option that differs: its name on the command line, and both values as text."""

    name: str
    now: str
    before: str


def changes(now: Any, before: Any, name: str = "") -> Iterator[Change]:
    """Yields the differences between options at any depth; an absent option counts as `null`.

    Args:
        now: Options as in YAML: an object is a dictionary with `class_path`.
        before: Options that they are compared with.
        name: Of the option that the two are the values of.
    """
    now, before = (list(each) if isinstance(each, tuple) else each for each in (now, before))
    if isinstance(now, dict) and isinstance(before, dict) and now.get("class_path") == before.get("class_path"):
        for key in {**before, **now}:
            if key in ("init_args", "dict_kwargs"):
                yield from changes(now.get(key, {}), before.get(key, {}), name)
            else:
                yield from changes(now.get(key), before.get(key), f"{name}.{key}".removeprefix("."))
    elif isinstance(now, list) and isinstance(before, list) and len(now) == len(before) and _has_objects(now):
        for position, (one, other) in enumerate(zip(now, before, strict=True)):
            yield from changes(one, other, f"{name}.{position}")
    elif (
        now != before
        and not (now != now and before != before)
        and name not in IGNORED
        and name.removeprefix("model.") not in linked_names()
    ):
        yield Change(name, _as_text(now), _as_text(before))


def join_first(items: Sequence[str]) -> str:
    """Joins the first few items, and says how many more there are."""
    more = f"; and {len(items) - MAX_ITEMS} more" if len(items) > MAX_ITEMS else ""
    return "; ".join(items[:MAX_ITEMS]) + more


def warn_of_changed_options(now: dict[str, Any], config: Path) -> None:
    """Warns, in one process, if a training is resumed with other options than it was started with.

    Args:
        now: All options.
        config: File with the options it was started with; ignored if it cannot be read.
    """
    try:
        before = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return
    differences = [f"{name}: {value}, was {was}" for name, value, was in changes(now, before)]
    if differences and isinstance(before, dict):
        rank_zero_warn(
            f"The training is resumed with other options than those in {display_path(config)}: "
            f"{join_first(differences)}"
        )


def _has_objects(values: list[Any]) -> bool:
    return any(isinstance(value, dict) for value in values)


def _as_text(value: Any) -> str:
    if isinstance(value, dict) and "class_path" in value:
        return str(value["class_path"]).rsplit(".", 1)[-1]
    if isinstance(value, list):
        words = f"[{', '.join(map(_as_text, value))}]"
    else:
        words = value if isinstance(value, str) else json.dumps(value, default=str)
    return words if len(words) <= LONGEST_VALUE else f"{words[:LONGEST_VALUE]}..."
