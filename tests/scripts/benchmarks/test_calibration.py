"""What the benchmark of calibration adds to the library: the error of probabilities that are exactly right."""

import math

import pytest
import torch

from litzoo.lit_modules.metrics import CalibrationError
from litzoo.scripts.benchmarks.calibration import error_of_right_probabilities


def test_one_bin_by_hand() -> None:
    """All samples are sure to 0.6, so that the error is that of a mean: E|m - p| = sqrt(2 / pi) sqrt(p (1 - p) / n)."""
    logits = torch.tensor([0.6, 0.4]).log().expand(2000, 2)
    expected = math.sqrt(2 / math.pi * 0.6 * 0.4 / 2000)
    found = error_of_right_probabilities(logits, CalibrationError(), draws=1000)
    assert found == pytest.approx(expected, rel=0.1)  # its standard error is 2.4 %


def test_certain_samples_have_none() -> None:
    logits = torch.tensor([1.0, 0.0, 0.0]).log().expand(50, 3)
    assert error_of_right_probabilities(logits, CalibrationError(), draws=3) == 0
