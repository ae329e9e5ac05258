import pytest

from tests.callbacks.pool_digits import pseudo_labels
from tests.two_processes.reporting import report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return {"folder": folder, "metrics": report(str(folder))}


def test_both_log_what_one_process_logs(found, alone):
    expected = alone["metrics"]
    assert len(expected) > 10
    assert 0 < expected["train/pseudo/accuracy"] < 1
    assert 0 < expected["train/pseudo/coverage"] < 1
    for process in found:
        assert process["reported"] == pytest.approx(expected, rel=1e-6)


def test_the_file_holds_the_samples_of_both_as_that_of_one_process(found, folder, alone):
    expected, rows = pseudo_labels(alone["folder"]), pseudo_labels(folder / "reported")
    assert len(rows) == 131
    for column in ("index", "label", "used", "true"):
        assert [row[column] for row in rows] == [row[column] for row in expected]
    confidences = [[float(row["confidence"]) for row in each] for each in (rows, expected)]
    assert confidences[0] == pytest.approx(confidences[1], rel=1e-4)
