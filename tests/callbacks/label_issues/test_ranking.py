"""The scores that samples are ranked by, against their formulas in NumPy and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_score, recall_score

from litzoo.callbacks.label_issues.ranking import rank_suspects, ranking_quality
from litzoo.callbacks.samples import ABSENT
from litzoo.datamodules import UNKNOWN
from litzoo.lit_modules.label_judgement import judge_labels


def seen(samples=200, classes=4, seed=0):
    """Random sums over three epochs; the last sample has not been seen."""
    random = np.random.RandomState(seed)
    probabilities = random.dirichlet([0.3] * classes, (3, samples)).sum(0)
    count = np.full(samples, 3.0)
    count[-1] = 0
    return {
        "probabilities": torch.tensor(probabilities, dtype=torch.float32),
        "loss": torch.tensor(random.rand(samples), dtype=torch.float32),
        "margin": torch.tensor(random.randn(samples), dtype=torch.float32),
        "count": torch.tensor(count, dtype=torch.float32),
        "given": torch.tensor(random.randint(classes, size=samples), dtype=torch.int32),
        "predicted": torch.tensor(random.randint(classes, size=samples), dtype=torch.int32),
        "clean": torch.tensor(random.choice([ABSENT, UNKNOWN, 0, 1], samples), dtype=torch.int32),
    }


def expected_scores(columns, method):
    p, y = columns["probabilities"].numpy()[:-1] / 3, columns["given"].numpy()[:-1]
    if method == "loss":
        return columns["loss"].numpy()[:-1] / 3
    if method == "margin":
        return -columns["margin"].numpy()[:-1] / 3
    if method == "posterior":
        return judge_labels(torch.from_numpy(p), torch.from_numpy(y).long()).wrong.numpy()
    relative = p - np.array([p[y == label, label].mean() for label in range(p.shape[1])])
    return np.array([np.delete(row, label).max() - row[label] for row, label in zip(relative, y, strict=True)])


@pytest.mark.parametrize("method", ["posterior", "normalized_margin", "margin", "loss"])
def test_samples_that_were_seen_are_ranked_by_the_score_of_the_method(method):
    columns = seen()
    ranking, judgement = rank_suspects(columns, method)
    scores = expected_scores(columns, method)
    assert sorted(ranking["index"].tolist()) == list(range(199))
    assert ranking["score"].numpy() == pytest.approx(scores[ranking["index"].numpy()], abs=1e-5)
    assert (ranking["score"].diff() <= 1e-9).all()
    for name in ("given", "predicted", "clean"):
        assert ranking[name].tolist() == columns[name][ranking["index"]].tolist()
    in_order = judge_labels(columns["probabilities"][ranking["index"]] / 3, ranking["given"])
    torch.testing.assert_close(judgement.wrong, in_order.wrong, rtol=1e-4, atol=1e-6)


def test_ties_are_in_the_order_of_the_training_set():
    columns = seen()
    columns["loss"][:] = 1
    assert rank_suspects(columns, "loss")[0]["index"].tolist() == list(range(199))


def test_a_training_that_saw_nothing_has_an_empty_ranking():
    columns = seen()
    columns["count"][:] = 0
    ranking, judgement = rank_suspects(columns)
    assert all(len(values) == 0 for values in ranking.values())
    assert len(judgement.wrong) == 0


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.9])
def test_quality_is_that_of_scikit_learn(fraction):
    random = np.random.RandomState(3)
    wrong = random.rand(500) < fraction
    score = random.randn(500) + wrong
    order = np.argsort(-score)
    quality = ranking_quality(torch.from_numpy(wrong[order]))
    predicted_wrong = score >= np.sort(score)[-wrong.sum()]
    assert quality["precision"] == pytest.approx(precision_score(wrong, predicted_wrong))
    assert quality["recall"] == pytest.approx(recall_score(wrong, predicted_wrong))
    assert quality["average_precision"] == pytest.approx(average_precision_score(wrong, score))


def test_there_is_no_quality_without_wrong_labels():
    assert ranking_quality(torch.zeros(5, dtype=torch.bool)) == {}
