"""Links the attributes of a datamodule to the arguments of the module, and refuses two that do not go together."""

import inspect
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser

from litzoo.scripts.cli.arguments import options_in
from litzoo.scripts.cli.classes import arguments_of, class_at


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
            "with masks with the MaskRCNNSegmenter; a class of your own declares it in its body, as docs/tasks.md shows"
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
