"""Builds a module, its unknown-class detection and its prediction sets from a checkpoint.

No code that the checkpoint names is run.
"""

import inspect
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import LightningModule
from torch import nn

from litzoo import lit_modules
from litzoo.callbacks.calibration.conformal import Conformal
from litzoo.callbacks.calibration.difficulty import ResidualDifficulty
from litzoo.callbacks.calibration.intervals import ConformalIntervals
from litzoo.callbacks.calibration.sets import ConformalSets
from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.scores import UnknownScore
from litzoo.datamodules.array_preparation import ArrayPreparation
from litzoo.datamodules.images.preparation import ImagePreparation
from litzoo.datamodules.tables.reading import TableReading
from litzoo.lit_modules.weights.checkpoint_files import first_misfit, read_checkpoint
from litzoo.lit_modules.weights.plain_loading import OBJECTS
from litzoo.scripts.cli.checkpoint_options import require_checkpoint
from litzoo.scripts.predict.unprepared import why_unprepared

TRAINING_ONLY = (*OBJECTS, "compile")
"""Options of a module that do not affect predictions."""
TRAINING_STATE = ("loss.", "pseudo_labels.", "class_weights")
"""Beginnings of the names of weights that do not affect predictions."""
PREDICTION_OPTIONS = ("posthoc_tau", "tta")
"""Options of a module that change its predictions and are not seen in its weights."""
DETECTOR = "UnknownClassDetector"
Preparation = ImagePreparation | TableReading | ArrayPreparation


