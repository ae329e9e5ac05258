"""Lightning callbacks: checkpoints, training, label issues, pseudo-labels, unknown classes, calibration, reporting."""

from litzoo.callbacks import calibration, checkpoints, label_issues, pseudo_labels, reporting, training, unknown
from litzoo.callbacks.calibration import *
from litzoo.callbacks.checkpoints import *
from litzoo.callbacks.label_issues import *
from litzoo.callbacks.pseudo_labels import *
from litzoo.callbacks.reporting import *
from litzoo.callbacks.training import *
from litzoo.callbacks.unknown import *

__all__ = []
__all__ += checkpoints.__all__
__all__ += training.__all__
__all__ += label_issues.__all__
__all__ += pseudo_labels.__all__
__all__ += unknown.__all__
__all__ += calibration.__all__
__all__ += reporting.__all__
