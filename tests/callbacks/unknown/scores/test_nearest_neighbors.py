import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors as Reference
from sklearn.preprocessing import normalize

from litzoo.callbacks.unknown.scores import Evidence, NearestNeighbors, nearest_neighbors
from litzoo.callbacks.unknown.scores.nearest_neighbors import _smallest


def evidence(features):
    return Evidence(torch.zeros(len(features), 2), features)


def fitted(k, features):
    score = NearestNeighbors(k)
    score.fit(evidence(features), torch.arange(len(features)) % 2)
    return score


def expected(k, known, features):
    reference = Reference(n_neighbors=k, algorithm="brute").fit(normalize(known.double().numpy()))
    return reference.kneighbors(normalize(features.double().numpy()))[0][:, -1]


@pytest.mark.parametrize("k", [1, 7, 50, 300])
def test_distances_are_those_of_scikit_learn(k):
    known, features = torch.randn(300, 16) + 1, torch.randn(40, 16)
    assert fitted(k, known)(evidence(features)).numpy() == pytest.approx(expected(k, known, features), abs=1e-6)


@pytest.mark.parametrize("most", [1, 299, 300, 1000, 300 * 40, 10**9])
def test_blocks_of_any_size_give_the_same_scores_within_the_limit(monkeypatch, most):
    known, features = torch.randn(300, 8), torch.randn(40, 8)
    whole, compare, sizes = fitted(5, known)(evidence(features)), nearest_neighbors._shifted_squared_distances, []

    def recording(*args):
        distances = compare(*args)
        sizes.append(distances.numel())
        return distances

    monkeypatch.setattr(nearest_neighbors, "MAX_ELEMENTS", most)
    monkeypatch.setattr(nearest_neighbors, "_shifted_squared_distances", recording)
    scores = fitted(5, known)(evidence(features))
    torch.testing.assert_close(scores, whole, rtol=0, atol=1e-7)
    assert sum(sizes) == 300 * 40
    assert max(sizes) <= max(most, 300)  # at least one sample is compared with all
    assert len(sizes) == -(-40 // max(1, min(40, most // 300)))


@pytest.mark.parametrize(("samples", "size", "k"), [(60_000, 128, 50), (50_000, 2048, 50), (60, 2048, 30)])
def test_memory_is_limited(monkeypatch, samples, size, k):
    blocks = []
    monkeypatch.setattr(nearest_neighbors, "_kth_distances", lambda *args: blocks.append(args) or torch.zeros(1))
    score = NearestNeighbors(k)
    score.statistics = {"directions": torch.empty(1).expand(samples, size)}
    score(evidence(torch.ones(1, 1).expand(3000, size)))
    rows, candidates = max(len(args[0]) for args in blocks), blocks[0][3]
    assert sum(len(args[0]) for args in blocks) == 3000
    assert candidates == min(2 * k, samples)
    assert rows * max(samples, candidates * size) * 8 <= 2**27  # 128 MB even in float64


def test_the_state_is_float32():
    state = fitted(3, torch.randn(50, 8, dtype=torch.float64)).state_dict()
    assert sum(values.numel() * values.element_size() for values in state.values()) == 50 * 8 * 4


def test_duplicates_count_as_separate_neighbors():
    known = torch.tensor([[1.0, 0]] * 3 + [[0.0, 1]] * 2)
    features = evidence(torch.tensor([[5.0, 0]]))
    distances = [fitted(k, known)(features).item() for k in range(1, 6)]
    assert distances[:3] == [0, 0, 0]
    assert distances[3:] == pytest.approx([2**0.5] * 2)


def test_scores_depend_on_the_direction_only_and_features_may_be_0():
    known, features = torch.randn(60, 8), torch.randn(10, 8)
    known[5], features[3] = 0, 0
    scores = fitted(10, known)(evidence(features))
    torch.testing.assert_close(fitted(10, 1e3 * known)(evidence(1e-3 * features)), scores, rtol=0, atol=1e-6)
    assert scores.numpy() == pytest.approx(expected(10, known, features), abs=1e-6)
    assert scores[3].item() == pytest.approx(1)


@pytest.mark.parametrize("k", [1, 3, 40])
def test_neighbors_that_rounding_could_hide_are_found(monkeypatch, k):
    spread = torch.logspace(-7, 0, 500, dtype=torch.float64)[:, None]
    known, features = 1 + spread * torch.randn(500, 4), 1 + spread[::10] * torch.randn(50, 4)
    reference = expected(k, known.float(), features.float())
    scores = fitted(k, known.float())(evidence(features.float()))
    assert scores.numpy() == pytest.approx(reference, abs=2e-7)
    monkeypatch.setattr(nearest_neighbors, "to_float64", torch.Tensor.float)  # float32 alone would not have found them
    careless = fitted(k, known.float())(evidence(features.float()))
    assert np.abs(careless.numpy() - reference).max() > 1e-5


@pytest.mark.parametrize("columns", [40, 333, 1600, 1601])
def test_the_smallest_of_groups_are_the_smallest_of_all(columns):
    values = torch.randn(7, columns, generator=torch.Generator().manual_seed(columns)).round(decimals=2)  # with ties
    found, positions = _smallest(values, 20)
    assert torch.equal(found, values.topk(20, largest=False).values)
    assert torch.equal(values.gather(1, positions), found)
    assert all(len(set(row)) == 20 for row in positions.tolist())


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_distances_are_those_of_brute_force_in_float64_without_the_slow_path(device, precision, monkeypatch):
    """Also where products may be rounded to TF32 or bfloat16, and for more samples than one block has."""
    known, features = torch.randn(2000, 64) + 1, torch.randn(500, 64) + 1
    exact = torch.nn.functional.normalize
    distances = torch.cdist(
        exact(features.double()), exact(known.double()), compute_mode="donot_use_mm_for_euclid_dist"
    )
    score, products = fitted(20, known), []
    compare = nearest_neighbors._shifted_squared_distances

    def noting(queries, others):
        products.append(queries.dtype)
        return compare(queries, others)

    monkeypatch.setattr(nearest_neighbors, "MAX_ELEMENTS", 300 * 2000)
    monkeypatch.setattr(nearest_neighbors, "_shifted_squared_distances", noting)
    score.to(device)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        found = score(evidence(features.to(device))).cpu()
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)
    torch.testing.assert_close(found, distances.kthvalue(20, dim=1).values, rtol=0, atol=1e-6)
    assert products == [torch.float32] * 3
