"""How the options of a run differ from others, in words."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.files import shown
from scripts.links import LINKED

MOST = 8
LONGEST = 60  # characters
OF_NO_MATTER = {"config", "ckpt_path", "experiment", "test_after_fit", "trainer.default_root_dir"}
OF_NO_MATTER |= {"trainer.enable_progress_bar", "trainer.enable_model_summary"}
OF_NO_MATTER |= {"seed_everything", "trainer.precision"}  # of what became of these `RunRecord` tells
OF_NO_MATTER |= {f"model.{name}" for name in (*LINKED, "runs", "described")}


class Change(NamedTuple):
    """An option that differs, by its name on the command line, and both values in words."""

    name: str
    now: str
    before: str


def changes(now: Any, before: Any, name: str = "") -> Iterator[Change]:
    """Yields what differs between options, however deep they are; one that is absent is `null`.

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
    elif isinstance(now, list) and isinstance(before, list) and len(now) == len(before) and _holds_objects(now):
        for position, (one, other) in enumerate(zip(now, before, strict=True)):
            yield from changes(one, other, f"{name}.{position}")
    elif now != before and name not in OF_NO_MATTER:
        yield Change(name, _words(now), _words(before))


def listed(told: Sequence[str]) -> str:
    """Joins the first few sentences, and says how many more there are."""
    more = f"; and {len(told) - MOST} more" if len(told) > MOST else ""
    return "; ".join(told[:MOST]) + more


def warn_of_changed_options(now: dict[str, Any], config: Path) -> None:
    """Warns, in one process, of a training that is resumed with other options than it began with.

    Args:
        now: All options.
        config: File with those that it began with; one that cannot be read is passed over.
    """
    try:
        before = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return
    told = [f"{name}: {value}, was {was}" for name, value, was in changes(now, before)]
    if told and isinstance(before, dict):
        rank_zero_warn(f"The training is resumed with other options than those in {shown(config)}: {listed(told)}")


def _holds_objects(values: list[Any]) -> bool:
    return any(isinstance(value, dict) for value in values)


def _words(value: Any) -> str:
    if isinstance(value, dict) and "class_path" in value:
        return str(value["class_path"]).rsplit(".", 1)[-1]
    if isinstance(value, list):
        words = f"[{', '.join(map(_words, value))}]"
    else:
        words = value if isinstance(value, str) else json.dumps(value, default=str)
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."
