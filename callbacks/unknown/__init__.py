"""Detects samples of unknown classes (out-of-distribution detection, open-set recognition)."""

from litzoo.callbacks.unknown import scores
from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.detector import UnknownClassDetector
from litzoo.callbacks.unknown.scores import *

__all__ = ["UnknownClassDetector", "UnknownDetection"]
__all__ += scores.__all__
