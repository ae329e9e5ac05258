import re

import pytest
import torch

from litzoo.callbacks import CurriculumLabels, MaxLogit, NearestNeighbors, UnknownClassDetector, UnknownPoolFilter
from litzoo.callbacks.unknown.calibration import acceptance_threshold, require_samples
from litzoo.lit_modules import Classifier, OnlinePseudoLabels
from tests.callbacks.labeled_pools import (
    RecordsEpochs,
    digits,
    evidence_at,
    fit,
    perceptron,
    same,
    unchanged,
    weights_of,
)
from tests.callbacks.open_set_digits import conformal

SCORES = pytest.mark.parametrize("make_score", [MaxLogit, lambda: NearestNeighbors(3)], ids=["logits", "features"])


def learner(**options):
    return perceptron(**{"pseudo_labels": OnlinePseudoLabels(), **options})


def barred_by_hand(score, model, datamodule, acceptance):
    """Returns which pool samples score above the threshold of the validation samples, bool `[141]`."""
    split = datamodule.split
    labeled, known, pool = (evidence_at(model, datamodule, part) for part in (split.train, split.val, split.unlabeled))
    score.fit(labeled, datamodule.targets[split.train], model.net.head)
    return score(pool) > conformal(score(known), acceptance)


class Filters(UnknownPoolFilter):
    """Records which samples it should bar in each epoch, and checks that it changes nothing else."""

    def __init__(self, make_score, *options):
        super().__init__(make_score(), *options)
        self.make_score, self.expected = make_score, []

    def on_train_epoch_start(self, trainer, pl_module):
        with unchanged(pl_module):
            super().on_train_epoch_start(trainer, pl_module)
        assert not pl_module.keeps_features
        self.expected.append(barred_by_hand(self.make_score(), pl_module, trainer.datamodule, self.acceptance))


@SCORES
@pytest.mark.parametrize(("start", "every"), [(0, 1), (1, 2), (9, 1)])
def test_samples_above_the_threshold_are_barred(make_score, start, every):
    pool_filter, records = Filters(make_score, 0.5, start, every), RecordsEpochs()
    trainer, _, datamodule = fit(pool_filter, records, model=learner(), max_epochs=4)
    for epoch, kept in enumerate(records.kept):
        last = epoch - (epoch - start) % every
        expected = torch.zeros(1438, dtype=torch.bool)
        if epoch >= start:
            expected[datamodule.split.unlabeled] = pool_filter.expected[last]
        assert torch.equal(kept["barred"], expected)
    fraction = int(expected.sum()) / 141
    assert trainer.callback_metrics["train/pool/barred"].item() == pytest.approx(fraction)
    assert (0 < fraction < 1) == (start < 4)


def test_barred_samples_are_not_learned_from():
    records = RecordsEpochs()
    _, first, _ = fit(UnknownPoolFilter(MaxLogit(), 0.02, start_epoch=0), records, model=learner())
    barred = records.kept[-1]["barred"]
    assert 120 < int(barred.sum()) <= 141
    _, second, _ = fit(model=learner(), default_root_dir="second")
    assert not same(weights_of(first), weights_of(second))


