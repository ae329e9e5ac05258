import pytest
import torch
from jsonargparse import ArgumentParser

from litzoo.callbacks.unknown.scores import Evidence, MaxSoftmax, UnknownScore, ViM
from tests.callbacks.unknown.scores.catalogue import SCORES, D, every_score, fitted, known_samples, some_samples


def select(evidence, rows):
    return Evidence(*(values[rows] for values in evidence))


def test_all_scores_are_found_with_their_flags():
    assert {MaxSoftmax, ViM} <= set(SCORES)
    assert len(SCORES) >= 9
    of_features = {"NearestNeighbors", "Mahalanobis", "ReAct", "RelativeMahalanobis", "ViM"}
    assert {score.__name__ for score in SCORES if score.uses_features} == of_features
    assert {score.__name__ for score in SCORES if score.fits} == of_features | {"OpenMax"}


@every_score
def test_unknown_samples_score_higher_than_known_ones(score_class, options):
    score, _ = fitted(score_class, options)
    known, _, head = known_samples(rows=100, seed=0)
    far = torch.zeros(100, D)
    far[:, 7] = 9 + torch.rand(100)
    scores = score(Evidence(head(far), far))
    assert (scores[:, None] > score(known)).double().mean() > 0.9


@every_score
def test_the_score_of_a_sample_does_not_depend_on_the_batch(score_class, options):
    score, samples = fitted(score_class, options)
    scores = score(samples)
    assert scores.shape == (30,)
    assert scores.dtype == torch.float64
    assert len(scores.unique()) > 20
    order = torch.randperm(30)
    torch.testing.assert_close(score(select(samples, order)), scores[order], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(score(select(samples, slice(1))), scores[:1], rtol=1e-6, atol=1e-9)
    assert score(select(samples, slice(0))).shape == (0,)


@every_score
def test_equal_samples_have_equal_scores(score_class, options):
    score, samples = fitted(score_class, options)
    logits = torch.tensor([[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, -1.0, 3.0]])
    twice = Evidence(logits.repeat(2, 1), samples.features[:2].repeat(2, 1))
    assert score(twice)[:2].tolist() == score(twice)[2:].tolist()


@every_score
def test_two_classes(score_class, options):
    score, samples = fitted(score_class, options, classes=2)
    scores = score(samples)
    assert scores.isfinite().all()
    assert scores.std() > 0


@every_score
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_extreme_logits_and_features_have_finite_scores(score_class, options, dtype):
    score, samples = fitted(score_class, options)
    largest = torch.finfo(dtype).max
    for size in (0.0, 1e-7, 800.0, largest):
        logits = torch.tensor([[1.0, -1, -1, -1], [1, 1, -1, 0], [0, 0, 0, 0], [-1, -1, -1, -1], [1, 1, 1, 1]]) * size
        features = samples.features[:5].sign() * size
        assert score(Evidence(logits.to(dtype), features.to(dtype))).isfinite().all(), size


@every_score
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scores_of_half_precision_inputs_are_computed_in_full_precision(score_class, options, dtype):
    score, samples = fitted(score_class, options)
    rounded = Evidence(*(values.to(dtype) for values in samples))
    with torch.autocast("cpu", torch.bfloat16):
        scores = score(rounded)
    assert torch.equal(scores, score(Evidence(*(values.float() for values in rounded))))


@every_score
def test_it_can_be_fitted_in_half_precision(score_class, options):
    known, target, head = known_samples()
    score, exact = score_class(**options), fitted(score_class, options)[0]
    score.fit(Evidence(*(values.bfloat16() for values in known)), target, head)
    samples = some_samples(head)
    assert torch.corrcoef(torch.stack([score(samples), exact(samples)]))[0, 1] > 0.95


@every_score
def test_inputs_are_not_modified_and_scores_have_no_gradient(score_class, options):
    known, target, head = known_samples()
    head.requires_grad_(True)
    known = Evidence(head(known.features), known.features.clone().requires_grad_())
    before = [values.detach().clone() for values in (*known, target, head.weight)]
    score = score_class(**options)
    score.fit(known, target, head)
    assert not score(known).requires_grad
    assert not any(values.requires_grad for values in score.state_dict().values())
    for values, old in zip((*known, target, head.weight), before, strict=True):
        assert torch.equal(values, old)


@every_score
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_scores_on_a_gpu_are_the_same(score_class, options):
    score, samples = fitted(score_class, options)
    expected = score(samples)
    score.to("cuda")
    there = Evidence(*(values.cuda() for values in samples))
    torch.testing.assert_close(score(there).cpu(), expected, rtol=1e-4, atol=1e-6)
    known, target, head = known_samples()
    again = score_class(**options)
    again.fit(Evidence(*(values.cuda() for values in known)), target.cuda(), head.cuda())
    torch.testing.assert_close(again(there).cpu(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["ViM", "litzoo.ViM", "litzoo.callbacks.unknown.scores.ViM"])
def test_a_score_and_its_parameters_are_read_from_yaml(name):
    parser = ArgumentParser()
    parser.add_argument("--score", type=UnknownScore)
    config = parser.parse_string(f"score: {{class_path: {name}, init_args: {{dimension: 3}}}}")
    score = parser.instantiate(config).score
    assert isinstance(score, ViM)
    assert score.dimension == 3


def test_a_score_that_needs_no_fitting_implements_one_method():
    class Length(UnknownScore):
        def __call__(self, evidence):
            return evidence.features.norm(dim=1)

    score, samples = Length(), some_samples(known_samples()[2])
    score.fit(*known_samples())
    assert torch.equal(score(samples), samples.features.norm(dim=1))
    with pytest.raises(TypeError, match="__call__"):
        UnknownScore()
