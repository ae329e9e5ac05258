import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from torchmetrics import MetricCollection

from litzoo.lit_modules import Regressor


def computed(prediction, target, batch=None):
    """What a `Regressor` logs for an evaluation in batches."""
    mean, std = float(target.mean()), float(target.std()) if len(target) > 1 else 1.0
    module = Regressor((1,), target_mean=mean, target_std=std)
    metrics = MetricCollection(module.metrics("test"), compute_groups=False)
    for part in range(0, len(target), batch or len(target)):
        rows = slice(part, part + (batch or len(target)))
        module.update_metrics(metrics, {"prediction": prediction[rows], "target": target[rows]})
    return {name: value.item() for name, value in metrics.compute().items()}


@pytest.mark.parametrize("batch", [None, 33])
@pytest.mark.parametrize("scale", [1.0, 100_000.0])
def test_metrics_are_those_of_scikit_learn(scale, batch):
    target = scale * (3 + torch.randn(200))
    prediction = target + scale * torch.randn(200)
    expected = {
        "loss": (root_mean_squared_error(target, prediction) / float(target.std())) ** 2,
        "mae": mean_absolute_error(target, prediction),
        "rmse": root_mean_squared_error(target, prediction),
        "r2": r2_score(target, prediction),
    }
    assert computed(prediction, target, batch) == pytest.approx(expected, rel=1e-4)


def test_r2_of_targets_with_a_large_mean_is_accurate():
    target = 1e6 + torch.randn(5000, dtype=torch.float64).float()
    prediction = target + 0.5 * torch.randn(5000)
    assert computed(prediction, target, 500)["r2"] == pytest.approx(r2_score(target, prediction), abs=1e-3)


def test_one_sample_has_no_r2():
    found = computed(torch.tensor([2.0]), torch.tensor([5.0]))
    assert {name: found[name] for name in ("mae", "rmse")} == {"mae": 3.0, "rmse": 3.0}
    assert set(found) == {"loss", "mae", "rmse"}
