import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from litzoo.lit_modules.metrics import regression_scores


@pytest.mark.parametrize("scale", [1.0, 100_000.0])
def test_scores_are_those_of_scikit_learn(scale):
    target = scale * (3 + torch.randn(200))
    prediction = target + scale * torch.randn(200)
    scores = {name: value.item() for name, value in regression_scores(prediction, target).items()}
    expected = {
        "mae": mean_absolute_error(target, prediction),
        "rmse": root_mean_squared_error(target, prediction),
        "r2": r2_score(target, prediction),
    }
    assert scores == pytest.approx(expected, rel=1e-4)


def test_one_sample_has_no_r2():
    assert regression_scores(torch.tensor([2.0]), torch.tensor([5.0])) == {"mae": 3.0, "rmse": 3.0}
