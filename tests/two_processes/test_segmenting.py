import csv
import math

import pytest
import torch

from tests.two_processes.segmenting import segment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return {"folder": folder, **segment(str(folder))}


def table(folder):
    with (folder / "predictions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_both_validate_as_one_process(found, alone):
    assert {"val/loss", "val/map_50", "val/mask_map_50"} <= set(alone["validated"])
    for process in found:
        assert process["segmented"]["validated"] == pytest.approx(alone["validated"], rel=1e-5)


def test_both_end_a_training_with_the_same_weights_and_metrics(found, alone):
    ours, theirs = (process["segmented"] for process in found)
    assert torch.equal(ours["weights"], theirs["weights"])
    assert ours["metrics"] == theirs["metrics"]
    assert set(ours["metrics"]) == set(alone["metrics"])
    assert all(math.isfinite(value) for value in ours["metrics"].values())
    assert (ours["steps"], alone["steps"]) == (2, 5)


def test_the_table_of_detections_has_every_image_once(folder, alone):
    together, by_one = table(folder / "segmented"), table(alone["folder"])
    # Three batches of two images for one process; for two of them, each.
    first = [row for row in together if int(row["index"]) < 6]
    assert by_one
    assert first == [row for row in by_one if int(row["index"]) < 6]
    assert {int(row["index"]) for row in together} == set(range(12))


def test_the_strip_is_drawn_by_the_first_process_alone(found, folder):
    assert [process["segmented"]["drawn"] for process in found] == [2, 0]
    assert (folder / "segmented" / "figures" / "detection_progress.png").is_file()
