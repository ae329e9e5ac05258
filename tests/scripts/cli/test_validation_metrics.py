"""`litzoo validate` with other options leaves the training's own validation in `metrics.json`."""

import json

import pytest

from litzoo.scripts.compare.compared_run import read_history
from tests.scripts.helpers import MLP, litzoo


def read(trained):
    return json.loads((trained / "metrics.json").read_text())


def test_the_same_validation_changes_nothing_and_is_silent(trained, recwarn):
    before = read(trained)
    litzoo("validate", *MLP)
    assert read(trained) == before
    assert not [each for each in recwarn if "metrics.json" in str(each.message)]


@pytest.mark.parametrize("option", ["--trainer.limit_val_batches=1", "--data.eval_batch_size=7"])
def test_one_of_part_of_the_samples_is_not_written_and_says_so(option, trained, recwarn):
    options = [option, "--data.eval_batch_size=50"] if "limit" in option else [option]
    before = read(trained)
    litzoo("validate", *MLP, *options)
    assert read(trained) == (before if "limit" in option else pytest.approx(before, rel=1e-6))
    said = [str(each.message) for each in recwarn if "metrics.json" in str(each.message)]
    if "limit" in option:
        assert len(said) == 1
        assert "runs/digits_mlp/version_0/metrics.json keeps the validation of the training" in said[0]
        assert f"not {before['val/loss']:.6g}" in said[0]
    else:
        assert said == []  # rounding


def test_the_curves_of_the_training_get_no_point(trained):
    before, events = read_history(trained), set(trained.glob("events*"))
    litzoo("validate", *MLP)
    assert read_history(trained) == before
    assert before["val/loss"]
    assert set(trained.glob("events*")) == events


def test_metrics_that_the_training_has_not_logged_are_added(trained):
    before = read(trained)
    (trained / "metrics.json").write_text(json.dumps({"epoch": before["epoch"]}))
    litzoo("validate", *MLP)
    assert read(trained)["val/loss"] == before["val/loss"]
