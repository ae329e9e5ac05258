"""Turns an exception into a few lines that a user can act on."""

import errno
import inspect
import logging
import os
import re
import sys
import warnings
from contextlib import suppress
from importlib import import_module

import torch
from jsonargparse import ArgumentError
from lightning.pytorch import Trainer

from litzoo import callbacks, datamodules, lit_modules
from litzoo.datamodules.nearest import nearest
from litzoo.scripts.cli.classes import arguments_of, class_at

IGNORED_WARNINGS = (
    ".*does not have many workers",  # the data are in memory
    ".*no learning rate schedulers",  # then there is nothing to log
    ".*smaller than the logging interval",  # metrics are logged once an epoch anyway
    ".*isinstance.treespec, LeafSpec.",  # of Lightning's use of torch
    ".*args parameter is intended",
    "Total length of `list`",  # validation is off
    "Checkpoint directory .* exists and is not empty",  # that of a resumed run
    "Glyph .* missing from font",  # such as emoji in the name of a class, drawn as boxes in figures
    "Using `DistributedSampler` with the dataloaders",  # metrics count each sample once
)


def filter_messages() -> None:
    """Drops Lightning's warnings that do not apply here, its tips, and the source line that Python prints with each."""
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message)
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_tip)


def _is_no_tip(record: logging.LogRecord) -> bool:
    return "Tip:" not in record.getMessage()


