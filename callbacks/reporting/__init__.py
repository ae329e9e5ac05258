"""Figures, tables and records in the run folder and in TensorBoard."""

from litzoo.callbacks.reporting.classification import ConfusionMatrixFigure, PredictionGrid
from litzoo.callbacks.reporting.detection import DetectionProgress
from litzoo.callbacks.reporting.history import EpochHistory, TrainingCurves
from litzoo.callbacks.reporting.importance import PermutationImportance
from litzoo.callbacks.reporting.learning_rate import LearningRateFigure
from litzoo.callbacks.reporting.predictions_csv import PredictionsCSV
from litzoo.callbacks.reporting.progress_bar import EpochProgressBar
from litzoo.callbacks.reporting.regression import ResidualPlot
from litzoo.callbacks.reporting.run_record import RunRecord
from litzoo.callbacks.reporting.run_summary import RunSummary
from litzoo.callbacks.reporting.split_summary import SplitSummary

__all__ = [
    "ConfusionMatrixFigure",
    "DetectionProgress",
    "EpochHistory",
    "EpochProgressBar",
    "LearningRateFigure",
    "PermutationImportance",
    "PredictionGrid",
    "PredictionsCSV",
    "ResidualPlot",
    "RunRecord",
    "RunSummary",
    "SplitSummary",
    "TrainingCurves",
]
