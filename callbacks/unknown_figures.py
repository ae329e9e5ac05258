from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve
from torch import Tensor

from callbacks.figures import new_figure
from callbacks.unknown_metrics import auroc


def draw_scores(scores: Mapping[str, Tensor], unknown: Tensor, decisive: str, threshold: float) -> Figure:
    """Draws how the scores of known and of unknown test samples are distributed, and the ROC curve of each score.

    Args:
        scores: Score -> its values `[N]`, higher = more unknown.
        unknown: Which samples are of an unknown class, bool `[N]`.
        decisive: The score whose distribution is drawn.
        threshold: Of that score; above it a sample is called unknown.
    """
    figure = new_figure(10, 4, arranged=False)
    spread, curves = (figure.add_axes((left, 0.12, 0.42, 0.8)) for left in (0.065, 0.565))
    values, new = scores[decisive].numpy(), unknown.numpy()
    shown = values[np.isfinite(values)]
    low, high = (shown.min(), shown.max()) if len(shown) else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # equal, or all but equal
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, 51)
    for kind, rows, colour in (("known", ~new, "tab:blue"), ("unknown", new, "tab:orange")):
        counts = np.histogram(np.clip(values[rows], edges[0], edges[-1]), edges)[0]
        spread.stairs(counts / counts.sum(), edges, fill=True, alpha=0.6, color=colour, label=kind)
    if edges[0] <= threshold <= edges[-1]:
        spread.axvline(threshold, color="black", linestyle="--", label="threshold")
    spread.set(xlabel=f"{decisive}, higher = more unknown", ylabel="share of the known, of the unknown samples")
    spread.legend()
    for name, each in scores.items():
        false, true, _ = roc_curve(new, np.nan_to_num(each.numpy()))
        curves.plot(
            false, true, label=f"{name}, AUROC {auroc(each, unknown):.3f}", linewidth=2 if name == decisive else 1
        )
    rejected = values > threshold
    curves.plot(rejected[~new].mean(), rejected[new].mean(), "ko", label="at the threshold")
    curves.set(xlabel="known samples called unknown", ylabel="unknown samples found")
    curves.legend(loc="lower right", fontsize=8)
    figure.suptitle(f"{int(new.sum()):,} of {len(new):,} test samples are of unknown classes", fontsize=10)
    return figure
