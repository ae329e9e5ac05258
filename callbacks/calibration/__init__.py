"""Calibrated probabilities, and prediction sets and intervals with a guaranteed coverage."""

from litzoo.callbacks.calibration.difficulty import ResidualDifficulty
from litzoo.callbacks.calibration.intervals import ConformalIntervals
from litzoo.callbacks.calibration.prediction_sets import PredictionIntervals, PredictionSets
from litzoo.callbacks.calibration.sets import ConformalSets
from litzoo.callbacks.calibration.temperature import fit_temperature
from litzoo.callbacks.calibration.temperature_and_bias import fit_temperature_and_bias
from litzoo.callbacks.calibration.temperature_scaling import TemperatureScaling

__all__ = [
    "ConformalIntervals",
    "ConformalSets",
    "PredictionIntervals",
    "PredictionSets",
    "ResidualDifficulty",
    "TemperatureScaling",
    "fit_temperature",
    "fit_temperature_and_bias",
]