def discard_output() -> None:
    """Redirects standard output to nowhere; after a broken pipe, Python would report another error when it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


MAX_LINES = 8
MAX_CHARACTERS = 400
MAX_SUBCLASSES = 4
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)
OTHER_FOLDER = "name another folder with --trainer.default_root_dir or --data.root"
OPTIONS = ["config", "ckpt_path", "experiment", "seed_everything", "test_after_fit", "data", "model", "checkpoint"]
OPTIONS += [f"trainer.{name}" for name in inspect.signature(Trainer).parameters]
OPTIMIZER_ARGUMENTS = arguments_of(torch.optim.SGD) | arguments_of(torch.optim.AdamW)

# Lines of jsonargparse about the alternatives of a type, around the one that says what is wrong.
NOISE = re.compile(
    r"(- )?Does not validate against|Subtypes:|Errors:$|- Expected a (<class )?'?NoneType|- Expected a path but|"
    r"Given value type|Given value: (\[?Namespace|NestedArg|\[\{'class_path)|"
    r"(- )?Not a valid subclass of|Subclass types expect|(- )?a (class path|dict) |"
    r"Parser key \"(config|ckpt_path)\":$|(- )?Problem with given class_path '[^']+':$"
)
REPLACEMENTS = [
    (r"(a )?typing\.Literal\[(.+?)\]", r"one of \2"),
    (r"<class 'collections\.abc\.Sequence'>", "list"),
    (r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1"),
    (r"\bExpected a (?=[aeiouI])", "Expected an "),
    (r"^Given value:", "Got value:"),
    (r"Got value:\s*$", "Got nothing"),
    (r"(?<=\w)\. Got value: Namespace\(class_path=.*$", ""),
    (r"a dot import path string: (\w[\w.]*).*", r"a class, by its path or name; got \1"),
    (r"a dot import path string:.*", "a class, by its path or name"),
]
OPTIMIZER = re.compile(r"(- )?Type typing\.Callable\[.*\] expects a function or a callable class: ")
MISSING_ARGUMENTS = re.compile(r"Problem with given class_path '([\w.]+)':\s+the following arguments are required: ")
WRONG_BASE_CLASS = re.compile(
    r"Subtypes: \[<class '(?:[\w.]+\.)?(\w+)'>(?:(?!Subtypes:).)*?dot import path string: (\w+)", re.DOTALL
)
# No tensor can be given on a command line.
NUMBER_OR_TENSOR = re.compile(
    r"(Subtypes: \[<class 'float'>, <class 'torch\.Tensor'>.*?)- Expected a dot import[^\n]*\n", re.DOTALL
)
# An argument of the last of several callbacks is also tried as one of the base class.
BASE_CALLBACK = re.compile(
    r"\n *- Problem with given class_path 'lightning\.(?:[\w.]+\.)?Callback':(?:\n(?! *- )[^\n]*)*?"
    r"(?=\n *- |\n *Given|$)"
)
# Where a class was named but cannot be created, the other types that the argument takes say nothing.
OTHER_TYPES = re.compile(
    r"(\n( *)- Problem with given class_path '[^']+':(?:\n\2 +[^\n]*)+)(?:\n\2- Expected an? <class '[\w.]+'>)+(?=\n|$)"
)
# Where a key of a dictionary is a number, jsonargparse does not get as far as the unknown argument that it belongs to.
NUMERIC_KEY = re.compile(
    r"Key must be a string, got: [^\n]*?\.(?=\. Got value|\n|$)(?=.*?Given value: (?P<value>[^\n]*))", re.DOTALL
)
ARGUMENT_WITH_NUMERIC_KEY = re.compile(r"(\w+)'?(?:: |, val=|=)\{(?!['\"}])")
NOT_NAMED = re.compile(r"the following arguments are required: ((?:(?:^|, )?(\w+)\.(?:data|model)(?:, )?)+)")
NO_SPACE_AFTER_COLON = "unsupported operand type(s) for +: 'int' and 'str'"


def explain(error: BaseException) -> list[str]:
    """Returns the message for an error, in at most ten lines: what is wrong, the nearest right names, and `--debug`."""
    text = _name_argument_of_numeric_key(BASE_CALLBACK.sub("", _message(error)))
    text = MISSING_ARGUMENTS.sub(r"\1 needs ", NUMBER_OR_TENSOR.sub(r"\1", OTHER_TYPES.sub(r"\1", text)))
    nested = isinstance(error, ArgumentError) or "Does not validate" in text
    lines = [line.strip() for line in (_condense(text) if nested else text.splitlines()) if line.strip()]
    closest: list[str] = []
    with suppress(ImportError, AttributeError, ValueError):  # the class cannot be imported
        closest = _nearest_names(text)
    if closest:
        lines.insert(1, f"Nearest: {', '.join(closest)}")
    elif match := WRONG_BASE_CLASS.search(text):
        lines.insert(1, f"{match[2]} is not a {match[1]}")
    lines = [_shorten(line) for line in lines]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], "..."]
    return [f"litzoo: error: {lines[0]}", *lines[1:], "Add --debug to see where it happened."]


def _message(error: BaseException) -> str:
    """Returns an error's own message; for memory, space, permissions and pipes, the cause and the fix."""
    text = str(error).strip() or type(error).__name__
    if match := NOT_NAMED.fullmatch(text):
        missing = " and ".join(re.findall(r"\.(data|model)", match[1]))
        return (
            f"{match[2]}: {missing} required; name an experiment, such as --config digits_cnn (`litzoo configs` "
            "lists them), or give --model and --data"
        )
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in text:
        requested = re.search(r"tried to allocate (\d{9,}) bytes", text)
        amount = f"{int(requested[1]) / 2**30:,.0f} GiB requested at once" if requested else text.splitlines()[0]
        return f"out of memory ({amount}); lower data.batch_size, data.eval_batch_size, or the widths of the model"
    if isinstance(error, BrokenPipeError):
        return "the process that reads the output of this command has ended; redirect the output to a file"
    if not isinstance(error, OSError) or error.errno is None:
        return re.sub(r"<([\w.]+) object at 0x\w+>", r"\1", text)
    if isinstance(error, FileNotFoundError) and error.filename is None:
        return "the working folder no longer exists; change into an existing one"
    cause = f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else str(error.strerror)
    if error.errno in NO_SPACE:
        return f"{cause}; free some space, or {OTHER_FOLDER}"
    if error.errno in NO_PERMISSION:
        return f"{cause}; change the permissions, or {OTHER_FOLDER}"
    return cause


