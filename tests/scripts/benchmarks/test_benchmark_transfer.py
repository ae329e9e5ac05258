import pytest

from litzoo.scripts.benchmarks.transfer import CACHED, EPOCHS, FILL, HEAD, WHOLE, table, training

SECONDS = {WHOLE: [4.0, 8.0, 4.0], HEAD: [1.0, 2.0, 1.0], FILL: [1.0, 2.0, 1.0], CACHED: [0.1, 0.2, 0.1]}


def test_what_is_computed_once_is_shared_by_all_epochs():
    whole, head, cached = training(SECONDS).values()
    assert (whole, head) == (SECONDS[WHOLE], SECONDS[HEAD])
    assert cached == pytest.approx([1 / EPOCHS + 0.1, 2 / EPOCHS + 0.2, 1 / EPOCHS + 0.1])


def test_the_table_says_how_many_samples_a_second_and_how_many_times_those_of_the_whole_network():
    circumstances = {"hardware": "a machine", "torch": "2", "threads": 2, "date": "today"}
    text = table({**circumstances, "rounds": 3, "batch_size": 64, "seconds": {"resnet18": SECONDS}})
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "resnet18" in line]
    assert [row[2] for row in rows] == ["16", "64", "320"]
    assert [row[3].split(" ×")[0] for row in rows] == ["", "4.00", "20.00"]
