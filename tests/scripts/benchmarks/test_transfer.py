import pytest

from litzoo.scripts.benchmarks.transfer import CACHED, EPOCHS, FILL, HEAD, WHOLE, seconds_per_step, table

SECONDS = {WHOLE: [4.0, 8.0, 4.0], HEAD: [1.0, 2.0, 1.0], FILL: [1.0, 2.0, 1.0], CACHED: [0.1, 0.2, 0.1]}


def test_the_time_of_cached_features_is_divided_by_the_epochs():
    whole, head, cached = seconds_per_step(SECONDS).values()
    assert (whole, head) == (SECONDS[WHOLE], SECONDS[HEAD])
    assert cached == pytest.approx([1 / EPOCHS + 0.1, 2 / EPOCHS + 0.2, 1 / EPOCHS + 0.1])


def test_the_table_shows_samples_per_second_and_the_speed_up_over_the_whole_network():
    environment = {"hardware": "a machine", "torch": "2", "threads": 2, "date": "today"}
    text = table({**environment, "rounds": 3, "batch_size": 64, "seconds": {"resnet18": SECONDS}})
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "resnet18" in line]
    assert [row[2] for row in rows] == ["16", "64", "320"]
    assert [row[3].split(" ×")[0] for row in rows] == ["", "4.00", "20.00"]
