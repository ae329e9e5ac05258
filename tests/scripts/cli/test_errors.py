import errno

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from litzoo.scripts.cli.errors import explain, filter_messages


def test_message_keeps_its_lines_between_the_prefix_and_the_debug_hint():
    lines = explain(ValueError("first\n\n  second  \n"))
    assert lines == ["litzoo: error: first", "second", "Add --debug to see where it happened."]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), AssertionError(), ValueError("")])
def test_error_without_text_goes_by_its_class(error):
    assert explain(error)[0] == f"litzoo: error: {type(error).__name__}"


def test_error_of_only_blank_lines_is_still_reported():
    assert explain(ValueError(" \n "))[0].startswith("litzoo: error: ")


@pytest.mark.parametrize("count", [1, 8, 9, 10, 500])
def test_message_never_has_more_than_ten_lines_of_bounded_length(count):
    lines = explain(RuntimeError("\n".join(f"{number} {'x' * 1000}" for number in range(count))))
    assert len(lines) <= 10
    assert max(map(len, lines)) <= 430
    assert lines[0].startswith("litzoo: error: 0 x")
    assert ("..." in lines) == (count > 8)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), ["out of memory", "data.batch_size"]),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            ["out of memory", "2 GiB", "batch_size"],
        ),
        (RuntimeError("can't allocate memory: you tried to allocate 2147483648 bytes"), ["2 GiB", "data.batch_size"]),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), ["runs/x", "No space left", "free some space"]),
        (
            PermissionError(errno.EACCES, "Permission denied", b"runs/x"),
            ["runs/x: Permission denied", "change the permissions"],
        ),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), ["output", "ended"]),
        (
            ValueError("<lightning.pytorch.Trainer object at 0x7f61ec354290> is odd"),
            ["lightning.pytorch.Trainer is odd"],
        ),
    ],
)
def test_an_error_of_the_machine_is_reported_with_the_fix(error, words):
    message = explain(error)[0]
    assert [word for word in words if word not in message] == [], message


def test_long_word_is_not_echoed():
    message = explain(ValueError(f"no such name: {'x' * 10_000}"))[0]
    assert len(message) < 150
    assert "10,000 characters" in message


def test_emoji_in_class_names_cause_no_warnings_in_figures(recwarn):
    filter_messages()
    figure = Figure()
    figure.suptitle("cars \N{AUTOMOBILE}")
    FigureCanvasAgg(figure).draw()
    assert not recwarn.list
