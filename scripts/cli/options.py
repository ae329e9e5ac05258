"""Checks options before anything is built, links the datamodule to the module, and describes changed options."""

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities import rank_zero_warn

from litzoo.callbacks.files import display_path
from litzoo.datamodules.splits.core import whole
from litzoo.scripts.cli.arguments import is_text, options_in, shorten


def linked_names() -> list[str]:
    """Returns the attributes of datamodules that become arguments of the same name of the module's constructor.

    A datamodule class declares its own as `links`. Those of all imported classes are returned, since the parser has to
    know them before it knows the class.
    """
    names: dict[str, None] = {}
    classes: list[type] = [LightningDataModule]
    for owner in classes:
        classes.extend(owner.__subclasses__())
        names |= dict.fromkeys(getattr(owner, "links", ()))
    return list(names)


def import_data_classes(words: Sequence[str]) -> None:
    """Imports the datamodule classes that a command line and its configs name, so that their links are known.

    What cannot be read or imported is ignored: the parser reports it.
    """
    for option, value in options_in(words):
        with suppress(Exception):
            path: Any = value if option in ("--data", "--data.class_path") else None
            if option in ("--config", "-c"):
                data = yaml.safe_load(Path(str(value)).expanduser().read_text(encoding="utf-8"))["data"]
                path = data["class_path"] if isinstance(data, dict) else data
            if path:
                class_at(path)


def add_links(parser: LightningArgumentParser, words: Sequence[str]) -> None:
    """Links the attributes of the datamodule, once it is created, and the folder of runs to the module.

    Args:
        parser: The parser of a sub-command.
        words: The command line.
    """
    import_data_classes(words)
    parser.link_arguments("trainer.default_root_dir", "model.init_args.runs")
    for name in linked_names():
        parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")


def check_links(data_class: type, model_class: type) -> None:
    """Refuses a datamodule and a module that a link cannot connect; jsonargparse ignores such a link silently.

    Raises:
        ValueError: If one has what the other lacks; the message names both.
    """
    takes = arguments_of(model_class)
    for name in linked_names():
        has = hasattr(data_class, name) or any(name in inspect.get_annotations(owner) for owner in data_class.__mro__)
        if has == (name in takes) or (name == "class_names" and has):
            continue
        raise ValueError(
            f"data {data_class.__name__} and model {model_class.__name__} do not go together: {name!r} is "
            + (
                "an attribute of the first, but not an argument of the second"
                if has
                else "an argument of the second, but not an attribute of the first"
            )
            + ". Images and tables with classes go with classifiers, tables with numbers with the Regressor, images "
            "with masks with the MaskRCNNSegmenter; a class of your own has to declare it, as docs/python.md shows"
        )
    if hasattr(data_class, "feature_groups") and _takes_images(model_class):
        raise ValueError(
            f"data {data_class.__name__} and model {model_class.__name__} do not go together: 'input_shape' of a table "
            "is one number, the second needs images [C, H, W]; MLPClassifier and SoftmaxRegression take tables"
        )


def _takes_images(model_class: type) -> bool:
    """Whether the constructor of a module takes an `input_shape` of three numbers."""
    for owner in model_class.__mro__:
        parameter = inspect.signature(vars(owner).get("__init__", _takes_images)).parameters.get("input_shape")
        if parameter is not None:
            return parameter.annotation == tuple[int, int, int]
    return False


def arguments_of(owner_class: type) -> set[str]:
    """Returns the names of the arguments of a constructor and of the base constructors that its `**options` go to."""
    names: set[str] = set()
    for owner in owner_class.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(vars(owner)["__init__"]).parameters.values()
        open_ended = {parameter.name for parameter in parameters if parameter.kind is parameter.VAR_KEYWORD}
        names |= {parameter.name for parameter in parameters} - open_ended - {"self", "net"}
        if not open_ended:
            break
    return names


def class_at(path: str) -> type:
    """Returns the class at a dotted path, or the class of litzoo if the name has no dots."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module or "litzoo"), name)


def with_class_paths(words: list[str]) -> list[str]:
    """Returns a command line with the path of `ReduceLROnPlateau`, a name that torch and Lightning both have.

    Lightning's takes the metric to monitor; torch's monitors `val/loss`.
    """
    monitors = any(word.startswith("--model.scheduler.monitor") for word in words)
    path = f"{'lightning.pytorch.cli' if monitors else 'torch.optim.lr_scheduler'}.ReduceLROnPlateau"
    found = list(words)
    for position, word in enumerate(words):
        if word == "--model.scheduler=ReduceLROnPlateau":
            found[position] = f"--model.scheduler={path}"
        elif word == "ReduceLROnPlateau" and words[max(position - 1, 0)] == "--model.scheduler":
            found[position] = path
    return found


MINIMUM = {
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "fast_dev_run": 0,
    "gradient_clip_val": 0,
    "limit_predict_batches": 0,
    "limit_test_batches": 0,
    "limit_train_batches": 0,
    "limit_val_batches": 0,
    "log_every_n_steps": 0,
    "max_epochs": -1,
    "max_steps": -1,
    "min_epochs": 0,
    "min_steps": 0,
    "num_nodes": 1,
    "num_sanity_val_steps": -1,
    "overfit_batches": 0,
    "reload_dataloaders_every_n_epochs": 0,
    "val_check_interval": 0,
}
"""The smallest value of each numeric option of the trainer; -1 means no limit."""
SEEDS = 2**32
LONGEST = 200
"""Bytes in a folder's name; file systems take 255."""


def check_options(options: Namespace) -> None:
    """Refuses an invalid seed, experiment name, folder or number for the trainer.

    Args:
        options: Those of a sub-command, parsed.

    Raises:
        ValueError: The message names the option, its value, and what it takes.
    """
    seed = options.get("seed_everything")
    if isinstance(seed, int) and not 0 <= seed < SEEDS:
        raise ValueError(f"--seed_everything: {seed} is not a seed; give an integer from 0 to {SEEDS - 1}")
    check_experiment(options.experiment)
    root = options.trainer.default_root_dir
    if not root or not is_text(str(root)):
        raise ValueError(
            f"--trainer.default_root_dir: {root!r} is not a folder; give the folder of all runs, such as runs"
        )
    # Not a fraction of an epoch above 1, but batches; see `whole`.
    options.trainer.val_check_interval = whole(options.trainer.get("val_check_interval"))
    for name, least in MINIMUM.items():
        value = options.trainer.get(name)
        # Written so that NaN is refused too.
        if isinstance(value, (int, float)) and not value >= least:
            no_limit = ", which is no limit" if least == -1 else ""
            raise ValueError(f"--trainer.{name}: {value} is out of range; give a number of at least {least}{no_limit}")


def check_experiment(name: str) -> None:
    """Refuses an experiment name that leads out of the folder of runs, or into a run.

    Raises:
        ValueError: The message names the option, its value, and what it takes.
    """
    for part in name.split("/"):
        if (
            part in ("", ".", "..")
            or part != part.strip()
            or part.startswith("version_")
            or re.search(r"[\x00-\x1f\x7f\\]", part)
            or not is_text(part)
            or len(part.encode()) > LONGEST
        ):
            raise ValueError(
                f"--experiment: {shorten(name)!a} is not a valid name for a folder of runs; give one such as mnist_cnn "
                f"or compare/mnist_cnn, each part of at most {LONGEST} bytes, none of them .. or version_<number>"
            )


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
