"""The residual plot and the importance of columns, against values computed by hand and by scikit-learn."""

import csv
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from sklearn.inspection import permutation_importance as of_scikit_learn
from sklearn.linear_model import LinearRegression, LogisticRegression
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from litzoo.callbacks import PermutationImportance, ResidualPlot
from litzoo.callbacks.reporting.importance import _draw, _shortened, permutation_importance
from litzoo.callbacks.reporting.regression import draw_residuals
from litzoo.datamodules import (
    CSVClassificationDataModule,
    CSVRegressionDataModule,
    DiabetesDataModule,
    DigitsDataModule,
)
from litzoo.lit_modules import Regressor, SoftmaxRegression

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 1}


def run_test(model, datamodule, *callbacks):
    trainer = Trainer(**QUIET, logger=TensorBoardLogger("run", name="", version=""), callbacks=list(callbacks))
    trainer.test(model, datamodule=datamodule, verbose=False)
    board = EventAccumulator("run").Reload()
    return set(board.Tags()["images"]), {path.name for path in Path("run/figures").glob("*.png")}


def test_both_are_written_and_logged(coarse_figures):
    datamodule = DiabetesDataModule()
    model = Regressor(datamodule.input_shape, datamodule.target_mean, datamodule.target_std)
    images, files = run_test(model, datamodule, ResidualPlot(), PermutationImportance(repeats=2))
    assert images == {"figures/residuals", "figures/importance"}
    assert files == {"residuals.png", "importance.png"}
    with open("run/importance.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(row["column"] for row in rows) == sorted(datamodule.feature_groups)
    values = [float(row["rise_in_rmse"]) for row in rows]
    assert values == sorted(values, reverse=True)


def test_residuals_are_prediction_minus_target():
    prediction, target = np.array([1.0, 2.0, 6.0]), np.array([1.0, 4.0, 3.0])
    fit, spread, counts = draw_residuals(prediction, target).axes
    assert fit.collections[0].get_offsets().tolist() == [[1, 1], [4, 2], [3, 6]]
    assert spread.collections[0].get_offsets().tolist() == [[1, 0], [2, -2], [6, 3]]
    assert spread.get_title() == "RMSE 2.082, mean residual 0.3333"
    assert sum(bar.get_height() for bar in counts.patches) == 3


@pytest.mark.parametrize("is_card", [False, True])
@pytest.mark.parametrize(
    ("scale", "title"),
    [
        (69_073.4, "RMSE 69,073, mean residual 18,594"),
        (4.2e9, "RMSE 4.2e+09, mean residual 1.131e+09"),
        (2.31e-5, "RMSE 2.31e-05, mean residual 6.218e-06"),
        (0.75, "RMSE 0.75, mean residual 0.2019"),
        (1234.5, "RMSE 1,234, mean residual 332.3"),
    ],
)
def test_labels_of_large_and_small_numbers_are_readable_and_do_not_overlap(scale, title, is_card):
    target = np.random.default_rng(0).normal(3, 2, 500) * scale
    prediction = target + np.tile([1.0, -0.6, 1.0, -0.6, 0.2], 100) / np.sqrt(0.552) * scale
    figure = draw_residuals(prediction, target, is_card)
    figure.axes[2].set_xlim(-4.4 * scale, 4.4 * scale)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert figure.axes[1].get_title() == title
    for axis in (axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)):
        boxes = [label.get_window_extent(canvas.get_renderer()) for label in axis.get_ticklabels() if label.get_text()]
        assert len(boxes) >= 3
        side = "x" if axis.axis_name == "x" else "y"
        for one, other in pairwise(boxes):
            assert getattr(one, f"{side}1") + 3 < getattr(other, f"{side}0")


def test_importance_agrees_with_scikit_learn():
    random = np.random.RandomState(0)
    inputs = random.normal(size=(2000, 3))
    target = 3 * inputs[:, 0] + inputs[:, 1] + 0.1 * random.normal(size=2000)
    model = LinearRegression().fit(inputs, target)
    expected = of_scikit_learn(model, inputs, target, scoring="neg_root_mean_squared_error", n_repeats=20)
    found = permutation_importance(
        lambda x: torch.from_numpy(model.predict(x.numpy())),
        torch.from_numpy(inputs),
        torch.from_numpy(target),
        {"a": [0], "b": [1], "noise": [2]},
        repeats=20,
    )
    for name, mean in zip(found, expected.importances_mean, strict=True):
        assert np.mean(found[name]) == pytest.approx(mean, rel=0.03, abs=2e-3)


def test_features_of_a_column_are_shuffled_together():
    """Of one-hot features that are shuffled together a row keeps exactly one, which the model counts."""
    inputs = torch.eye(4).repeat(25, 1)
    seen = []

    def predict(x):
        seen.append(x.sum(dim=1))
        return x @ torch.arange(4.0)

    targets = inputs @ torch.arange(4.0)
    (rises,) = permutation_importance(predict, inputs, targets, {"word": [0, 1, 2, 3]}, repeats=3).values()
    assert all((each == 1).all() for each in seen)
    assert min(rises) > 1


