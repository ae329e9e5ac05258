"""What happens around training: checkpoints, stopping, figures, and the files of the run folder."""

from callbacks.best_checkpoint import BestCheckpoint
from callbacks.best_weights_early_stopping import BestWeightsEarlyStopping
from callbacks.classified_tests import NamesClasses
from callbacks.confusion_matrix_figure import ConfusionMatrixFigure
from callbacks.epoch_progress_bar import EpochProgressBar
from callbacks.finite_loss import FiniteLoss
from callbacks.last_checkpoint import LastCheckpoint
from callbacks.prediction_grid import PredictionGrid, ShowsTestPictures
from callbacks.predictions_csv import PredictionsCSV
from callbacks.run_record import RunRecord
from callbacks.run_summary import RunSummary
from callbacks.training_curves import TrainingCurves

__all__ = [
    "BestCheckpoint",
    "BestWeightsEarlyStopping",
    "ConfusionMatrixFigure",
    "EpochProgressBar",
    "FiniteLoss",
    "LastCheckpoint",
    "NamesClasses",
    "PredictionGrid",
    "PredictionsCSV",
    "RunRecord",
    "RunSummary",
    "ShowsTestPictures",
    "TrainingCurves",
]
