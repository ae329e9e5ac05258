"""Callbacks for pseudo-labels: schedules, teachers, curricula, a filter of unknown classes, and a report."""

from litzoo.callbacks.pseudo_labels.curriculum import CurriculumLabels
from litzoo.callbacks.pseudo_labels.report import PseudoLabelReport
from litzoo.callbacks.pseudo_labels.scheduler import PseudoLabelScheduler, Ramp
from litzoo.callbacks.pseudo_labels.teacher import TeacherLabels
from litzoo.callbacks.pseudo_labels.unknown_filter import UnknownPoolFilter

__all__ = [
    "CurriculumLabels",
    "PseudoLabelReport",
    "PseudoLabelScheduler",
    "Ramp",
    "TeacherLabels",
    "UnknownPoolFilter",
]
