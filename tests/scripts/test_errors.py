import pytest

from scripts.errors import explain


def test_message_keeps_its_lines_between_a_mark_and_the_way_to_see_more():
    lines = explain(ValueError("first\n\n  second  \n"))
    assert lines == ["litzoo: error: first", "second", "Add --debug to see where it happened."]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), AssertionError(), ValueError("")])
def test_error_without_text_goes_by_its_class(error):
    assert explain(error)[0] == f"litzoo: error: {type(error).__name__}"


def test_error_of_only_blank_lines_is_still_told():
    assert explain(ValueError(" \n "))[0].startswith("litzoo: error: ")


@pytest.mark.parametrize("count", [1, 8, 9, 10, 500])
def test_message_never_has_more_than_ten_lines_of_bounded_length(count):
    lines = explain(RuntimeError("\n".join(f"{number} {'x' * 1000}" for number in range(count))))
    assert len(lines) <= 10
    assert max(map(len, lines)) <= 430
    assert lines[0].startswith("litzoo: error: 0 x")
    assert ("..." in lines) == (count > 8)