def rare_class():
    """Rows of which five in a hundred are of the second class, and a model that never predicts it."""
    random = np.random.RandomState(0)
    target = (random.rand(4000) < 0.05).astype(int)
    inputs = random.normal(size=(4000, 3)) + target[:, None] * [1.5, 0.7, 0]
    return inputs, target, LogisticRegression(C=0.002).fit(inputs, target)


def test_importance_of_a_rare_class_agrees_with_scikit_learn():
    inputs, target, model = rare_class()
    assert not model.predict(inputs).any()  # so that the accuracy is the same whatever is shuffled
    expected = of_scikit_learn(model, inputs, target, scoring="neg_log_loss", n_repeats=20)
    found = permutation_importance(
        lambda x: torch.from_numpy(model.predict_log_proba(x.numpy())),
        torch.from_numpy(inputs),
        torch.from_numpy(target),
        {"a": [0], "b": [1], "noise": [2]},
        repeats=20,
    )
    assert np.mean(found["a"]) > 2 * np.mean(found["b"]) > 0.002
    for name, mean in zip(found, expected.importances_mean, strict=True):
        assert np.mean(found[name]) == pytest.approx(mean, rel=0.05, abs=2e-4)


def test_a_classifier_gains_cross_entropy(coarse_figures):
    inputs, target, _ = rare_class()
    words = np.where(target, "yes", "no")
    pd.DataFrame(inputs, columns=["a", "b", "noise"]).assign(kind=words).to_csv("table.csv", index=False)
    datamodule = CSVClassificationDataModule(file="table.csv", target="kind", root=".")
    torch.manual_seed(0)
    fast = partial(torch.optim.Adam, lr=0.02)
    model = SoftmaxRegression(datamodule.input_shape, 2, class_names=datamodule.class_names, optimizer=fast)
    trainer = Trainer(**QUIET | {"max_epochs": 5}, logger=False, enable_checkpointing=False)
    trainer.fit(model, datamodule=datamodule)
    images, _ = run_test(model, datamodule, PermutationImportance())
    assert images == {"figures/importance"}
    with open("run/importance.csv", newline="") as stream:
        rows = {row["column"]: float(row["rise_in_cross_entropy"]) for row in csv.DictReader(stream)}
    assert next(iter(rows)) == "a"
    assert rows["a"] > 0.01
    assert _draw({"a": [0.1]}, "cross-entropy").axes[0].get_xlabel().startswith("rise in cross-entropy when")


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (ResidualPlot, "ResidualPlot draws predicted numbers, but SoftmaxRegression predicts none"),
        (PermutationImportance, "shuffles the columns of a table, but DigitsDataModule has no feature_groups"),
    ],
)
def test_they_refuse_what_they_are_not_for(callback, words):
    with pytest.raises(TypeError, match=words):
        run_test(SoftmaxRegression((1, 28, 28), 10), DigitsDataModule(), callback())


def test_no_repeats_are_refused():
    with pytest.raises(ValueError, match=r"PermutationImportance\.repeats: 0"):
        PermutationImportance(repeats=0)


def test_an_exact_model_and_two_test_rows_are_drawn_too(coarse_figures):
    Path("table.csv").write_text("size,y\n" + "".join(f"{row},{2 * row}\n" for row in range(20)))
    datamodule = CSVRegressionDataModule(file="table.csv", target="y", test_size=2)
    model = Regressor(datamodule.input_shape, datamodule.target_mean, datamodule.target_std)
    _, files = run_test(model, datamodule, ResidualPlot(), PermutationImportance())
    assert files == {"residuals.png", "importance.png"}


def test_an_outlier_is_outside_and_counted():
    target = np.arange(200.0)
    prediction = target + np.tile([-1.0, 0.0, 1.0, 0.5], 50)
    prediction[7] = 1e9
    fit, spread, counts = draw_residuals(prediction, target).axes
    for panel in (fit, spread, counts):
        assert panel.get_title().endswith("\n1 outside")
    assert fit.get_ylim()[1] < 250
    assert np.allclose(spread.get_ylim(), (-1.1, 1.1))
    assert sum(bar.get_height() for bar in counts.patches) == 199
    plain = draw_residuals(target + np.tile([-1.0, 0.0, 1.0, 0.5], 50), target)
    assert not any("outside" in panel.get_title() for panel in plain.axes)


def test_predictions_that_are_not_finite_are_counted():
    prediction, target = np.array([1.0, np.nan, np.inf, 2.0]), np.ones(4)
    assert draw_residuals(prediction, target).axes[0].get_title() == "test set, 4 samples, 2 not finite"
    assert draw_residuals(prediction * np.nan, target).axes[0].get_title() == "test set, 4 samples, 4 not finite"


def test_long_names_of_columns_stay_different_and_the_title_is_whole():
    names = [f"a long measurement of the same kind, number {number}" for number in range(40)]
    assert len({*_shortened(names)}) == 40
    assert max(map(len, _shortened(names))) == 30
    alike = ["x" * 40 + "1" + "x" * 40, "x" * 40 + "2" + "x" * 40, "short"]
    assert len({*_shortened(alike)}) == 3
    figure = _draw({name: [1.0, 2.0] for name in names}, "accuracy")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure._suptitle.get_window_extent(canvas.get_renderer())
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
