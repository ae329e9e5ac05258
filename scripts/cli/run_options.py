"""The options that distinguish a run from others, flattened, for the table of runs in TensorBoard."""

import json
from collections.abc import Mapping
from typing import Any

from litzoo.callbacks.reporting.hyperparameters import Option, as_option, same_option, signature_defaults
from litzoo.scripts.cli.classes import class_at

_WITHOUT_MEANING = {"callbacks", "logger", "default_root_dir", "enable_progress_bar", "enable_model_summary", "plugins"}
"""Options of the trainer that do not change what is trained, or are listed by their own names."""


def distinguishing_options(config: Mapping[str, Any]) -> dict[str, Option]:
    """Returns the options of a run that differ from the defaults of their classes.

    Args:
        config: The options of `litzoo fit` as plain values, as in `config.yaml`.

    Returns:
        Name -> value; the learning rate is always there. A class is named by its last part: `model` is
        `CNNClassifier`, `model.optimizer` is `AdamW`. Options of callbacks begin with the name of the callback.
    """
    found: dict[str, Option] = {}
    for section in ("model", "data"):
        _add(found, section, config.get(section))
    if config.get("seed_everything") is not None:
        found["seed"] = as_option(config["seed_everything"])
    trainer = {name: value for name, value in (config.get("trainer") or {}).items() if name not in _WITHOUT_MEANING}
    _add_changed(found, "trainer", trainer, "lightning.pytorch.Trainer")
    _add_changed(found, "checkpoint", config.get("checkpoint") or {}, "litzoo.BestCheckpoint")
    callbacks = (config.get("trainer") or {}).get("callbacks") or []
    callbacks = callbacks if isinstance(callbacks, list) else [callbacks]
    if names := [_short(each["class_path"]) for each in callbacks if _is_class(each)]:
        found["callbacks"] = ", ".join(names)
    for name, each in zip(names, filter(_is_class, callbacks), strict=True):
        _add_changed(found, name, each.get("init_args") or {}, each["class_path"])
    return found


def flat_options(options: Any) -> dict[str, Any]:
    """Returns nested options as `model.optimizer.lr` -> value, the names of the command line; values are as in JSON."""
    flat: dict[str, Any] = {}
    _flatten("", json.loads(json.dumps(options, default=str)), flat)
    return flat


def _flatten(name: str, value: Any, flat: dict[str, Any]) -> None:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            _flatten(name if key == "init_args" else f"{name}.{key}".lstrip("."), each, flat)
    else:
        flat[name] = value


def _add(found: dict[str, Option], name: str, value: Any) -> None:
    """Adds an option: a class with its own options, a list of classes, a section, or a plain value."""
    if _is_class(value):
        found[name] = _short(value["class_path"])
        _add_changed(found, name, value.get("init_args") or {}, value["class_path"])
    elif isinstance(value, list) and value and all(map(_is_class, value)):
        found[name] = ", ".join(_short(each["class_path"]) for each in value)
        for each in value:
            place = f"{name}.{_short(each['class_path'])}"
            _add_changed(found, place, each.get("init_args") or {}, each["class_path"])
    elif isinstance(value, Mapping):
        for key, each in value.items():
            _add(found, f"{name}.{key}", each)
    else:
        found[name] = as_option(value)


def _add_changed(found: dict[str, Option], prefix: str, options: Mapping[str, Any], class_path: str) -> None:
    defaults = _defaults_of(class_path)
    for name, value in options.items():
        # Values of None are filled in from the data. The learning rate is compared between runs also if one has the
        # default.
        differs = name not in defaults or not same_option(value, defaults[name]) or name == "lr"
        if differs and value is not None:
            _add(found, f"{prefix}.{name}", value)


def _defaults_of(class_path: str) -> dict[str, Any]:
    owner = class_at(class_path)
    return signature_defaults(owner) if isinstance(owner, type) else {}


def _is_class(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("class_path"), str)


def _short(class_path: str) -> str:
    return class_path.rpartition(".")[2]
