"""Turns an exception into a few lines that a user can act on."""

import difflib
import inspect
import re
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module

import torch
from jsonargparse import ArgumentError
from lightning.pytorch import Trainer

import callbacks
import datamodules
import lit_modules
from scripts.links import arguments_of, class_at
from scripts.machine_errors import told

MOST_LINES = 8
MOST_CHARACTERS = 400
MOST_KINDS = 4
OPTIONS = ["config", "ckpt_path", "experiment", "seed_everything", "test_after_fit", "data", "model", "checkpoint"]
OPTIONS += [f"trainer.{name}" for name in inspect.signature(Trainer).parameters]
OF_OPTIMIZERS = arguments_of(torch.optim.SGD) | arguments_of(torch.optim.AdamW)

# What jsonargparse says about each alternative of a type, beside the one thing that is wrong.
NOISE = re.compile(
    r"(- )?Does not validate against|Subtypes:|Errors:$|- Expected a (<class )?'?NoneType|- Expected a path but|"
    r"Given value type|Given value: (\[?Namespace|NestedArg|\[\{'class_path)|"
    r"(- )?Not a valid subclass of|Subclass types expect|(- )?a (class path|dict) |"
    r"Parser key \"(config|ckpt_path)\":$|(- )?Problem with given class_path '[^']+':$"
)
PLAINER = [
    (r"(a )?typing\.Literal\[(.+?)\]", r"one of \2"),
    (r"<class 'collections\.abc\.Sequence'>", "list"),
    (r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1"),
    (r"\bExpected a (?=[aeiouI])", "Expected an "),
    (r"^Given value:", "Got value:"),
    (r"Got value:\s*$", "Got nothing"),
    (r"(?<=\w)\. Got value: Namespace\(class_path=.*$", ""),
    (r"a dot import path string:.*", "a class, by its path or name"),
]
OPTIMIZER = re.compile(r"(- )?Type typing\.Callable\[.*\] expects a function or a callable class: ")
LACKS = re.compile(r"Problem with given class_path '([\w.]+)':\s+the following arguments are required: ")
# No tensor can be given on a command line.
NUMBER_OR_TENSOR = re.compile(
    r"(Subtypes: \[<class 'float'>, <class 'torch\.Tensor'>.*?)- Expected a dot import[^\n]*\n", re.DOTALL
)


def explain(error: BaseException) -> list[str]:
    """Tells an error in at most ten lines: what is wrong, the nearest right names, and how to see more."""
    text = LACKS.sub(r"\1 needs ", NUMBER_OR_TENSOR.sub(r"\1", told(error)))
    nested = isinstance(error, ArgumentError) or "Does not validate" in text
    lines = [line.strip() for line in (_condense(text) if nested else text.splitlines()) if line.strip()]
    nearest: list[str] = []
    with suppress(ImportError, AttributeError, ValueError):  # a name that cannot be looked up has no neighbours
        nearest = _nearest(text)
    if nearest:
        lines.insert(1, f"Nearest: {', '.join(nearest)}")
    lines = [_abridged(line) for line in lines]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], "..."]
    return [f"litzoo: error: {lines[0]}", *lines[1:], "Add --debug to see where it happened."]


def _abridged(line: str) -> str:
    """Cuts long words, and what is then still too long."""
    line = re.sub(r"\S{300,}", lambda word: f"{word[0][:60]}... ({len(word[0]):,} characters)", line)
    return line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]} ..."


def _condense(text: str) -> list[str]:
    """Folds jsonargparse's nested messages into `--key.inner: what is wrong`, and drops the noise."""
    keys: list[str] = []
    problems: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if NOISE.match(line):
            continue
        line = OPTIMIZER.sub("", line)
        if match := re.match(r'(?:- )?Parser key "([^"]+)":\s*(.*)', line):
            if match[1] not in keys[-1:]:
                keys.append(match[1])
            line = match[2]
        line = line.removeprefix("- ")
        for pattern, plainer in PLAINER:
            line = re.sub(pattern, plainer, line)
        if line and line not in problems:
            problems.append(line)
    prefix = f"--{'.'.join(keys)}: " if keys else ""
    return [prefix + (problems[0] if problems else "is not valid"), *problems[1:]]


def _nearest(text: str) -> list[str]:
    """Finds the names closest to the wrong one that a message speaks of."""
    if re.match(r'Parser key "trainer\.(?!callbacks)', text):
        return []  # the zoo has no loggers, profilers or plugins
    owners = re.findall(r"class_path[ =]'([\w.]+)'", text)
    if match := re.search(r"Option '(\w+)[.\w]*' is not accepted(?:.*?class_path='([\w.]+)')?", text):
        owner = match[2] or next(reversed(re.findall(r"given class_path '([\w.]+)'", text)), None)
        known = arguments_of(class_at(owner)) if owner else set()
        if "optimizer" in known and match[1] in OF_OPTIMIZERS:
            return [f"optimizer.{match[1]}"]
        return _close(match[1], known)
    if match := re.search(r"but (\w+)\.(\w+) is abstract", text):
        room = import_module(match[1])
        found = {name: getattr(room, name) for name in room.__all__ if isinstance(getattr(room, name), type)}
        kinds = (name for name, each in found.items() if issubclass(each, getattr(room, match[2])))
        return [f"{match[1]}.{name}" for name in kinds if name != match[2]][:MOST_KINDS]
    if match := re.search(r"(?:unrecognized arguments: --|does not accept option ')([\w.]+)", text):
        return [f"--{name}" for name in _close(match[1], OPTIONS)]
    classes = {name: room.__name__ for room in (callbacks, datamodules, lit_modules) for name in room.__all__}
    if match := re.search(r"module '([\w.]+)' has no attribute '(\w+)'", text):
        if match[1] not in classes.values():
            return [f"{match[1]}.{name}" for name in _close(match[2], dir(import_module(match[1])))]
        wrong = match[2]
    elif match := re.search(r"dot import path string: (\w+)", text):
        wrong = match[1]
    elif "No module named" in text and owners:
        wrong = owners[-1].rsplit(".", 1)[-1]
    else:
        return []
    return [f"{classes[name]}.{name}" for name in _close(wrong, classes) if name != wrong or "No module" in text]


def _close(word: str, names: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(word, names, n=3, cutoff=0.5)
