"""The fingerprint of a split that combines all options; it detects that a stored run used other data."""

import pytest

from litzoo.datamodules import (
    AsymmetricNoise,
    ClassCounts,
    DigitsDataModule,
    LongTailed,
    MatrixNoise,
    MNISTDataModule,
    StepImbalance,
    SymmetricNoise,
)

EVERYTHING = {
    "known_classes": [7, 1, 5, 3, 2, 8],
    "val_size": 0.2,
    "train_size": 240,
    "imbalance": LongTailed(4),
    "num_labeled": 90,
    "balance_labeled": False,
    "label_noise": AsymmetricNoise(0.3),
    "noisy_val": True,
    "seed": 5,
}
TINY = {"known_classes": [7, 1, 5, 3], "train_size": {"per_class": 6}, "imbalance": StepImbalance(2), "num_labeled": 12}


def of(datamodule=DigitsDataModule, **options):
    ready = datamodule(**options)
    ready.find_split()
    return ready.fingerprint()


def test_it_is_the_same_on_every_machine_and_version(tiny_data):
    noise = {"label_noise": SymmetricNoise(0.25, keeps_some=True), "noisy_val": True}
    assert of(**EVERYTHING) == "0b767efc41d6cd25"
    assert of(**EVERYTHING, unknown_unlabeled=20) == "d6e77e1fba667708"
    assert of(MNISTDataModule, root=str(tiny_data), val_size=0.25, seed=9, **TINY, **noise) == "abb12f4890c378b9"


def test_it_is_the_same_in_every_instance_stage_and_call():
    datamodules = [DigitsDataModule(**EVERYTHING) for _ in range(3)]
    datamodules[0].find_split()
    for datamodule, stages in zip(datamodules[1:], [["fit", "test"], ["test", "validate", "fit"]], strict=True):
        for stage in stages:
            datamodule.setup(stage)
        datamodule.find_split()
    assert len({datamodule.fingerprint() for datamodule in datamodules for _ in range(2)}) == 1


def test_options_that_change_nothing_of_the_split_leave_it_alone():
    others = {"batch_size": 7, "sampling": "balanced", "unlabeled_batch_size": 20, "augment": "shift", "scale": "unit"}
    others |= {"class_weighting": "sqrt", "drop_last": True, "root": "elsewhere"}
    assert of(**EVERYTHING, **others) == of(**EVERYTHING)
    assert of(**EVERYTHING | {"known_classes": list("715328")}) == of(**EVERYTHING)


def test_it_changes_with_every_option_that_changes_what_is_trained_or_validated_on():
    changes = [
        {"known_classes": [1, 7, 5, 3, 2, 8]},
        {"known_classes": [7, 1, 5, 3, 2, 9]},
        {"known_classes": None},
        {"val_size": 0.1},
        {"val_size": 100},
        {"train_size": 241},
        {"train_size": None},
        {"train_size": {"per_class": 60}},
        {"imbalance": LongTailed(5)},
        {"imbalance": StepImbalance(4)},
        {"imbalance": ClassCounts([50, 40, 30, 20, 10, 30]), "train_size": None},
        {"imbalance": None},
        {"num_labeled": 91},
        {"num_labeled": None},
        {"balance_labeled": True, "num_labeled": 60},
        {"balance_labeled": False, "num_labeled": 60},
        {"unknown_unlabeled": 20},
        {"unknown_unlabeled": 21},
        {"label_noise": AsymmetricNoise(0.4)},
        {"label_noise": AsymmetricNoise(0.3, {7: 2})},
        {"label_noise": SymmetricNoise(0.3)},
        {"label_noise": SymmetricNoise(0.3, keeps_some=True)},
        {"label_noise": MatrixNoise([[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]] * 6)},
        {"label_noise": None, "noisy_val": False},
        {"noisy_val": False},
        {"seed": 6},
    ]
    found = [of(**EVERYTHING)] + [of(**EVERYTHING | change) for change in changes]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("rate", [0, 0.0])
def test_noise_at_a_rate_of_nothing_is_no_noise(rate):
    clean = EVERYTHING | {"noisy_val": False}
    assert of(**clean | {"label_noise": SymmetricNoise(rate)}) == of(**clean | {"label_noise": None})
