"""The tables that a comparison prints."""

import pytest
from rich.console import Console

from litzoo.scripts.compare.command import compare
from litzoo.scripts.compare.printed import print_table
from tests.scripts.compare.stand_in import OPTIONS, stand_in  # noqa: F401 (a fixture)

HEADER = [
    *("variant", "test/balanced_acc (mean ± std)", "n", "difference to `plain` in points (95 % interval)"),
    "training seconds",
]
ROWS = [
    ["`plain`", "42.20 ± 1.10 %", "2", "", "24"],
    ["`logit_adjusted`", "56.60 ± 2.1 %", "2", "+14.40 (-5.26 to +20.15)", "24"],
]


def printed(header, rows, width, capsys):
    print_table(Console(width=width), header, rows)
    return capsys.readouterr().out


def words_of(*texts):
    return {word for text in texts for word in text.split()}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_word_and_no_number_is_broken(width, capsys):
    out = printed(HEADER, ROWS, width, capsys)
    assert max(map(len, out.splitlines())) <= width
    assert words_of(*HEADER, *ROWS[0], *ROWS[1]) <= words_of(out)
    assert "(mean ± std)" in out
    assert "(-5.26 to +20.15)" in out
    assert (out.count("variant") == 1) is (width >= 80)


def test_a_table_that_is_too_wide_becomes_several_with_the_names_of_the_rows(capsys):
    names = [f"class_number_{number}" for number in range(10)]
    rows = [[f"`{row}`", *(f"{row}{number}.25" for number in range(10))] for row in "ab"]
    out = printed(["test/acc/...", *names], rows, 80, capsys)
    assert max(map(len, out.splitlines())) <= 80
    assert {*names, *(cell for row in rows for cell in row[1:])} <= words_of(out)
    assert out.count("test/acc/...") == out.count("`a`") == out.count("`b`") == 4


def test_a_long_name_is_folded_and_nothing_is_lost(capsys):
    name = "`" + "n" * 100 + "`"
    out = printed(["variant", "test/acc", "[bold]n"], [[name, "1.00", "2"]], 40, capsys)
    assert max(map(len, out.splitlines())) <= 40
    assert out.count("n") >= 100
    assert words_of("1.00 2 [bold]n test/acc") <= words_of(out)


def test_a_column_that_is_wider_than_the_terminal_is_not_cut_off(capsys):
    out = printed(["variant", "m" * 50], [["`a`", "1"]], 40, capsys)
    assert "m" * 50 in out


def test_tables_with_more_metrics_are_printed_like_the_first(capsys):
    compare([*OPTIONS, "--epoch", "best", "--also", "test/acc/", "test/bal"])
    out = capsys.readouterr().out
    assert out.count("┏") == 3
    assert "---" not in out
    assert "| " not in out
