import math

import pytest

from litzoo.callbacks import Ramp


@pytest.mark.parametrize("unit", ["epoch", "step"])
@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ("linear", [1.0, 1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0]),
        (
            "sigmoid",
            [1.0, 1.0, *(1 + 2 * math.exp(-5 * (1 - passed) ** 2) for passed in (0, 0.25, 0.5, 0.75)), 3.0, 3.0],
        ),
        ("constant", [1.0] * 6 + [3.0] * 2),
    ],
)
def test_a_value_rises_from_start_to_end_and_is_constant_outside(unit, shape, values):
    ramp = Ramp(final=3, initial=1, shape=shape, **{f"start_{unit}": 2, f"end_{unit}": 6})
    elsewhere = {"epoch": lambda now: (now, 100), "step": lambda now: (100, now)}[unit]
    assert [ramp(*elsewhere(now)) for now in range(8)] == pytest.approx(values)


def test_a_value_may_fall_and_may_jump():
    falling = Ramp(final=0.5, initial=0.9, start_epoch=0, end_epoch=2)
    assert [falling(epoch, 0) for epoch in range(4)] == pytest.approx([0.9, 0.7, 0.5, 0.5])
    jumping = Ramp(final=1, start_step=3, end_step=3)
    assert [jumping(0, step) for step in range(5)] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "either both epochs or both steps"),
        ({"start_epoch": 1}, "both epochs"),
        ({"end_step": 1}, "both steps"),
        ({"start_epoch": 1, "end_step": 5}, "both epochs"),
        ({"start_epoch": 1, "end_epoch": 5, "end_step": 5}, "both epochs"),
        ({"start_epoch": 1, "end_epoch": 5, "start_step": 1, "end_step": 5}, "both epochs"),
        ({"start_epoch": 6, "end_epoch": 5}, "start_epoch 6, end_epoch 5"),
        ({"start_step": -1, "end_step": 5}, "start_step -1"),
        ({"start_step": 1, "end_step": 5, "shape": "cubic"}, "linear, sigmoid, constant"),
        ({"start_step": 1, "end_step": 5, "initial": math.nan}, "finite"),
    ],
)
def test_an_invalid_ramp_raises(options, words):
    with pytest.raises(ValueError, match=words):
        Ramp(final=1.0, **options)
