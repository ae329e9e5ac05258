import pytest
import torch

from tests.two_processes.teaching import teach

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("by", ["teacher", "student"])
def test_both_keep_one_set_of_labels_that_of_one_process(by, found, folder):
    first, second = (process["taught by", by] for process in found)
    assert first["kept"].keys() == {"label", "confidence", "threshold", "barred"}
    for column, values in first["kept"].items():
        assert torch.equal(values, second["kept"][column])
    assert first["metrics"] == second["metrics"]

    alone = teach(by)
    for column in ("label", "barred"):
        assert torch.equal(first["kept"][column], alone["kept"][column])
    for column in ("confidence", "threshold"):
        torch.testing.assert_close(first["kept"][column], alone["kept"][column])
    assert first["kept"]["confidence"].count_nonzero() == 91
    assert first["metrics"]["train/pool/barred"] == pytest.approx(alone["metrics"]["train/pool/barred"])
    assert 0 < first["metrics"]["train/pool/barred"] < 1
