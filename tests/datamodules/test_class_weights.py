import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from litzoo.datamodules import AsymmetricNoise, ClassCounts, DigitsDataModule, SymmetricNoise
from litzoo.datamodules.samplers import class_weights
from tests.datamodules.class_requests import unsorted

COUNTS = st.lists(st.integers(1, 10**5), min_size=2, max_size=12)


def by_hand(counts, weighting, beta=0.999):
    n = np.array(counts, dtype=float)
    if weighting == "effective":  # the sum that Cui et al. give in closed form: 1 + beta + ... + beta^(n - 1)
        weights = 1 / np.array([sum(beta**power for power in range(count)) for count in counts])
    else:
        weights = {"inverse": n**-1.0, "sqrt": n**-0.5, "complement": 1 - n / n.sum()}[weighting]
    return weights * len(n) / weights.sum()


@pytest.mark.parametrize("weighting", ["inverse", "sqrt", "effective", "complement"])
@pytest.mark.parametrize("counts", [[900, 90, 10], [1, 5000], [3, 3, 3]])
def test_weights_are_the_formulas(counts, weighting):
    weights = class_weights(counts, weighting)
    assert weights.dtype == torch.float32
    assert weights.numpy() == pytest.approx(by_hand(counts, weighting), rel=1e-5)


def test_weights_computed_by_hand():
    assert class_weights([4, 1], "inverse").tolist() == pytest.approx([0.4, 1.6])  # 1/4 : 1
    assert class_weights([4, 1], "sqrt").tolist() == pytest.approx([2 / 3, 4 / 3])  # 1/2 : 1
    assert class_weights([2, 1], "effective", beta=0.5).tolist() == pytest.approx([0.8, 1.2])  # 1 / 1.5 : 1
    assert class_weights([30, 50, 20], "complement").tolist() == pytest.approx([1.05, 0.75, 1.2])  # 0.7 : 0.5 : 0.8


@settings(deadline=None)
@given(COUNTS)
def test_inverse_weights_are_scikit_learns_balanced_ones_up_to_a_factor(counts):
    small = [1 + count % 50 for count in counts]
    balanced = compute_class_weight("balanced", classes=np.arange(len(small)), y=unsorted(small).numpy())
    assert class_weights(small, "inverse").numpy() == pytest.approx(balanced / balanced.mean(), rel=1e-5)


@settings(deadline=None)
@given(COUNTS, st.sampled_from(["inverse", "sqrt", "effective", "complement"]), st.floats(0, 0.9999))
def test_weights_average_one_and_a_rarer_class_never_weighs_less(counts, weighting, beta):
    weights = class_weights(counts, weighting, beta).double().numpy()
    assert weights.mean() == pytest.approx(1, rel=1e-5)
    assert (np.diff(weights[np.argsort(counts)]) <= 1e-6).all()


def test_the_ends_of_beta_are_no_weights_and_inverse_weights():
    assert class_weights([900, 9], "effective", beta=0).tolist() == [1, 1]
    close = class_weights([900, 9], "effective", beta=1 - 1e-9)
    assert close.tolist() == pytest.approx(class_weights([900, 9], "inverse").tolist(), rel=1e-3)


@pytest.mark.parametrize("beta", [-0.1, 1, 2, float("nan")])
def test_a_beta_that_is_no_fraction_is_refused(beta):
    with pytest.raises(ValueError, match=rf"beta: {beta} .*\[0, 1\)"):
        DigitsDataModule(effective_beta=beta)


def test_an_unknown_weighting_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="'log' is not one of inverse, sqrt, effective, complement"):
        DigitsDataModule(class_weighting="log")


def test_a_datamodule_weighs_the_classes_by_their_given_labels():
    counts = ClassCounts([40, 30, 20, 10, 40, 30, 20, 10, 40, 30])
    datamodule = DigitsDataModule(imbalance=counts, label_noise=SymmetricNoise(0.3), class_weighting="sqrt")
    datamodule.setup("fit")
    labels = [datamodule.train_set[position]["target"].item() for position in range(len(datamodule.train_set))]
    found = [labels.count(target) for target in range(10)]
    assert datamodule.class_counts == found
    assert found != counts.sizes
    assert datamodule.class_weights.numpy() == pytest.approx(by_hand(found, "sqrt"), rel=1e-5)


def test_a_class_that_noise_leaves_without_any_label_is_refused_by_name():
    # 2 is taken for 7 and 3 for 8, always, and nothing for 2 or 3: their weight would be one over zero.
    def weights(datamodule):
        datamodule.find_split()
        return datamodule.class_weights

    with pytest.raises(ValueError, match="'2'"):
        weights(DigitsDataModule(label_noise=AsymmetricNoise(1.0)))
