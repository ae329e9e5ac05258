"""What happens around training: checkpoints, stopping, figures, and the files of the run folder."""

from callbacks.best_checkpoint import BestCheckpoint
from callbacks.best_weights_early_stopping import BestWeightsEarlyStopping
from callbacks.classified_tests import ClassifiedTestFigure, NamesClasses
from callbacks.confusion_matrix_figure import ConfusionMatrixFigure
from callbacks.epoch_history import EpochHistory
from callbacks.epoch_progress_bar import AveragesTraining, EpochProgressBar
from callbacks.epoch_seed import EpochSeed
from callbacks.finite_loss import FiniteLoss
from callbacks.last_checkpoint import LastCheckpoint
from callbacks.movable_checkpoint import MovableCheckpoint
from callbacks.noisy_label_finder import NoisyLabelFinder, ShowsTrainPictures
from callbacks.picture_rows import Captioned
from callbacks.prediction_grid import PredictionGrid, ShowsTestPictures
from callbacks.predictions_csv import PredictionsCSV
from callbacks.run_record import RunRecord
from callbacks.run_summary import RunSummary
from callbacks.sample_losses import SampleLosses
from callbacks.split_summary import ReportsSplit, SplitSummary
from callbacks.training_curves import TrainingCurves

__all__ = [
    "AveragesTraining",
    "BestCheckpoint",
    "BestWeightsEarlyStopping",
    "Captioned",
    "ClassifiedTestFigure",
    "ConfusionMatrixFigure",
    "EpochHistory",
    "EpochProgressBar",
    "EpochSeed",
    "FiniteLoss",
    "LastCheckpoint",
    "MovableCheckpoint",
    "NamesClasses",
    "NoisyLabelFinder",
    "PredictionGrid",
    "PredictionsCSV",
    "ReportsSplit",
    "RunRecord",
    "RunSummary",
    "SampleLosses",
    "ShowsTestPictures",
    "ShowsTrainPictures",
    "SplitSummary",
    "TrainingCurves",
]
