"""Turns an exception into a few lines that a user can act on."""

import difflib
import errno
import inspect
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module

import torch
from jsonargparse import ArgumentError
from lightning.pytorch import Trainer

from litzoo import callbacks, datamodules, lit_modules
from litzoo.scripts.cli.options import arguments_of, class_at

USELESS = (
    ".*does not have many workers",  # the data are in memory
    ".*no learning rate schedulers",  # then there is nothing to log
    ".*smaller than the logging interval",  # metrics are logged once an epoch anyway
    ".*isinstance.treespec, LeafSpec.",  # a matter between Lightning and torch
    ".*args parameter is intended",
    "Total length of `list`",  # validation is off
    "Checkpoint directory .* exists and is not empty",  # a resumed run goes on in its folder
    "Using `DistributedSampler` with the dataloaders",  # metrics count each sample once
)


def keep_out_useless_messages() -> None:
    """Keeps out what Lightning warns of without need here, its advertisements, and where in the code a warning is."""
    for useless in USELESS:
        warnings.filterwarnings("ignore", useless)
    warnings.formatwarning = _format_warning
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_no_tip)


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Writes a warning without the place in the code that it comes from, and the line there."""
    return f"warning: {message}\n"


def _no_tip(record: logging.LogRecord) -> bool:
    return "Tip:" not in record.getMessage()


NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
FOLDERS = "name a folder elsewhere with --trainer.default_root_dir or --data.root"


def told(error: BaseException) -> str:
    """Returns an error's own words, and where the machine lacks something the remedy, which no library can know."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in text:
        asked = re.search(r"tried to allocate (\d{9,}) bytes", text)
        amount = f"{int(asked[1]) / 2**30:,.0f} GiB asked for at once" if asked else text.splitlines()[0]
        return f"out of memory ({amount}); lower data.batch_size, data.eval_batch_size, or the widths of the model"
    if isinstance(error, BrokenPipeError):
        return "what reads the output of this command has ended; send the output to a file, or let the reader read on"
    if not isinstance(error, OSError) or error.errno is None:
        return re.sub(r"<([\w.]+) object at 0x\w+>", r"\1", text)
    if isinstance(error, FileNotFoundError) and error.filename is None:
        return "the folder that this command was started in is gone; change into one that is there"
    what = f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else str(error.strerror)
    if error.errno in NO_SPACE:
        return f"{what}; free some space, or {FOLDERS}"
    if error.errno in NOT_ALLOWED:
        return f"{what}; permit it, or {FOLDERS}"
    return what


def discard_output() -> None:
    """Sends what is still to be printed nowhere: Python itself would complain at its end that nobody reads it."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
OTHER_KIND = re.compile(r"Subtypes: \[<class '(?:[\w.]+\.)?(\w+)'>.*?dot import path string: (\w+)", re.DOTALL)
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
    elif match := OTHER_KIND.search(text):
        lines.insert(1, f"{match[2]} is not a {match[1]}")
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
        owner = class_at(f"{match[1]}.{match[2]}")
        return [name for name, each in _classes().items() if issubclass(each, owner) and each is not owner][:MOST_KINDS]
    if match := re.search(r"(?:unrecognized arguments: --|does not accept option ')([\w.]+)", text):
        return [f"--{name}" for name in _close(match[1], OPTIONS)]
    classes = _classes()
    if match := re.search(r"module '([\w.]+)' has no attribute '(\w+)'", text):
        if not match[1].startswith("litzoo"):
            return [f"{match[1]}.{name}" for name in _close(match[2], dir(import_module(match[1])))]
        wrong = match[2]
    elif match := re.search(r"dot import path string: (\w+)", text):
        wrong = match[1]
    elif "No module named" in text and owners:
        wrong = owners[-1].rsplit(".", 1)[-1]
    else:
        return []
    if wrong in classes and "No module" not in text:
        return []
    return _close(wrong, classes)


def _classes() -> dict[str, type]:
    """Returns all public classes of the zoo by name."""
    names = {name: getattr(wing, name) for wing in (callbacks, datamodules, lit_modules) for name in wing.__all__}
    return {name: each for name, each in names.items() if isinstance(each, type)}


def _close(word: str, names: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(word, names, n=3, cutoff=0.5)
