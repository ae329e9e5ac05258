"""Prediction with a checkpoint alone: `Predictor` in Python, `litzoo predict --input` on the command line."""

from litzoo.scripts.predict.predictions import Predictions
from litzoo.scripts.predict.predictor import Predictor

__all__ = ["Predictions", "Predictor"]
