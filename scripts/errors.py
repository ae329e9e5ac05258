"""Turns an exception into a few lines that a user can act on."""

import difflib
import inspect
import re
from collections.abc import Iterable

from jsonargparse import ArgumentError
from lightning.pytorch import Trainer

import callbacks
import datamodules
import lit_modules
from scripts.links import arguments_of, class_at

MOST_LINES = 8
MOST_CHARACTERS = 400
OWN_OPTIONS = ["config", "ckpt_path", "experiment", "seed_everything", "test_after_fit", "data", "model", "checkpoint"]

# What jsonargparse says about each alternative of a type, beside the one thing that is wrong.
NOISE = re.compile(
    r"(- )?Does not validate against|Subtypes:|Errors:$|- Expected a (<class )?'?NoneType|Given value|"
    r"- Expected a path but|Parser key \"(config|ckpt_path)\":$"
)


def explain(error: BaseException) -> list[str]:
    """Tells an error in at most ten lines: what is wrong, the nearest right names, and how to see more."""
    text = str(error) or type(error).__name__
    lines = _condense(text) if isinstance(error, ArgumentError) or "Does not validate" in text else text.splitlines()
    lines = [line.strip() for line in lines if line.strip()]
    if nearest := _nearest(text):
        lines.append(f"Nearest: {', '.join(nearest)}")
    lines = [line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]} ..." for line in lines]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], "..."]
    return [f"litzoo: error: {lines[0]}", *lines[1:], "Add --debug to see where it happened."]


def _condense(text: str) -> list[str]:
    """Folds jsonargparse's nested messages into `--key.inner (class): what is wrong`, and drops the noise."""
    keys: list[str] = []
    problems: list[str] = []
    for line in text.splitlines():
        line = line.strip()
        if NOISE.match(line):
            continue
        if match := re.match(r'(?:- )?Parser key "([^"]+)":\s*(.*)', line):
            keys.append(match[1])
            line = match[2]
        elif re.match(r"(- )?Problem with given class_path '[^']+':$", line):
            continue
        if line:
            problems.append(line.removeprefix("- "))
    problems = [re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", problem) for problem in problems]
    problems = [re.sub(r"(a )?typing\.Literal\[(.+?)\]", r"one of \2", problem) for problem in problems]
    prefix = f"--{'.'.join(keys)}: " if keys else ""
    return [prefix + (problems[0] if problems else "is not valid"), *problems[1:]]


def _nearest(text: str) -> list[str]:
    """Finds the names closest to the wrong one that a message speaks of."""
    if match := re.search(r"Option '(\w+)' is not accepted", text):
        owner = re.findall(r"given class_path '([\w.]+)'", text)
        return _close(match[1], arguments_of(class_at(owner[-1])) if owner else [])
    if match := re.search(r"unrecognized arguments: --([\w.]+)", text):
        trainer = [f"trainer.{name}" for name in inspect.signature(Trainer).parameters]
        return [f"--{name}" for name in _close(match[1], OWN_OPTIONS + trainer)]
    if match := re.search(r"dot import path string: (\w+)|has no attribute '(\w+)'", text):
        classes = {name: room.__name__ for room in (callbacks, datamodules, lit_modules) for name in room.__all__}
        return [f"{classes[name]}.{name}" for name in _close(match[1] or match[2], classes)]
    return []


def _close(word: str, names: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(word, names, n=3, cutoff=0.5)
