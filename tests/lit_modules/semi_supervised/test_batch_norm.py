import pytest
import torch
from torch import nn

from litzoo.lit_modules import semi_supervised
from litzoo.lit_modules.semi_supervised.base import frozen_running_statistics
from tests.lit_modules.semi_supervised.methods import K, N, Network, batch, every_method, networks, ready


@every_method
def test_running_statistics_are_those_of_labeled_and_weak_images(method_class, options):
    method, data, (student, plain) = ready(method_class(**options)), batch(), networks()
    # What makes a label, or is learned as it is; a method that learns the strong view of given labels has neither.
    views = [] if options.get("view") == "strong" else ["weak"]
    for _ in range(3):
        student(data["labeled"]["input"])
        method(student, data).loss.backward()
        for x in [data["labeled"]["input"], *(data["unlabeled"][view] for view in views)]:
            plain(x)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(student.norm, name), getattr(plain.norm, name))
    assert student.norm.track_running_stats


@pytest.mark.parametrize("momentum", [0.1, None])
def test_statistics_are_kept_and_batches_normalised_by_their_own(momentum):
    student, plain = networks()
    student.norm.momentum = plain.norm.momentum = momentum
    other, x = nn.Sequential(student, nn.BatchNorm1d(K, track_running_stats=False)), 3 + torch.randn(9, K)
    student(x)
    before = {name: values.clone() for name, values in student.state_dict().items()}
    with frozen_running_statistics(other):
        inside = student(2 * x)
    assert all(torch.equal(values, before[name]) for name, values in student.state_dict().items())
    torch.testing.assert_close(inside, plain(2 * x))
    assert student.norm.track_running_stats
    assert not other[1].track_running_stats


def test_running_statistics_are_updated_again_after_an_error():
    student, (data, method) = Network(), (batch(), semi_supervised.FixMatch())
    data["unlabeled"]["strong"] = torch.randn(6, K + 1)
    with pytest.raises(RuntimeError):
        method(student, data)
    before = student.norm.running_mean.clone()
    student(data["labeled"]["input"])
    assert not torch.equal(student.norm.running_mean, before)


@every_method
@pytest.mark.parametrize("used", [0, 1, 6])
def test_a_student_with_batch_norm_trains_with_few_used_samples(method_class, options, used):
    method, data, student = ready(method_class(**options)), batch(), Network()
    table = torch.zeros(N, dtype=torch.bool)
    table[data["unlabeled"]["index"][used:]] = True
    method.bar(table)
    term = method(student, data)
    assert term.used.sum() <= used
    term.loss.backward()
    assert term.loss.isfinite()
    assert all(values.isfinite().all() for values in student.state_dict().values())
    assert all(each.grad.isfinite().all() for each in student.parameters() if each.grad is not None)
