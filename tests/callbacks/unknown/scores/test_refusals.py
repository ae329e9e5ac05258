import pytest
import torch

from litzoo.callbacks.unknown import scores as unknown_scores
from litzoo.callbacks.unknown.scores import (
    Evidence,
    Mahalanobis,
    NearestNeighbors,
    OpenMax,
    ReAct,
    RelativeMahalanobis,
    ViM,
)
from tests.callbacks.unknown.scores.catalogue import SCORES, D, K, fitted, known_samples

NAN, INF = float("nan"), float("inf")
INVALID = [
    *(("Energy", "temperature", value) for value in (0, -1.0, NAN, INF)),
    *(("GeneralizedEntropy", "gamma", value) for value in (0, 1.0, -0.1, NAN)),
    ("GeneralizedEntropy", "top", 0),
    *(("Mahalanobis", "shrinkage", value) for value in (-0.1, 1.1, NAN, "ledoit")),
    *(("ReAct", "percentile", value) for value in (0, 100.0, NAN)),
    ("NearestNeighbors", "k", 0),
    ("OpenMax", "alpha", 0),
    ("OpenMax", "tail", 1),
    ("ViM", "dimension", 0),
]
KNOWN, TARGET, HEAD = known_samples(rows=40)
fitting = pytest.mark.parametrize("score_class", [score for score in SCORES if score.fits])


@pytest.mark.parametrize(("score", "name", "value"), INVALID)
def test_invalid_parameters_raise_with_name_and_value(score, name, value):
    with pytest.raises(ValueError, match=rf"{score}\.{name}: {value} "):
        getattr(unknown_scores, score)(**{name: value})


@fitting
@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (KNOWN.logits[:, 0], TARGET, r"logits \[N, ...\] and classes \[N\], int64; got \[40\] and \[40\]"),
        (KNOWN.logits, TARGET[:39], r"got \[40, 4\] and \[39\]"),
        (KNOWN.logits, TARGET.float(), "torch.float32"),
        (KNOWN.logits[:0], TARGET[:0], r"got \[0, 4\] and \[0\]"),
        (KNOWN.logits, TARGET - 1, "known classes, 0 to 3; got classes from -1 to 2"),
        (KNOWN.logits, TARGET + 1, "known classes, 0 to 3; got classes from 1 to 4"),
        (KNOWN.logits.log(), TARGET, r"logits of \d+ of 40 training samples are not finite"),
    ],
)
def test_invalid_training_samples_raise(score_class, logits, target, message):
    with pytest.raises(ValueError, match=f"{score_class.__name__}.*{message}"):
        score_class().fit(Evidence(logits, KNOWN.features[: len(target)]), target, HEAD)


@pytest.mark.parametrize("score_class", [Mahalanobis, NearestNeighbors, ReAct, RelativeMahalanobis, ViM])
@pytest.mark.parametrize(
    ("features", "message"),
    [
        (KNOWN.features[:-1], r"features \[N, ...\] .* got \[39, 12\] and \[40\]"),
        (KNOWN.features[:, 0], r"features .* got \[40\]"),
        (KNOWN.features.index_fill(0, torch.tensor([3, 5]), INF), "features of 2 of 40 training samples"),
    ],
)
def test_invalid_training_features_raise(score_class, features, message):
    with pytest.raises(ValueError, match=f"{score_class.__name__}.*{message}"):
        score_class().fit(Evidence(KNOWN.logits, features), TARGET, HEAD)


def test_features_are_ignored_by_a_score_that_does_not_use_them():
    OpenMax(tail=5).fit(Evidence(KNOWN.logits, torch.full((3,), NAN)), TARGET)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (NearestNeighbors(k=41), r"NearestNeighbors.k: 41 neighbours of 40 training samples; give at most 40"),
        (ViM(dimension=D), r"ViM.dimension: 12 is not below 12, the rank of the training features"),
        (
            OpenMax(tail=11),
            r"OpenMax.tail: 11 distances per class, but class \d .of \d, from 0. has only \d+ correctly",
        ),
    ],
)
def test_parameters_that_need_more_training_samples_raise(score, message):
    with pytest.raises(ValueError, match=message):
        score.fit(KNOWN, TARGET, HEAD)


def test_a_loaded_state_with_fewer_samples_than_neighbors_raises():
    score, samples = fitted(NearestNeighbors, {"k": 30}, rows=40)
    larger = NearestNeighbors(k=45)
    larger.load_state_dict(score.state_dict())
    with pytest.raises(ValueError, match=r"NearestNeighbors.k: 45 neighbours of 40 training samples"):
        larger(samples)


def test_openmax_counts_correctly_classified_samples_only():
    logits = 5 * torch.eye(K)[TARGET]
    logits[TARGET == 2] = torch.tensor([0.0, 9, 0, 0])
    with pytest.raises(ValueError, match=r"class 2 .of 4, from 0. has only 0 correctly classified training samples"):
        OpenMax(tail=2).fit(Evidence(logits, KNOWN.features), TARGET)


def test_mahalanobis_needs_every_class_and_features_that_vary():
    with pytest.raises(ValueError, match=r"class 3 .of 4, from 0. has no training sample"):
        Mahalanobis().fit(KNOWN, TARGET.clamp(max=2), HEAD)
    with pytest.raises(ValueError, match="features of every class are constant"):
        Mahalanobis().fit(Evidence(KNOWN.logits, torch.eye(K)[TARGET]), TARGET, HEAD)


def test_vim_needs_positive_logits_and_features_away_from_the_origin():
    with pytest.raises(ValueError, match=r"largest logit, but that of the training samples is -\d.* on average"):
        ViM().fit(Evidence(KNOWN.logits - 100, KNOWN.features), TARGET, HEAD)
    unbiased = torch.nn.Linear(D, K, bias=False)
    with pytest.raises(ValueError, match="all training features are at the origin"):
        ViM().fit(Evidence(KNOWN.logits, torch.zeros(40, D)), TARGET, unbiased)
