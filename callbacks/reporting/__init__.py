"""Figures, tables and records in the run folder and in TensorBoard."""

from litzoo.callbacks.reporting.baseline import Baseline
from litzoo.callbacks.reporting.classification import ConfusionMatrixFigure, PredictionGrid
from litzoo.callbacks.reporting.detection import DetectionProgress
from litzoo.callbacks.reporting.detection_grid import DetectionGrid
from litzoo.callbacks.reporting.history import EpochHistory, TrainingCurves
from litzoo.callbacks.reporting.hyperparameters import Hyperparameters
from litzoo.callbacks.reporting.importance import PermutationImportance
from litzoo.callbacks.reporting.learning_rate import LearningRateFigure
from litzoo.callbacks.reporting.predictions_csv import PredictionsCSV
from litzoo.callbacks.reporting.progress_bar import EpochProgressBar
from litzoo.callbacks.reporting.projector import Projector
from litzoo.callbacks.reporting.regression import ResidualPlot
from litzoo.callbacks.reporting.run_record import RunRecord
from litzoo.callbacks.reporting.run_summary import RunSummary
from litzoo.callbacks.reporting.split_summary import SplitSummary
from litzoo.callbacks.reporting.tensorboard_overview import TensorBoardOverview

__all__ = [
    "Baseline",
    "ConfusionMatrixFigure",
    "DetectionGrid",
    "DetectionProgress",
    "EpochHistory",
    "EpochProgressBar",
    "Hyperparameters",
    "LearningRateFigure",
    "PermutationImportance",
    "PredictionGrid",
    "PredictionsCSV",
    "Projector",
    "ResidualPlot",
    "RunRecord",
    "RunSummary",
    "SplitSummary",
    "TensorBoardOverview",
    "TrainingCurves",
]
