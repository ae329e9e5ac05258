import warnings

import pytest
import torch
from torch.utils.data import DataLoader

from litzoo.lit_modules import FixMatch, PseudoLabels
from tests.lit_modules.pool_training import cnn, digits, fit
from tests.training import cpu_trainer


def test_a_datamodule_without_unlabeled_samples_is_refused():
    with pytest.raises(ValueError, match=r"FixMatch needs a pool.*DigitsDataModule has none.*unlabeled_batch_size"):
        fit(cnn(FixMatch()), digits(unlabeled_batch_size=None))


def test_a_pool_is_refused_by_a_supervised_module():
    with pytest.raises(ValueError, match=r"unlabeled_batch_size is 20, .*CNNClassifier trains on labeled samples only"):
        fit(cnn())


def labeled_rows():
    rows = [{"input": torch.zeros(1, 28, 28), "target": torch.tensor(0), "index": torch.tensor(0)}] * 4
    return DataLoader(rows, batch_size=2)


def test_a_loader_of_labeled_batches_is_refused():
    with pytest.raises(ValueError, match=r"FixMatch needs batches of labeled and unlabeled.*got input, target, index"):
        cpu_trainer().fit(cnn(FixMatch()), labeled_rows())


def test_alignment_without_class_counts_is_refused():
    with pytest.raises(
        ValueError, match=r"pseudo_labels\.align needs class_counts.*a plain data loader does not provide"
    ):
        cpu_trainer().fit(cnn(FixMatch(align=True)), labeled_rows())


def test_no_warning_of_a_method_or_loss_given_in_python():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = cnn(FixMatch(), loss=torch.nn.CrossEntropyLoss(label_smoothing=0.1))
    assert not {"pseudo_labels", "loss"} & set(model.hparams)
    assert isinstance(model.pseudo_labels, PseudoLabels)
