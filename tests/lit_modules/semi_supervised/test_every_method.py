import inspect

import pytest
import torch

from litzoo.lit_modules import semi_supervised
from litzoo.lit_modules.semi_supervised import PseudoLabels
from tests.lit_modules.semi_supervised.methods import FOUND, Linear, N, batch, every_method, networks, ready


def test_the_methods_are_those_that_are_exported():
    exported = {getattr(semi_supervised, name) for name in semi_supervised.__all__}
    assert set(FOUND) == {
        each for each in exported if issubclass(each, semi_supervised.PseudoLabels) and not inspect.isabstract(each)
    }
    assert len(FOUND) >= 5


@every_method
def test_callbacks_get_class_statistics(method_class, options):
    method = method_class(**options)
    assert isinstance(method, PseudoLabels)
    assert set(method.schedulable) <= {"weight", "threshold"}


@every_method
def test_a_term_describes_each_sample(method_class, options):
    term = ready(method_class(**options))(Linear(), batch())
    assert [(each.shape, each.dtype) for each in term] == [
        ((), torch.float32),
        ((6,), torch.int64),
        ((6,), torch.float32),
        ((6,), torch.bool),
    ]
    assert term.used.any()
    assert not any(each.requires_grad for each in term[1:])


@every_method
def test_labels_carry_no_gradient(method_class, options):
    method, data, (first, second), seen = ready(method_class(**options)), batch(), networks(), []
    probabilities_of = method.probabilities

    def gradients(student, probabilities):
        method.probabilities = probabilities
        torch.manual_seed(4)
        method(student, data).loss.backward()
        return [each.grad for each in student.parameters()]

    def noted(logits, student):
        seen.append(probabilities_of(logits, student))
        return seen[-1]

    as_they_are = gradients(first, noted)
    constant = [each.detach().clone() for each in seen]
    torch.testing.assert_close(as_they_are, gradients(second, lambda *_: constant.pop(0)), rtol=0, atol=0)
    assert not any(each.requires_grad for each in seen)
    assert as_they_are[0].abs().max() > 0


@every_method
@pytest.mark.parametrize("barred", ["none", "some", "all"])
def test_only_used_samples_have_gradients(method_class, options, barred):
    torch.manual_seed(5)
    method, data, student = ready(method_class(**options)), batch(), Linear()
    index = data["unlabeled"]["index"]
    left_out = {"none": [], "some": index[[1, 4]], "all": index}[barred]
    table = torch.zeros(N, dtype=torch.bool)
    table[left_out] = True
    method.bar(table)
    for view in ("weak", "strong"):
        data["unlabeled"][view].requires_grad_()
    term = method(student, data)
    assert not term.used[table[index]].any()
    term.loss.backward()
    gradient = sum(
        view.grad.abs().sum(dim=1)
        for view in (data["unlabeled"]["weak"], data["unlabeled"]["strong"])
        if view.grad is not None
    )
    # A sample without gradient was not learned from; a mixed one has some of its partner's.
    assert torch.equal(gradient > 0, term.used)
    assert term.used.any() == (barred != "all")
    if barred == "all":
        assert term.loss == 0
        assert student.weight.grad is None or not student.weight.grad.any()


@pytest.mark.parametrize("name", ["FixMatch", "FreeMatch"])
def test_consistency_is_learned_on_the_strong_view_alone(name):
    data = batch()
    for view in ("weak", "strong"):
        data["unlabeled"][view].requires_grad_()
    ready(getattr(semi_supervised, name)())(Linear(), data).loss.backward()
    assert data["unlabeled"]["weak"].grad is None
    assert data["unlabeled"]["strong"].grad.abs().max() > 0


@pytest.mark.parametrize("name", ["FixMatch", "OnlinePseudoLabels", "SoftMixUp"])
def test_only_a_confidence_of_1_passes_the_highest_threshold(name):
    data = batch(unlabeled=2)
    data["unlabeled"]["weak"] = torch.tensor([[200.0, 0, 0, 0], [7.0, 0, 0, 0]])
    assert getattr(semi_supervised, name)(threshold=1.0)(Linear(), data).used.tolist() == [True, False]


@every_method
def test_the_state_is_saved_and_loaded(method_class, options):
    def steps(method, seed):
        torch.manual_seed(seed)  # of the batches and of what is mixed
        terms = [method(Linear(class_counts=(4, 3, 2, 1)), batch()) for _ in range(3)]
        return [[values.tolist() for values in term] for term in terms]

    method = ready(method_class(**options))
    method.bar(torch.arange(N) % 3 == 0)
    steps(method, 1)
    torch.save(method.state_dict(), "method.pt")
    fresh = method_class(**options)
    fresh.threshold = method.threshold
    fresh.load_state_dict(torch.load("method.pt", weights_only=True))
    expected = steps(method, 2)
    assert steps(fresh, 2) == expected


@every_method
def test_a_method_shares_nothing_with_the_one_that_it_was_loaded_from(method_class, options):
    first, second = ready(method_class(**options)), method_class(**options)
    first(Linear(class_counts=(4, 3, 2, 1)), batch())
    kept = first.get_extra_state()
    before = {name: values.clone() for name, values in kept.items()}
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        ready(second)(Linear(class_counts=(1, 2, 3, 4)), batch())
    second.bar(torch.ones(N, dtype=torch.bool))
    assert kept.keys() == first.get_extra_state().keys() == before.keys()
    assert all(torch.equal(values, before[name]) for name, values in first.get_extra_state().items())


@every_method
def test_a_term_is_the_same_in_any_precision_of_the_student(method_class, options):
    data = batch()

    class Half(Linear):
        def forward(self, x):
            return super().forward(x).bfloat16()

    torch.manual_seed(2)
    half = ready(method_class(**options))(Half(), data)
    torch.manual_seed(2)
    full = ready(method_class(**options))(Linear(), data)
    assert half.loss.dtype == half.confidence.dtype == torch.float32
    torch.testing.assert_close(half.loss, full.loss, rtol=0.02, atol=0.02)
    torch.testing.assert_close(half.confidence, full.confidence, rtol=0.02, atol=0.02)
