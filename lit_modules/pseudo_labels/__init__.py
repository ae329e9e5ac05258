"""Ways to learn from samples without labels; plain torch."""

from lit_modules.pseudo_labels.assigned_labels import AssignedLabels
from lit_modules.pseudo_labels.fix_match import FixMatch
from lit_modules.pseudo_labels.free_match import FreeMatch
from lit_modules.pseudo_labels.online_pseudo_labels import OnlinePseudoLabels
from lit_modules.pseudo_labels.pseudo_labels import PseudoLabels, Student, UnlabeledTerm
from lit_modules.pseudo_labels.soft_mix_up import SoftMixUp

__all__ = [
    "AssignedLabels",
    "FixMatch",
    "FreeMatch",
    "OnlinePseudoLabels",
    "PseudoLabels",
    "SoftMixUp",
    "Student",
    "UnlabeledTerm",
]
