import csv
from pathlib import Path

import pytest
import torch

from tests.two_processes.ranking import rank

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return {"folder": folder, **rank(str(folder))}


def suspects(folder: Path):
    with (folder / "suspects.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("name", ["ranked", "ranked in parts"])
def test_both_hold_what_one_process_holds(name, found, alone):
    for process in found:
        for column, values in alone["seen"].items():
            torch.testing.assert_close(process[name]["seen"][column], values, rtol=1e-4, atol=1e-6)
        assert len(process[name]["metrics"]) == 3
        assert process[name]["metrics"] == pytest.approx(alone["metrics"], rel=1e-4)


@pytest.mark.parametrize("name", ["ranked", "ranked in parts"])
def test_the_file_ranks_the_samples_of_both(name, found, folder, alone):
    expected, rows = suspects(alone["folder"]), suspects(folder / name)
    assert len(rows) == 101
    for column in ("index", "given", "predicted", "true"):
        assert [row[column] for row in rows] == [row[column] for row in expected]