class Trained(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        module: The module with its weights, in evaluation mode, on the CPU.
        preparation: How files or arrays become inputs.
        detection: The fitted unknown-class detection, if the training had one.
        conformal: The calibrated prediction sets or intervals, if the training had them.
    """

    module: LightningModule
    preparation: Preparation
    detection: UnknownDetection | None
    conformal: Conformal | None = None


def load_trained(
    path: str | Path,
    module: type[LightningModule] | LightningModule | None = None,
    score: UnknownScore | None = None,
    net: nn.Module | None = None,
) -> Trained:
    """Reads a checkpoint; nothing that it names is imported.

    Losses, optimizers and schedulers, which may be of anyone's code, are not needed for predictions and are left out.

    Args:
        path: The checkpoint.
        module: The class of the module if it is not one of litzoo's, or a module to load the weights into.
        score: The unknown-class score, if it is not one of litzoo's.
        net: The network, if the module takes one, such as `Classifier`; the other options are those of the checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a checkpoint, or of another module, or holds no preprocessing or an unknown score.
    """
    origin = f"checkpoint {path}"
    require_checkpoint(origin, path)
    content = read_checkpoint(origin, path)
    preparation = _preparation(origin, path, content, type(module) if isinstance(module, LightningModule) else module)
    if isinstance(module, LightningModule):
        if net is not None:
            raise ValueError("net: is part of the module that is passed; give one of the two")
        built = module
        _adapt(origin, content.get("hyper_parameters", {}), built)
    else:
        built = _build(origin, content, module, net)
    _load_weights(origin, content["state_dict"], built)
    _warn_of_temperature(origin, built)
    return Trained(built.eval(), preparation, _detection(origin, content, score), _conformal(content))


def named_class(name: str) -> type[LightningModule]:
    """Returns the class of a module of the user's own code, by its path `my_code.MyClassifier`.

    Raises:
        ValueError: If it cannot be imported or is no LightningModule.
    """
    place, _, last = name.rpartition(".")
    try:
        found = getattr(import_module(place or "litzoo"), last)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"--module {name}: cannot be imported ({error}); give a class path, my_code.MyClass") from None
    if not (isinstance(found, type) and issubclass(found, LightningModule)):
        raise ValueError(f"--module {name}: is no LightningModule; give the class of the module that was trained")
    return found


def require_files(origin: str, preparation: Preparation) -> ImagePreparation | TableReading:
    """Returns how files become inputs, for the commands, which predict files.

    Raises:
        ValueError: If the model was trained on arrays in memory.
    """
    if isinstance(preparation, ArrayPreparation):
        raise ValueError(
            f"{origin}: was trained on arrays in memory, and the command takes images and tables; predict in Python, "
            "`Predictor.load(CHECKPOINT)(arrays)`, or the test set of a run with `litzoo predict --config "
            "RUN/config.yaml`"
        )
    return preparation


def _preparation(
    origin: str, path: str | Path, content: Mapping[str, Any], module: type[LightningModule] | None
) -> Preparation:
    """Returns what the datamodule has saved in its state, which is under the name of its class."""
    for state in content.values():
        if isinstance(state, dict) and "mean" in state.get("images", {}):
            return ImagePreparation.from_state(state["images"])
        if isinstance(state, dict) and "columns" in state.get("reading", {}):
            return TableReading.from_state(state["reading"])
        if isinstance(state, dict) and "shape" in state.get("arrays", {}):
            return ArrayPreparation.from_state(state["arrays"])
    raise ValueError(f"{origin}: {why_unprepared(path, content, module or _own_class(_class_name(content)))}")


def _class_name(content: Mapping[str, Any]) -> str:
    """Returns the name or class path of the module of a checkpoint, which may be empty."""
    return str(content.get("hyper_parameters", {}).get("_class_path") or content.get("module") or "")


def _build(
    origin: str, content: Mapping[str, Any], owner: type[LightningModule] | None, net: nn.Module | None
) -> LightningModule:
    options = content.get("hyper_parameters", {})
    if owner is None:
        name = _class_name(content)
        if (owner := _own_class(name)) is None:
            raise ValueError(
                f"{origin}: its module, {name or 'of unknown class'}, is not one of litzoo's: name its class, "
                "`--module my_code.MyClass`, or in Python `module=MyClass`"
            )
    given = {each: value for each, value in options.items() if not each.startswith("_") and each not in TRAINING_ONLY}
    if nested := [each for each, value in given.items() if isinstance(value, dict) and "class_path" in value]:
        raise ValueError(
            f"{origin}: its option {nested[0]} is an object of {given[nested[0]]['class_path']}, which is not imported "
            "from a checkpoint: create the module in Python and pass it, `module=MyClass(...)`"
        )
    parameter = inspect.signature(owner).parameters.get("net")
    if net is None and parameter is not None and parameter.default is parameter.empty:
        raise ValueError(
            f"{origin}: does not hold the network of its {owner.__name__}, but its weights only: in Python pass a "
            "network of the same layers, `Predictor.load(..., net=net)`"
        )
    if net is not None and parameter is None:
        raise ValueError(f"net: a {owner.__name__} creates its own network; leave it out")
    try:
        return owner(**given) if net is None else owner(net=net, **given)
    except TypeError as error:
        raise ValueError(
            f"{origin}: a {owner.__name__} cannot be created from its options ({error}); create it in Python and pass "
            "it, `module=MyClass(...)`"
        ) from error


def _adapt(origin: str, options: Mapping[str, Any], module: LightningModule) -> None:
    """Gives a module that was created by hand the class names of a checkpoint; warns where its options differ."""
    names, own = options.get("class_names"), getattr(module, "class_names", None)
    if names and own == [str(label) for label in range(len(names))]:  # those of a module that was given none
        module.class_names = list(names)  # type: ignore[assignment]
    for name in PREDICTION_OPTIONS:
        if hasattr(module, name) and name in options and options[name] != (given := getattr(module, name)):
            warnings.warn(
                f"{origin}: was trained with {name} {options[name]}, but the module has {given}", stacklevel=3
            )


def _own_class(name: str) -> type[LightningModule] | None:
    """Returns a module of litzoo by its name or class path; None if it is not one of them."""
    own = getattr(lit_modules, name.rsplit(".", 1)[-1], None) if name in _own_names(name) else None
    return own if isinstance(own, type) and issubclass(own, LightningModule) else None


def _own_names(name: str) -> tuple[str, ...]:
    """Returns the ways to name a class of litzoo: its short name, as in a checkpoint of Python, and its paths."""
    last = name.rsplit(".", 1)[-1]
    own = getattr(lit_modules, last, None) if last in lit_modules.__all__ else None
    return (last, f"litzoo.{last}", f"litzoo.lit_modules.{last}", f"{getattr(own, '__module__', '')}.{last}")


def _load_weights(origin: str, saved: Mapping[str, Any], module: LightningModule) -> None:
    kept = {name: value for name, value in saved.items() if not name.startswith(TRAINING_STATE)}
    own = module.state_dict()
    kept |= {name: value for name, value in own.items() if name.startswith(TRAINING_STATE)}
    if misfit := first_misfit(kept, module):
        raise ValueError(f"{origin}: is of another module: {misfit} that is created; name the module that was trained")
    module.load_state_dict(kept)


def _detection(origin: str, content: Mapping[str, Any], score: UnknownScore | None) -> UnknownDetection | None:
    state = content.get("callbacks", {}).get(DETECTOR)
    if not state:
        return None
    if "rule" not in state:
        raise ValueError(f"{origin}: its {DETECTOR} is of litzoo 0.1; `litzoo fit --ckpt_path last` updates it")
    try:
        detection = UnknownDetection.from_state(state, score)
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from None
    if missing := detection.missing():
        raise ValueError(
            f"{origin}: lacks {' and '.join(missing)} for unknown classes: its training has not ended; "
            "`litzoo fit --ckpt_path last` finishes it"
        )
    return detection


def _conformal(content: Mapping[str, Any]) -> Conformal | None:
    """Returns the prediction sets or intervals of a checkpoint."""
    states = content.get("callbacks", {})
    rule: Conformal
    if state := states.get("PredictionSets"):
        rule = ConformalSets(state["coverage"], state["method"], state["per_class"])
    elif state := states.get("PredictionIntervals"):
        rule = ConformalIntervals(state["coverage"], ResidualDifficulty() if "difficulty" in state else None)
    else:
        return None
    rule.load_state_dict(state)
    return rule


def _warn_of_temperature(origin: str, module: LightningModule) -> None:
    if float(getattr(module, "temperature", 0)) == 1:
        warnings.warn(
            f"{origin}: its temperature was not fitted, so that its probabilities are not calibrated: its training has "
            "not ended; `litzoo fit --ckpt_path last` finishes it",
            stacklevel=2,
        )
