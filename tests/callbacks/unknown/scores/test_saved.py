import pytest
import torch

from litzoo.callbacks.unknown.scores import Energy, Mahalanobis, MaxLogit, NearestNeighbors, ViM
from tests.callbacks.unknown.scores.catalogue import every_score, fitted, known_samples, some_samples


@every_score
def test_a_loaded_state_gives_the_same_scores(score_class, options):
    score, samples = fitted(score_class, options)
    torch.save(score.state_dict(), "score.pt")
    fresh = score_class(**options)
    fresh.load_state_dict(torch.load("score.pt", weights_only=True))
    assert torch.equal(fresh(samples), score(samples))
    assert bool(score.state_dict()) == score_class.fits
    assert all(isinstance(values, torch.Tensor) for values in score.state_dict().values())


@every_score
def test_fitting_again_replaces_the_statistics(score_class, options):
    score, samples = fitted(score_class, options, seed=5)
    known, target, head = known_samples()
    score.fit(known, target, head)
    assert torch.equal(score(samples), fitted(score_class, options)[0](samples))


@pytest.mark.parametrize("score_class", [Mahalanobis, NearestNeighbors, ViM])
def test_calling_before_fitting_raises(score_class):
    score, samples = score_class(), some_samples(known_samples()[2])
    assert score.state_dict() == {}
    score.load_state_dict({})
    with pytest.raises(RuntimeError, match=rf"{score_class.__name__} is not fitted: call fit"):
        score(samples)


@pytest.mark.parametrize("loading", [MaxLogit, Energy, Mahalanobis, NearestNeighbors])
def test_loading_the_state_of_another_score_raises_and_changes_nothing(loading):
    score, samples = fitted(loading, {})
    expected, (other, _) = score(samples), fitted(ViM, {})
    with pytest.raises(ValueError, match=rf"{loading.__name__} cannot load the state of ViM: choose that score"):
        score.load_state_dict(other.state_dict())
    assert torch.equal(score(samples), expected)
