import pytest

from litzoo.datamodules.counted import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 cells are"), (1, "1 cell is"), (2, "2 cells are"), (1234, "1,234 cells are")]
)
def test_one_is_singular(number, text):
    assert counted(number, "cell is", "cells are") == text


def test_most_nouns_only_need_an_s():
    assert [counted(number, "file") for number in (1, 2)] == ["1 file", "2 files"]
