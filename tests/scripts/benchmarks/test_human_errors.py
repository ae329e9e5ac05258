from pathlib import Path

import pytest

from litzoo.scripts.benchmarks.wrong_labels.human_errors import (
    STATES,
    ranked,
    rows_of,
    write_corrections,
    wrong_after,
)

SUSPECTS = """rank,index,given,flagged,suggested,probability,true
1,7,cat,True,dog,0.9000,dog
2,3,cat,True,frog,0.5000,cat
3,5,dog,False,cat,0.2000,cat
4,1,frog,False,cat,0.1000,frog
"""


@pytest.fixture
def suspects() -> list[dict[str, str]]:
    Path("suspects.csv").write_text(SUSPECTS)
    return rows_of(Path("suspects.csv"))


def test_quality_of_a_ranking(suspects: list[dict[str, str]]) -> None:
    # Wrong are the first and the third of four: average precision (1 + 2/3) / 2; one of two flagged, one of two found.
    assert ranked(suspects) == pytest.approx({"ap": 5 / 6, "precision": 0.5, "flagged": 2, "f1": 0.5})


@pytest.mark.parametrize(
    ("state", "actions", "wrong"),
    [
        ("relabelled", [("7", "relabel", "dog"), ("3", "relabel", "frog")], 2 / 4),
        ("confident", [("7", "relabel", "dog"), ("3", "drop", "")], 1 / 3),
        ("dropped", [("7", "drop", ""), ("3", "drop", "")], 1 / 2),
    ],
)
def test_corrections_of_a_state(
    state: str, actions: list[tuple[str, str, str]], wrong: float, suspects: list[dict[str, str]]
) -> None:
    path = write_corrections(Path(f"{state}.csv"), suspects, STATES[state][1])
    assert [(row["index"], row["action"], row["label"]) for row in rows_of(path)] == actions
    assert wrong_after(suspects, STATES[state][1]) == pytest.approx(wrong)
