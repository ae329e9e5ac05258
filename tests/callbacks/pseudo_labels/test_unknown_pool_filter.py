import pytest
import torch

from litzoo.callbacks import CurriculumLabels, MaxLogit, NearestNeighbors, UnknownClassDetector, UnknownPoolFilter
from litzoo.lit_modules import Classifier, OnlinePseudoLabels
from tests.callbacks.labeled_pools import Watches, digits, evidence_at, fit, perceptron, same, unmoved, weights_of
from tests.callbacks.open_set_digits import conformal

SCORES = pytest.mark.parametrize("make_score", [MaxLogit, lambda: NearestNeighbors(3)], ids=["logits", "features"])


def learner(**options):
    return perceptron(**{"pseudo_labels": OnlinePseudoLabels(), **options})


def barred_by_hand(score, model, datamodule, acceptance):
    """Returns which pool samples are above the threshold of the validation samples, bool `[141]`."""
    split = datamodule.split
    labeled, known, pool = (evidence_at(model, datamodule, part) for part in (split.train, split.val, split.unlabeled))
    score.fit(labeled, datamodule.targets[split.train], model.net.head)
    return score(pool) > conformal(score(known), acceptance)


class Filters(UnknownPoolFilter):
    """Notes what it should bar just then, and sees to it that it changes nothing else."""

    def __init__(self, make_score, *options):
        super().__init__(make_score(), *options)
        self.make_score, self.expected = make_score, []

    def on_train_epoch_start(self, trainer, pl_module):
        with unmoved(pl_module):
            super().on_train_epoch_start(trainer, pl_module)
        assert not pl_module.keeps_features
        self.expected.append(barred_by_hand(self.make_score(), pl_module, trainer.datamodule, self.acceptance))


@SCORES
@pytest.mark.parametrize(("start", "every"), [(0, 1), (1, 2), (9, 1)])
def test_samples_above_the_threshold_are_barred(make_score, start, every):
    asked, watching = Filters(make_score, 0.5, start, every), Watches()
    trainer, _, datamodule = fit(asked, watching, model=learner(), max_epochs=4)
    for epoch, kept in enumerate(watching.kept):
        last = epoch - (epoch - start) % every
        expected = torch.zeros(1438, dtype=torch.bool)
        if epoch >= start:
            expected[datamodule.split.unlabeled] = asked.expected[last]
        assert torch.equal(kept["barred"], expected)
    fraction = int(expected.sum()) / 141
    assert trainer.callback_metrics["train/pool/barred"].item() == pytest.approx(fraction)
    assert (0 < fraction < 1) == (start < 4)


def test_what_is_barred_is_not_learned():
    watching = Watches()
    _, first, _ = fit(UnknownPoolFilter(MaxLogit(), 0.02, start_epoch=0), watching, model=learner())
    barred = watching.kept[-1]["barred"]
    assert 120 < int(barred.sum()) <= 141
    _, second, _ = fit(model=learner(), default_root_dir="second")
    assert not same(weights_of(first), weights_of(second))


def test_a_filter_that_bars_nobody_changes_nothing():
    _, first, _ = fit(UnknownPoolFilter(NearestNeighbors(3), start_epoch=2), model=learner())
    _, second, _ = fit(model=learner(), default_root_dir="second")
    assert same(weights_of(first), weights_of(second))


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_resumed_run_ends_as_an_unbroken_one(epochs, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")

    def run(epochs, folder, **options):
        asked = UnknownPoolFilter(NearestNeighbors(3), 0.5, 1, 2)
        return fit(asked, model=learner(), max_epochs=epochs, default_root_dir=folder, **options)

    trainer, unbroken, _ = run(5, "unbroken")
    run(epochs, "broken")
    again, resumed, _ = run(5, "broken", ckpt_path="broken/checkpoints/last.ckpt")
    assert same(weights_of(unbroken), weights_of(resumed))
    assert same(*(model.pseudo_labels.get_extra_state() for model in (unbroken, resumed)))
    assert trainer.callback_metrics["train/pool/barred"] == again.callback_metrics["train/pool/barred"] > 0


@pytest.mark.parametrize("filtered", [True, False])
def test_a_second_training_of_the_same_module_begins_with_the_whole_pool(filtered):
    model, asked, first, second = learner(), UnknownPoolFilter(MaxLogit(), 0.5), Watches(), Watches()
    fit(asked, first, model=model)
    assert first.kept[-1]["barred"].any()
    fit(*([asked] if filtered else []), second, model=model, default_root_dir="again")
    assert not second.kept[0]["barred"].any()


def test_a_detector_with_another_score_does_not_get_in_its_way():
    asked, watching = Filters(lambda: NearestNeighbors(3), 0.5, 0, 1), Watches()
    data = digits(known_classes=list(range(8)))
    model = learner(num_classes=8)
    fit(asked, UnknownClassDetector(MaxLogit()), watching, model=model, datamodule=data, max_epochs=1)
    assert torch.equal(watching.kept[0]["barred"][data.split.unlabeled], asked.expected[0])


def test_labels_of_a_curriculum_come_after_it():
    asked = UnknownPoolFilter(MaxLogit(), 0.5, start_epoch=0)
    watching = Watches()
    _, _, datamodule = fit(asked, CurriculumLabels(0, 1, 0.5), watching, max_epochs=1)
    kept, index = watching.kept[0], datamodule.split.unlabeled
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
def test_arguments_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=rf"UnknownPoolFilter\.{words}"):
        UnknownPoolFilter(MaxLogit(), **options)


class Plain(Classifier):
    """Has a network that does not tell its features."""

    def __init__(self):
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
        super().__init__(net, 10, pseudo_labels=OnlinePseudoLabels())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"datamodule": digits(val_size=0)}, ValueError, r"data\.val_size is 0: set it, or remove the callback"),
        ({"datamodule": digits(val_size=18)}, ValueError, "18 calibration samples; it needs 19"),
        ({"model": learner(pseudo_labels=None)}, ValueError, "UnknownPoolFilter works on pseudo-labels"),
        ({"model": Plain()}, TypeError, "UnknownPoolFilter: a score looks at features, which Sequential does not"),
    ],
    ids=["no validation", "too little validation", "no pseudo-labels", "no features"],
)
def test_what_the_pool_cannot_be_filtered_with_is_refused_before_any_training(options, error, words):
    watching = Watches()
    with pytest.raises(error, match=words):
        fit(UnknownPoolFilter(NearestNeighbors(3)), watching, **options)
    assert not watching.weights


def test_a_network_without_features_is_enough_for_a_score_of_logits():
    trainer, _, _ = fit(UnknownPoolFilter(MaxLogit(), 0.5), model=Plain())
    assert trainer.callback_metrics["train/pool/barred"] > 0
