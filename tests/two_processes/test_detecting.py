import csv

import pytest
import torch

from tests.callbacks.open_set_digits import alike
from tests.two_processes.detecting import detect

pytestmark = pytest.mark.slow
SCORES = ["MaxLogit", "NearestNeighbors"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return {score: {"folder": folder / score, **detect(str(folder / score), score)} for score in SCORES}


def rows(folder):
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("score", SCORES)
def test_both_hold_the_threshold_and_statistics_of_one_process(score, found, alone):
    expected = alone[score]
    for process in found:
        state = process["detected", score]["state"]
        assert process["detected", score]["threshold"] == pytest.approx(expected["threshold"], rel=1e-5)
        known = expected["state"]["known_scores"].tolist()
        assert len(known) == 81
        assert state["known_scores"].tolist() == pytest.approx(known, rel=1e-5)
        directions, wanted = (each["statistics"]["NearestNeighbors(k=5)"] for each in (state, expected["state"]))
        assert directions.keys() == wanted.keys()
        for name, values in directions.items():
            assert len(values) == 101
            torch.testing.assert_close(values, wanted[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("score", SCORES)
def test_both_find_what_one_process_finds(score, found, alone):
    first, second = (process["detected", score] for process in found)
    assert alike(first["metrics"], second["metrics"])
    assert first["metrics"] == pytest.approx(alone[score]["metrics"], rel=1e-4, abs=1e-6)
    assert first["validated"] == pytest.approx(alone[score]["validated"], rel=1e-4)
    assert len(first["validated"]) == 2  # of the largest logit in both cases
    assert 0 < first["metrics"]["test/unknown/found"] < 1


@pytest.mark.parametrize("score", SCORES)
def test_their_predictions_are_those_of_one_process(score, found, folder, alone):
    by_two, by_one = rows(folder / f"detected {score}"), rows(alone[score]["folder"])
    assert len(by_two) == 359
    for column in ("index", "prediction", "class_name"):
        assert [row[column] for row in by_two] == [row[column] for row in by_one]
    scores = ([float(row["unknown_score"]) for row in each] for each in (by_two, by_one))
    assert next(scores) == pytest.approx(next(scores), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("score", SCORES)
def test_one_of_them_draws(score, found, folder):
    drawn = sorted(path.name for path in (folder / f"detected {score}" / "figures").iterdir())
    assert drawn == ["unknown_gallery.png", "unknown_scores.png"]
    assert [path.name for path in (folder / f"detected {score}" / "checkpoints").iterdir()] == ["last.ckpt"]
