"""Semi-supervised methods: how a classifier learns from unlabeled samples."""

from litzoo.lit_modules.semi_supervised.assigned_labels import AssignedLabels
from litzoo.lit_modules.semi_supervised.base import PseudoLabels
from litzoo.lit_modules.semi_supervised.fix_match import FixMatch
from litzoo.lit_modules.semi_supervised.free_match import FreeMatch
from litzoo.lit_modules.semi_supervised.online_pseudo_labels import OnlinePseudoLabels
from litzoo.lit_modules.semi_supervised.soft_match import SoftMatch
from litzoo.lit_modules.semi_supervised.soft_mix_up import SoftMixUp

__all__ = ["AssignedLabels", "FixMatch", "FreeMatch", "OnlinePseudoLabels", "PseudoLabels", "SoftMatch", "SoftMixUp"]
