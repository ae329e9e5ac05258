"""Which columns of a table a model uses: permutation importance on the test set."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cross_entropy

from litzoo.callbacks.contracts import HasFeatureGroups
from litzoo.callbacks.files import run_folder_of, write_csv
from litzoo.callbacks.reporting.figures import CARD_WIDTH, new_figure, publish_figure
from litzoo.datamodules.batch import UNKNOWN

_MOST_ROWS = 10_000
_MOST_SHOWN = 30


class PermutationImportance(Callback):
    """Measures how much worse a model gets when the cells of one column are shuffled among the test rows.

    Writes `importance.csv` and `figures/importance.png`, also to TensorBoard: for each column the mean and standard
    deviation, over the repeats, of the rise in RMSE (in the target's units), or for a classifier of the rise in
    cross-entropy, that of `test/loss` (Breiman 2001; Fisher et al. 2019). Accuracy would not do: of a rare class that
    is never the most probable one, it stays the same whatever is shuffled. All features of a column are shuffled
    together. Of two columns that hold the same information each looks unimportant. At most 10,000 rows are used.

    Args:
        repeats: Number of shuffles of each column.

    Raises:
        ValueError: If `repeats` is below 1.
    """

    def __init__(self, repeats: int = 5) -> None:
        if repeats < 1:
            raise ValueError(f"PermutationImportance.repeats: {repeats} is too small; give at least 1")
        self.repeats = repeats

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks that the data are a table.

        Raises:
            TypeError: If the datamodule has no `feature_groups`.
        """
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not hasattr(type(datamodule), "feature_groups"):
            raise TypeError(
                f"PermutationImportance shuffles the columns of a table, but {type(datamodule).__name__} has no "
                "feature_groups: remove the callback or choose a table"
            )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Rank 0 shuffles, predicts, writes and publishes."""
        run_folder = run_folder_of(trainer)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not trainer.is_global_zero:
            return
        assert isinstance(datamodule, HasFeatureGroups)
        inputs, targets = datamodule.test_set.inputs, datamodule.test_set.targets
        has_classes = not targets.is_floating_point()
        known = (targets != UNKNOWN) if has_classes else torch.ones_like(targets, dtype=torch.bool)
        rows = known.nonzero()[:, 0]
        rows = rows[:: -(-len(rows) // _MOST_ROWS)] if len(rows) else rows
        if len(rows) < 2:
            return

        def predict(x: Tensor) -> Tensor:
            batches = x.split(datamodule.eval_batch_size)
            outputs = [
                pl_module.predict_step({"input": each.to(pl_module.device), "index": None}, 0) for each in batches
            ]
            return torch.cat([each["logits" if has_classes else "prediction"] for each in outputs]).cpu()

        was_training = pl_module.training
        pl_module.eval()
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            measured = permutation_importance(
                predict, inputs[rows], targets[rows], datamodule.feature_groups, self.repeats
            )
        pl_module.train(was_training)
        error = "cross-entropy" if has_classes else "RMSE"
        order = sorted(measured, key=lambda name: -float(np.mean(measured[name])))
        columns: dict[str, Sequence[Any]] = {
            "column": order,
            f"rise_in_{error.lower().replace('-', '_')}": [f"{np.mean(measured[name]):.6g}" for name in order],
            "std": [f"{np.std(measured[name]):.6g}" for name in order],
        }
        write_csv(run_folder / "importance.csv", columns)
        sorted_rises = {name: measured[name] for name in order}
        card = _draw(sorted_rises, error, CARD_WIDTH)
        publish_figure(trainer, "importance", _draw(sorted_rises, error), run_folder, card)


def permutation_importance(
    predict: Callable[[Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    groups: Mapping[str, Sequence[int]],
    repeats: int = 5,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Computes how much the error rises when a group of features is shuffled among the rows.

    Args:
        predict: Returns for inputs `[N, F]` predicted numbers `[N]`, or logits of classes `[N, K]`.
        inputs: Inputs `[N, F]`.
        targets: Targets `[N]`: the error is the RMSE for floats, and the cross-entropy for integers.
        groups: Name -> positions of the features that are shuffled together.
        repeats: Number of shuffles.
        seed: Seed of the shuffles.

    Returns:
        Name -> the rise of the error in each repeat.
    """

    def error(x: Tensor) -> float:
        prediction = predict(x)
        if not targets.is_floating_point():
            return cross_entropy(prediction.double(), targets).item()
        return (prediction.double() - targets.double()).square().mean().sqrt().item()

    random, before = np.random.RandomState(seed), error(inputs)
    rises: dict[str, list[float]] = {name: [] for name in groups}
    for name, features in groups.items():
        for _ in range(repeats):
            shuffled, order = inputs.clone(), torch.from_numpy(random.permutation(len(inputs)))
            shuffled[:, list(features)] = inputs[order][:, list(features)]
            rises[name].append(error(shuffled) - before)
    return rises


def _draw(measured: Mapping[str, Sequence[float]], error: str, width: float = 7.0) -> Figure:
    names = list(measured)[:_MOST_SHOWN]
    figure = new_figure(width, 1.3 + 0.27 * len(names))
    longest = 30 if width > CARD_WIDTH else 14
    panel = figure.subplots()
    means = [float(np.mean(measured[name])) for name in names]
    panel.barh(range(len(names)), means, xerr=[float(np.std(measured[name])) for name in names], height=0.7)
    panel.set_yticks(range(len(names)), _shortened(names, longest))
    panel.invert_yaxis()
    left = f" (the first {_MOST_SHOWN} of {len(measured)} columns)" if len(measured) > len(names) else ""
    title = f"permutation importance, test set{left}"
    figure.suptitle(title, fontsize="medium" if width > CARD_WIDTH else 8)  # a panel's would be cut
    panel.set_xlabel(f"rise in {error} when the column is shuffled")
    panel.grid(alpha=0.3, axis="x")
    return figure


def _shortened(names: Sequence[str], longest: int = 30) -> list[str]:
    """Returns names without the middle of long ones, of which more is kept where they would be the same."""
    while True:
        ends = longest // 2
        short = [name if len(name) <= longest else f"{name[: longest - ends - 1]}…{name[-ends:]}" for name in names]
        if len(set(short)) == len(set(names)):
            return short
        longest += 10