def test_a_filter_that_bars_no_sample_does_not_change_training():
    _, first, _ = fit(UnknownPoolFilter(NearestNeighbors(3), start_epoch=2), model=learner())
    _, second, _ = fit(model=learner(), default_root_dir="second")
    assert same(weights_of(first), weights_of(second))


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_resumed_run_ends_like_an_uninterrupted_one(epochs, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")

    def run(epochs, folder, **options):
        pool_filter = UnknownPoolFilter(NearestNeighbors(3), 0.5, 1, 2)
        return fit(pool_filter, model=learner(), max_epochs=epochs, default_root_dir=folder, **options)

    trainer, uninterrupted, _ = run(5, "uninterrupted")
    run(epochs, "resumed")
    again, resumed, _ = run(5, "resumed", ckpt_path="resumed/checkpoints/last.ckpt")
    assert same(weights_of(uninterrupted), weights_of(resumed))
    assert same(*(model.pseudo_labels.get_extra_state() for model in (uninterrupted, resumed)))
    assert trainer.callback_metrics["train/pool/barred"] == again.callback_metrics["train/pool/barred"] > 0


@pytest.mark.parametrize("filtered", [True, False])
def test_a_second_training_of_the_same_module_starts_with_the_whole_pool(filtered):
    model, pool_filter, first, second = learner(), UnknownPoolFilter(MaxLogit(), 0.5), RecordsEpochs(), RecordsEpochs()
    fit(pool_filter, first, model=model)
    assert first.kept[-1]["barred"].any()
    fit(*([pool_filter] if filtered else []), second, model=model, default_root_dir="again")
    assert not second.kept[0]["barred"].any()


def test_a_detector_with_another_score_does_not_interfere():
    pool_filter, records = Filters(lambda: NearestNeighbors(3), 0.5, 0, 1), RecordsEpochs()
    data = digits(known_classes=list(range(8)))
    model = learner(num_classes=8)
    fit(pool_filter, UnknownClassDetector(MaxLogit()), records, model=model, datamodule=data, max_epochs=1)
    assert torch.equal(records.kept[0]["barred"][data.split.unlabeled], pool_filter.expected[0])


def test_a_curriculum_labels_the_samples_that_are_not_barred():
    pool_filter = UnknownPoolFilter(MaxLogit(), 0.5, start_epoch=0)
    records = RecordsEpochs()
    _, _, datamodule = fit(pool_filter, CurriculumLabels(0, 1, 0.5), records, max_epochs=1)
    kept, index = records.kept[0], datamodule.split.unlabeled
    allowed = index[~kept["barred"][index]]
    used = int((kept["confidence"][allowed] >= kept["threshold"]).sum())
    assert used == -(-len(allowed) // 2)
    with pytest.raises(ValueError, match="UnknownPoolFilter: list it before CurriculumLabels"):
        fit(CurriculumLabels(), UnknownPoolFilter(MaxLogit()))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"acceptance": 0.0}, r"acceptance: 0\.0 is outside \(0, 1\); 0\.95 is usual"),
        ({"acceptance": 1.0}, r"acceptance: 1\.0 is outside"),
        ({"acceptance": float("nan")}, "acceptance: nan is outside"),
        ({"start_epoch": -1}, "start_epoch: -1 is negative"),
        ({"every_epochs": 0}, "every_epochs: 0 is too small"),
    ],
)
def test_arguments_out_of_range_raise(options, words):
    with pytest.raises(ValueError, match=rf"UnknownPoolFilter\.{words}"):
        UnknownPoolFilter(MaxLogit(), **options)


class Plain(Classifier):
    """A classifier with a network without `features` and `head`."""

    def __init__(self):
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
        super().__init__(net, 10, pseudo_labels=OnlinePseudoLabels())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"datamodule": digits(val_size=0)}, ValueError, r"data\.val_size is 0: set it, or remove the callback"),
        ({"datamodule": digits(val_size=18)}, ValueError, "18 calibration samples; it needs 19"),
        ({"model": learner(pseudo_labels=None)}, ValueError, "UnknownPoolFilter needs pseudo-labels"),
        ({"model": Plain()}, TypeError, "UnknownPoolFilter: a score reads features, but Sequential has no"),
    ],
    ids=["no validation", "too little validation", "no pseudo-labels", "no features"],
)
def test_unsuitable_modules_and_data_raise_before_training(options, error, words):
    records = RecordsEpochs()
    with pytest.raises(error, match=words):
        fit(UnknownPoolFilter(NearestNeighbors(3)), records, **options)
    assert not records.weights


@pytest.mark.parametrize("make", [UnknownPoolFilter, UnknownClassDetector])
def test_a_threshold_of_few_samples_is_warned_of_with_its_spread(make):
    words = rf"{make.__name__}\.acceptance: 0\.8 is calibrated on 6 .*accepts 86% ± 12% of .*; raise data\.val_size"
    with pytest.warns(UserWarning, match=words):
        fit(make(MaxLogit(), 0.8), model=learner(), datamodule=digits(val_size=6), max_epochs=1)


@pytest.mark.parametrize(("acceptance", "count"), [(0.8, 19), (0.95, 19), (0.99, 99), (0.5, 23)])
def test_enough_samples_are_not_warned_of(acceptance, count, recwarn):
    require_samples("UnknownPoolFilter", count, acceptance)
    assert not recwarn.list


def test_the_spread_is_that_of_drawn_samples(recwarn):
    require_samples("UnknownPoolFilter", 6, 0.8)
    mean, spread = map(int, re.search(r"accepts (\d+)% ± (\d+)%", str(recwarn[0].message)).groups())
    draws = torch.rand(20_000, 6, generator=torch.Generator().manual_seed(0))
    accepted = torch.tensor([acceptance_threshold(each, 0.8) for each in draws])  # of a uniform distribution
    assert 100 * accepted.mean().item() == pytest.approx(mean, abs=1)
    assert 100 * accepted.std().item() == pytest.approx(spread, abs=1)


def test_a_score_of_logits_needs_no_features():
    trainer, _, _ = fit(UnknownPoolFilter(MaxLogit(), 0.5), model=Plain())
    assert trainer.callback_metrics["train/pool/barred"] > 0
