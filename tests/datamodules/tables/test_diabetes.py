import pytest
import torch
from sklearn.datasets import load_diabetes

from litzoo.datamodules import DiabetesDataModule


def prepared(**options):
    datamodule = DiabetesDataModule(**options)
    datamodule.setup("fit")
    return datamodule


def values(dataset):
    return dataset.targets[dataset.indices].tolist()


def test_sizes_and_shape():
    datamodule = prepared()
    assert [len(part) for part in (datamodule.train_set, datamodule.val_set, datamodule.test_set)] == [319, 35, 88]
    assert datamodule.input_shape == (10,)


def test_the_three_parts_are_the_table_in_its_own_units():
    datamodule = prepared(val_size=0.2)
    parts = datamodule.train_set, datamodule.val_set, datamodule.test_set
    assert sorted(value for part in parts for value in values(part)) == sorted(load_diabetes().target.tolist())


@pytest.mark.parametrize("options", [{"seed": 1}, {"seed": 99, "val_size": 0}, {"train_size": 20, "val_size": 20}])
def test_the_hold_out_is_the_same_whatever_is_asked(options):
    assert values(prepared(**options).test_set) == values(prepared().test_set)


def test_seeds_move_validation():
    assert prepared(seed=1).split.val.tolist() != prepared(seed=2).split.val.tolist()


def test_training_rows_have_mean_0_and_standard_deviation_1():
    train = prepared().train_set
    rows = train.inputs[train.indices].double()
    torch.testing.assert_close(rows.mean(0), torch.zeros(10).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows.std(0, correction=0), torch.ones(10).double(), atol=1e-5, rtol=0)


def test_target_mean_and_std_are_those_of_the_training_rows():
    datamodule = prepared(train_size=50)
    targets = torch.tensor(values(datamodule.train_set)).double()
    assert len(targets) == 50
    assert datamodule.target_mean == pytest.approx(sum(targets.tolist()) / 50)
    assert datamodule.target_std**2 == pytest.approx(((targets - targets.mean()) ** 2).sum().item() / 49)
