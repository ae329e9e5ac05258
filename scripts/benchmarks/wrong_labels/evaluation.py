"""How well `NoisyLabelFinder`, `litzoo audit` and cleanlab find the wrong labels of one training."""

import time
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from litzoo.callbacks.label_issues.ranking import METHODS, rank_suspects
from litzoo.callbacks.label_issues.statistics import SampleStatistics
from litzoo.lit_modules.label_judgement import judge_labels
from litzoo.lit_modules.noise_matrix import estimate_noise_matrix


def statistics_of(found: dict[str, Any]) -> tuple[dict[str, Tensor], float]:
    """Returns what `NoisyLabelFinder` collects of a training, and the seconds that this takes."""
    collected = SampleStatistics(10)
    given, index = torch.from_numpy(found["given"]), torch.arange(len(found["given"]))
    epochs = torch.from_numpy(found["epochs"]).float()
    start = time.perf_counter()
    for number, logits in enumerate(epochs):
        for rows in index.split(128):
            collected.add(logits[rows], given[rows], rows)
        collected.end_epoch(lambda values, _: values, reset_sums=number <= 1)
    return collected.seen, time.perf_counter() - start


def evaluate(found: dict[str, Any]) -> dict[str, Any]:
    """Evaluates all methods on one cell: method -> average precision, F1 of the own cut, and so on."""
    from cleanlab.count import compute_confident_joint, estimate_latent
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    given, wrong = found["given"], found["given"] != found["clean"]
    seen, seconds = statistics_of(found)
    start = time.perf_counter()
    result: dict[str, Any] = {}
    for method in METHODS:
        ranking, judgement = rank_suspects(seen, method)
        if method == METHODS[0]:
            seconds += time.perf_counter() - start
        score = np.empty(len(given))
        score[ranking["index"].numpy()] = -np.arange(len(given))
        flagged = np.zeros(len(given), dtype=bool)
        flagged[ranking["index"][judgement.wrong > 0.5].numpy()] = True
        result[f"finder {method}"] = quality(wrong, score, flagged if method == METHODS[0] else None)
    true_matrix = noise_matrix(found["clean"], given)
    matrices = {"finder": judgement.noise_matrix.numpy()}
    held_out = torch.from_numpy(found["oof"]).softmax(dim=1)
    judgement = judge_labels(held_out, torch.from_numpy(given))
    matrices["audit"] = judgement.noise_matrix.numpy()
    matrices["cleanlab"] = estimate_latent(compute_confident_joint(given, held_out.numpy()), given)[1].T
    warm_up = torch.from_numpy(found["epochs"][1]).float().softmax(dim=1)  # the last of two epochs
    matrices["`ForwardCorrection`"] = estimate_noise_matrix(warm_up, torch.from_numpy(given)).numpy()
    matrices["predicted classes"] = noise_matrix(warm_up.argmax(dim=1).numpy(), given)
    result["audit"] = quality(wrong, judgement.log_odds.numpy(), (judgement.wrong > 0.5).numpy())
    for method in ("self_confidence", "normalized_margin"):
        score = -get_label_quality_scores(given, held_out.numpy(), method=method)
        issues = find_label_issues(given, held_out.numpy()) if method == "self_confidence" else None
        result[f"cleanlab {method}"] = quality(wrong, score, issues)
    return {
        "wrong": int(wrong.sum()),
        "samples": len(given),
        "methods": result,
        "matrix_errors": {
            name: float(np.abs(matrix - true_matrix).sum(axis=1).mean()) for name, matrix in matrices.items()
        },
        "seconds": {
            "training": float(found["seconds"]), "finder": seconds, "folds": float(found["fold_seconds"])
        },
    }  # fmt: skip


def noise_matrix(true: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Returns the fraction of each class (row) that has each label (column), float64 `[10, 10]`."""
    counts = np.zeros((10, 10))
    np.add.at(counts, (true, given), 1)
    return counts / counts.sum(axis=1, keepdims=True).clip(min=1)


def quality(wrong: np.ndarray, score: np.ndarray, flagged: np.ndarray | None) -> dict[str, float]:
    """Returns average precision, precision at the true number, and what the own cut flags with its F1."""
    found: dict[str, float] = {}
    if total := int(wrong.sum()):
        first = np.argsort(-score, kind="stable")[:total]
        found |= {"ap": float(average_precision_score(wrong, score)), "precision": float(wrong[first].mean())}
    if flagged is not None:
        found["flagged"] = int(flagged.sum())
        if total:
            found["f1"] = float(2 * (flagged & wrong).sum() / (flagged.sum() + total))
    return found
