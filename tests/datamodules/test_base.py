import shutil
from pathlib import Path

import pytest
import torch

from litzoo.datamodules import DiabetesDataModule, DigitsDataModule, MNISTDataModule
from litzoo.datamodules.splits.core import hold_out
from tests.datamodules.recording import record

EMBEDDED = pytest.mark.parametrize("datamodule", [DigitsDataModule, DiabetesDataModule])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, ["data.batch_size", "0", "at least 1"]),
        ({"eval_batch_size": -5}, ["data.eval_batch_size", "-5", "at least 1"]),
        ({"num_workers": -1}, ["data.num_workers", "-1", "at least 0"]),
        ({"seed": -2}, ["data.seed", "-2", "at least 0"]),
    ],
)
@EMBEDDED
def test_arguments_that_are_too_small_are_refused_at_once(datamodule, options, words):
    with pytest.raises(ValueError, match="too small") as error:
        datamodule(**options)
    assert all(word in str(error.value) for word in words), error.value


@EMBEDDED
def test_a_seed_that_the_generator_does_not_take_is_refused_by_name(datamodule):
    with pytest.raises(ValueError, match=r"data\.seed.*4294967296"):
        datamodule(seed=2**32).setup("fit")


@EMBEDDED
@pytest.mark.parametrize(("options", "word"), [({"val_size": 5000}, "5000"), ({"train_size": 1.5}, "1.5")])
def test_impossible_sizes_are_refused(datamodule, options, word):
    with pytest.raises(ValueError, match=word):
        datamodule(**options).setup("fit")


@EMBEDDED
def test_an_unknown_argument_is_refused(datamodule):
    with pytest.raises(TypeError, match="batchsize"):
        datamodule(batchsize=3)


def test_root_goes_before_the_environment_and_that_before_the_default(monkeypatch):
    assert MNISTDataModule().root == Path("data")
    monkeypatch.setenv("LITZOO_DATA_DIR", "/elsewhere")
    assert MNISTDataModule().root == Path("/elsewhere")
    assert MNISTDataModule(root="here").root == Path("here")
    monkeypatch.setenv("LITZOO_DATA_DIR", "")
    assert MNISTDataModule().root == Path("data")


def test_files_are_read_from_the_environments_folder(tiny_data, monkeypatch):
    monkeypatch.setenv("LITZOO_DATA_DIR", str(tiny_data))
    datamodule = MNISTDataModule()
    datamodule.prepare_data()
    datamodule.setup("fit")
    assert len(datamodule.train_set) == 90


@EMBEDDED
def test_a_second_setup_changes_nothing(datamodule):
    module = datamodule()
    for stage in ("fit", "test"):
        module.setup(stage)
    first = module.split, module.train_set, module.val_set, module.test_set
    for stage in ("validate", "predict", "fit", "test"):
        module.setup(stage)
    assert all(
        now is then
        for now, then in zip((module.split, module.train_set, module.val_set, module.test_set), first, strict=True)
    )


@EMBEDDED
def test_every_instance_draws_the_same_split_whatever_the_runs_seed(datamodule):
    reports, tests = [], []
    for run_seed in (1, 2):
        torch.manual_seed(run_seed)
        module = datamodule(seed=3)
        module.setup("validate"), module.setup("predict")
        reports.append(module.split_report())
        tests.append(module.test_set.inputs)
    assert reports[0] == reports[1]
    assert torch.equal(*tests)


@EMBEDDED
def test_validation_of_size_0_is_off_and_never_the_test_set(datamodule):
    module = datamodule(val_size=0)
    recorder = record(module)
    assert {stage for stage, _ in recorder.seen} == {"train"}
    assert len(module.val_set) == 0
    assert module.split_report()["sizes"]["val"] == 0
    assert module.split_report()["sizes"]["train"] == len(module.train_set.inputs)


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_hold_out_is_disjoint_whole_and_always_the_same(fraction):
    targets = torch.arange(203) % 4
    training, test = hold_out(targets, fraction)
    assert len(test) == round(203 * fraction)
    assert sorted([*training.tolist(), *test.tolist()]) == list(range(203))
    assert all(torch.equal(*pair) for pair in zip((training, test), hold_out(targets, fraction), strict=True))


def test_an_absent_data_set_that_cannot_be_had_says_where_it_was_looked_for(tmp_path, tiny_data, monkeypatch):
    monkeypatch.setattr(MNISTDataModule.dataset, "mirrors", ["file:///nowhere/"])
    shutil.copytree(tiny_data / "FashionMNIST", tmp_path / "FashionMNIST")
    with pytest.raises(FileNotFoundError, match="MNIST is absent"):
        record(MNISTDataModule(root=str(tmp_path)))
