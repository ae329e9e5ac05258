import json
from pathlib import Path

import pytest

from litzoo.scripts.cli.changed_options import Change, changes, join_first, warn_of_changed_options
from tests.scripts.helpers import MLP, litzoo, short_fit

SGD = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}
STOPPING = {"class_path": "BestWeightsEarlyStopping", "init_args": {"patience": 3, "mode": "min"}}


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        ({"trainer": {"max_epochs": 4}}, {"trainer": {"max_epochs": 2}}, ("trainer.max_epochs", "4", "2")),
        (
            {"model": {"init_args": {"optimizer": SGD | {"init_args": {"lr": 0.2}}}}},
            {"model": {"init_args": {"optimizer": SGD}}},
            ("model.optimizer.lr", "0.2", "0.1"),
        ),
        (
            {"model": {"loss": SGD}},
            {"model": {"loss": {"class_path": "FocalLoss"}}},
            ("model.loss", "SGD", "FocalLoss"),
        ),
        ({"model": {"loss": SGD}}, {"model": {"loss": None}}, ("model.loss", "SGD", "null")),
        ({"data": {"num_labeled": 10}}, {"data": {}}, ("data.num_labeled", "10", "null")),
        ({"data": {"train_size": {"per_class": 5}}}, {"data": {"train_size": 0.5}}, ("data.train_size", None, "0.5")),
        (
            {"trainer": {"callbacks": [SGD, STOPPING]}},
            {"trainer": {"callbacks": [SGD, STOPPING | {"init_args": {"patience": 5, "mode": "min"}}]}},
            ("trainer.callbacks.1.patience", "3", "5"),
        ),
        (
            {"trainer": {"callbacks": [STOPPING, SGD]}},
            {"trainer": {"callbacks": [STOPPING]}},
            ("trainer.callbacks", "[BestWeightsEarlyStopping, SGD]", "[BestWeightsEarlyStopping]"),
        ),
        ({"model": {"hidden": [7]}}, {"model": {"hidden": [7, 8]}}, ("model.hidden", "[7]", "[7, 8]")),
    ],
)
def test_each_difference_has_the_name_of_its_option_and_both_values(now, before, expected):
    (found,) = changes(now, before)
    assert found == Change(expected[0], expected[1] or found.now, expected[2])


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({"a": SGD, "b": 1.0}, {"b": 1, "a": SGD}),
        ({"a": {"class_path": "A", "init_args": {}}}, {"a": {"class_path": "A"}}),
        ({"a": None}, {}),
        ({"model": {"num_classes": 3}, "config": ["b.yaml"]}, {"model": {}, "config": None}),
        ({"ckpt_path": "last", "seed_everything": 1}, {"ckpt_path": None, "seed_everything": 0}),
    ],
    ids=["tuple", "order", "no arguments", "nothing", "links", "of no matter"],
)
def test_what_means_the_same_is_no_difference(now, before):
    assert list(changes(now, before)) == []


def test_a_long_value_is_cut():
    (found,) = changes({"a": "x" * 1000}, {"a": 1})
    assert len(found.now) < 70


@pytest.mark.parametrize(
    ("number", "end"), [(1, "0 is new"), (8, "7 is new"), (9, "7 is new; and 1 more"), (30, "and 22 more")]
)
def test_a_few_are_named_and_the_others_counted(number, end):
    assert join_first([f"{each} is new" for each in range(number)]).endswith(end)


@pytest.mark.parametrize("content", [b"", b"- a list", b"a: [", b"\xff\xfe", None])
def test_a_config_that_cannot_be_read_is_passed_over(content, recwarn):
    if content is not None:
        Path("config.yaml").write_bytes(content)
    warn_of_changed_options({"trainer": {"max_epochs": 4}}, Path("config.yaml"))
    assert not [each for each in recwarn if each.category is UserWarning]


def test_a_resumed_training_says_once_which_options_have_changed(trained, recwarn):
    options = ["--trainer.max_epochs=3", "--trainer.limit_train_batches=2", "--trainer.callbacks.patience=7"]
    litzoo("fit", *MLP, *options, "--ckpt_path=last", "--test_after_fit=false", "--seed_everything=4")
    said = [str(each.message) for each in recwarn if "resumed" in str(each.message)]
    assert said[0] == (
        "The training is resumed with other options than those in runs/digits_mlp/version_0/config.yaml: "
        "trainer.callbacks.0.patience: 7, was 20; trainer.max_epochs: 3, was 2; trainer.limit_train_batches: 2, was 10"
    )
    assert said[1:] == ["The training is resumed in a different environment: seed 4, was 0"]


def test_a_training_resumed_as_it_was_begun_says_nothing(trained, recwarn):
    options = ["--trainer.max_epochs=2", "--trainer.limit_train_batches=10"]
    litzoo("fit", *MLP, *options, "--ckpt_path=last", "--test_after_fit=false")
    assert not [each for each in map(str, (told.message for told in recwarn)) if "resumed" in each or "instead" in each]


def test_a_refused_resumption_leaves_the_files_of_the_finished_run():
    schedule = ["--model.scheduler=OneCycleLR", "--model.scheduler.max_lr=0.01"]
    folder = Path(short_fit(*schedule).run_folder)
    before = {path.name: path.read_bytes() for path in folder.glob("*.*") if "tfevents" not in path.name}
    assert json.loads(before["run.json"])["finished"]
    with pytest.raises(ValueError, match="OneCycleLR ends after 2 steps"):
        short_fit(*schedule, "--trainer.max_epochs=2", "--data.num_workers=0", "--ckpt_path=last")
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert "splits.json" in before