def _name_argument_of_numeric_key(text: str) -> str:
    """Rewrites what jsonargparse says about a numeric key into what it says about other unknown arguments."""
    text = text.replace(NO_SPACE_AFTER_COLON, "A key without a value; write a space after the colon, as in {1: 2}")
    if not (match := NUMERIC_KEY.search(text)):
        return text
    arguments = ARGUMENT_WITH_NUMERIC_KEY.findall(match["value"])
    owners = re.findall(r"class_path[ =]'([\w.]+)'", text[: match.start()])
    with suppress(ImportError, AttributeError, ValueError, IndexError):
        known = arguments_of(class_at(owners[-1]))
        arguments = [name for name in arguments if name not in known]
    if not arguments:
        return text
    rest = re.sub(r"Key must be a string, got: [^\n]*(?=\n|$)", "", text[match.end() :])  # of other alternatives
    return f"{text[: match.start()]}Option {arguments[0]!r} is not accepted{rest}"


def _shorten(line: str) -> str:
    """Cuts long words, and then the line if it is still too long."""
    line = re.sub(r"\S{300,}", lambda word: f"{word[0][:60]}... ({len(word[0]):,} characters)", line)
    return line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS]} ..."


def _condense(text: str) -> list[str]:
    """Joins jsonargparse's nested messages into `--key.inner: what is wrong`, and drops the noise."""
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
        for pattern, replacement in REPLACEMENTS:
            line = re.sub(pattern, replacement, line)
        is_known = any(each == line or each.endswith(line.replace("Got value:", "got")) for each in problems)
        if line and not is_known:
            problems.append(line)
    prefix = f"--{'.'.join(keys)}: " if keys else ""
    return [prefix + (problems[0] if problems else "is not valid"), *problems[1:]]


def _nearest_names(text: str) -> list[str]:
    """Returns the names closest to the wrong one in a message."""
    if re.match(r'Parser key "trainer\.(?!callbacks)', text):
        return []  # litzoo has no loggers, profilers or plugins
    owners = re.findall(r"class_path[ =]'([\w.]+)'", text)
    if match := re.search(r"but (\w+)\.(\w+) is abstract", text):
        base = class_at(f"{match[1]}.{match[2]}")
        subclasses = [name for name, each in _classes().items() if issubclass(each, base) and each is not base]
        return subclasses[:MAX_SUBCLASSES]
    if match := re.search(r"Option '(\w+)[.\w]*' is not accepted(?:.*?class_path='([\w.]+)')?", text):
        owner = match[2] or next(reversed(re.findall(r"given class_path '([\w.]+)'", text)), None)
        known = arguments_of(class_at(owner)) if owner else set()
        if "optimizer" in known and match[1] in OPTIMIZER_ARGUMENTS:
            return [f"optimizer.{match[1]}"]
        return nearest(match[1], known)
    if match := re.search(r"(?:unrecognized arguments: --|does not accept option ')([\w.]+)", text):
        return [f"--{name}" for name in nearest(match[1], OPTIONS)]
    classes = _classes()
    if match := re.search(r"module '([\w.]+)' has no attribute '(\w+)'", text):
        if not match[1].startswith("litzoo"):
            return [f"{match[1]}.{name}" for name in nearest(match[2], dir(import_module(match[1])))]
        wrong = match[2]
    elif match := re.search(r"dot import path string: (\w+)", text):
        wrong = match[1]
        if "Optimizer]" in text or "LRScheduler" in text:
            classes = _optimizers_and_schedulers(classes)
    elif "No module named" in text and owners:
        wrong = owners[-1].rsplit(".", 1)[-1]
    else:
        return []
    if wrong in classes and "No module" not in text:
        return []
    return nearest(wrong, classes)


def _classes() -> dict[str, type]:
    """Returns all public classes of litzoo by name."""
    names = {name: getattr(wing, name) for wing in (callbacks, datamodules, lit_modules) for name in wing.__all__}
    return {name: each for name, each in names.items() if isinstance(each, type)}


def _optimizers_and_schedulers(classes: dict[str, type]) -> dict[str, type]:
    """Returns torch's, and those among some classes, by name."""
    names = {**classes, **vars(torch.optim), **vars(torch.optim.lr_scheduler)}
    bases = (torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler)
    return {name: each for name, each in names.items() if isinstance(each, type) and issubclass(each, bases)}
