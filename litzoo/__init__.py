"""A zoo of PyTorch Lightning modules for the troubles of real training data.

Every public class is found here, such as `litzoo.CNNClassifier`; what it needs is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litzoo.callbacks import *
    from litzoo.datamodules import *
    from litzoo.lit_modules import *
    from litzoo.scripts.predict import Predictor as Predictor

__version__ = "0.2.0"

_WINGS = ("datamodules", "lit_modules", "callbacks")


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        return import_module("litzoo.scripts.predict").Predictor
    if name in _WINGS:
        return import_module(f"litzoo.{name}")
    if not name.startswith("_"):
        for wing in _WINGS:
            module = import_module(f"litzoo.{wing}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module 'litzoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    public = (name for wing in _WINGS for name in import_module(f"litzoo.{wing}").__all__)
    return sorted({*globals(), "Predictor", *public})
