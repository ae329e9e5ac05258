import inspect

import pytest
import torch

from litzoo.lit_modules import AssignedLabels, semi_supervised
from tests.lit_modules.semi_supervised.methods import FOUND, Linear, batch

NAN, INFINITE = float("nan"), float("inf")
OUT_OF_RANGE = {
    "weight": [-0.1, NAN, INFINITE],
    "threshold": [-0.1, 1.1, 95, NAN],
    "fairness": [-0.1, NAN, INFINITE],
    "memory": [-0.1, 1.0, NAN],
    "alpha": [0.0, -1.0, NAN, INFINITE],
    "even": [-0.1, NAN, INFINITE],
    "entropy": [-0.1, NAN, INFINITE],
    "deviations": [0.0, -1.0, NAN, INFINITE],
}
NUMBERS = [
    (method.__name__, name)
    for method in FOUND
    for name, parameter in inspect.signature(method).parameters.items()
    if parameter.annotation is float
]


def test_there_are_numbers_to_refuse():
    assert {name for _, name in NUMBERS} == set(OUT_OF_RANGE)


@pytest.mark.parametrize(("method", "name"), NUMBERS)
def test_numbers_out_of_range_are_refused_by_name_and_value(method, name):
    owner = "MixUp" if name == "alpha" else method
    for value in OUT_OF_RANGE[name]:
        with pytest.raises(ValueError, match=rf"{owner}\.{name}: {value} is "):
            getattr(semi_supervised, method)(**{name: value})


@pytest.mark.parametrize(("method", "name"), NUMBERS)
def test_the_bounds_of_the_range_are_accepted(method, name):
    above_0 = {key: [1e-3, 100] for key in ("alpha", "deviations")}
    ends = {"threshold": [0, 1], "memory": [0, 0.9999], **above_0}.get(name, [0, 1000])
    made = [getattr(semi_supervised, method)(**{name: value}) for value in ends]
    assert name == "alpha" or [getattr(each, name) for each in made] == ends


def test_another_view_is_refused():
    with pytest.raises(ValueError, match=r"AssignedLabels\.view: 'both' is none of weak, strong"):
        AssignedLabels(view="both")


def test_labels_that_were_never_assigned_are_refused_with_the_remedy():
    method = AssignedLabels()
    method.bar(torch.zeros(40, dtype=torch.bool))
    with pytest.raises(RuntimeError, match=r"no labels were assigned; add TeacherLabels"):
        method(Linear(), batch())
