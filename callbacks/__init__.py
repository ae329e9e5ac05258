"""What happens around training: checkpoints, stopping, figures, and the files of the run folder."""

from callbacks.agreed_stop import AgreedStop
from callbacks.best_checkpoint import BestCheckpoint
from callbacks.best_weights_early_stopping import BestWeightsEarlyStopping
from callbacks.checkpoint_io import AtomicCheckpointIO
from callbacks.classified_tests import ClassifiedTestFigure, NamesClasses
from callbacks.confusion_matrix_figure import ConfusionMatrixFigure
from callbacks.curriculum_labels import CurriculumLabels
from callbacks.detection_progress import DetectionProgress, Detects, ServesDetection
from callbacks.epoch_history import EpochHistory
from callbacks.epoch_progress_bar import AveragesTraining, EpochProgressBar
from callbacks.epoch_seed import EpochSeed
from callbacks.evaluated_part import Answers, ServesParts
from callbacks.exact_resume import ExactResume
from callbacks.exponential_moving_average import ExponentialMovingAverage
from callbacks.finite_loss import FiniteLoss
from callbacks.gradual_unfreezing import GradualUnfreezing
from callbacks.known_evidence import ServesKnown
from callbacks.last_checkpoint import LastCheckpoint
from callbacks.movable_checkpoint import MovableCheckpoint
from callbacks.network_stages import CachesFeatures, LearnsInStages, NetworkStage
from callbacks.noisy_label_finder import NoisyLabelFinder, ShowsTrainPictures
from callbacks.picture_rows import Captioned
from callbacks.pool_answers import PoolAnswers
from callbacks.pool_labels import PoolLabels
from callbacks.pool_learner import LearnsPool, TakesLabels
from callbacks.prediction_grid import PredictionGrid, ShowsTestPictures
from callbacks.predictions_csv import PredictionsCSV
from callbacks.pseudo_label_report import PseudoLabelReport
from callbacks.pseudo_label_scheduler import PseudoLabelScheduler
from callbacks.ramp import Ramp
from callbacks.run_record import RunRecord
from callbacks.run_summary import RunSummary
from callbacks.sample_columns import SampleColumn, SampleColumns
from callbacks.sample_files import NamesFiles
from callbacks.sample_losses import SampleLosses
from callbacks.split_summary import ReportsSplit, SplitSummary
from callbacks.teacher_labels import TeacherLabels
from callbacks.training_curves import TrainingCurves
from callbacks.unknown_class_detector import UnknownClassDetector
from callbacks.unknown_detection import UnknownDetection
from callbacks.unknown_gallery import TestedPictures
from callbacks.unknown_pool_filter import UnknownPoolFilter
from callbacks.unknown_report import TestedSamples
from callbacks.unknown_scores import (
    Energy,
    Entropy,
    Evidence,
    GeneralizedEntropy,
    Mahalanobis,
    MaxLogit,
    MaxSoftmax,
    NearestNeighbors,
    OpenMax,
    UnknownScore,
    ViM,
)

__all__ = [
    "AgreedStop",
    "Answers",
    "AtomicCheckpointIO",
    "AveragesTraining",
    "BestCheckpoint",
    "BestWeightsEarlyStopping",
    "CachesFeatures",
    "Captioned",
    "ClassifiedTestFigure",
    "ConfusionMatrixFigure",
    "CurriculumLabels",
    "DetectionProgress",
    "Detects",
    "Energy",
    "Entropy",
    "EpochHistory",
    "EpochProgressBar",
    "EpochSeed",
    "Evidence",
    "ExactResume",
    "ExponentialMovingAverage",
    "FiniteLoss",
    "GeneralizedEntropy",
    "GradualUnfreezing",
    "LastCheckpoint",
    "LearnsInStages",
    "LearnsPool",
    "Mahalanobis",
    "MaxLogit",
    "MaxSoftmax",
    "MovableCheckpoint",
    "NamesClasses",
    "NamesFiles",
    "NearestNeighbors",
    "NetworkStage",
    "NoisyLabelFinder",
    "OpenMax",
    "PoolAnswers",
    "PoolLabels",
    "PredictionGrid",
    "PredictionsCSV",
    "PseudoLabelReport",
    "PseudoLabelScheduler",
    "Ramp",
    "ReportsSplit",
    "RunRecord",
    "RunSummary",
    "SampleColumn",
    "SampleColumns",
    "SampleLosses",
    "ServesDetection",
    "ServesKnown",
    "ServesParts",
    "ShowsTestPictures",
    "ShowsTrainPictures",
    "SplitSummary",
    "TakesLabels",
    "TeacherLabels",
    "TestedPictures",
    "TestedSamples",
    "TrainingCurves",
    "UnknownClassDetector",
    "UnknownDetection",
    "UnknownPoolFilter",
    "UnknownScore",
    "ViM",
]
