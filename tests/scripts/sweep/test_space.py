from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from litzoo.scripts.sweep.space import read_space


def space_of(text):
    Path("space.yaml").write_text(text)
    return read_space(Path("space.yaml"))


def test_each_kind_is_a_distribution_of_optuna():
    rate, dropout, batch, hidden, loss = space_of(
        "model.optimizer.lr: {log: [1e-4, 1e-1]}\n"  # YAML takes 1e-4 for text
        "model.dropout: {uniform: [0, 0.5]}\n"
        "data.batch_size: {int: [16, 64, 16]}\n"
        "model.hidden: {choice: [[64], [128, 64]]}\n"
        "model.loss: {choice: [CrossEntropyLoss, null]}\n"
    )
    assert rate.distribution() == FloatDistribution(0.0001, 0.1, log=True)
    assert dropout.distribution() == FloatDistribution(0, 0.5)
    assert batch.distribution() == IntDistribution(16, 64, step=16)
    assert hidden.distribution() == CategoricalDistribution(["[64]", "[128, 64]"])
    assert rate.words(0.001) == ["--model.optimizer.lr=0.001"]
    assert hidden.words("[128, 64]") == ["--model.hidden=[128, 64]"]
    assert loss.examples() == ("CrossEntropyLoss", "null")
    assert batch.text == "{int: [16, 64, 16]}"


def test_options_may_be_nested_as_in_a_config_and_share_a_value():
    rate, decay, width = space_of(
        '"model.optimizer.lr, model.scheduler.max_lr": {log: [0.001, 0.1]}\n'
        "model: {init_args: {optimizer: {weight_decay: {uniform: [0, 1]}}, hidden: {choice: [[8], [9]]}}}\n"
    )
    assert rate.words(0.01) == ["--model.optimizer.lr=0.01", "--model.scheduler.max_lr=0.01"]
    assert (decay.name, width.name) == ("model.optimizer.weight_decay", "model.hidden")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["holds nothing"]),
        ("[1, 2]", ["holds [1, 2]"]),
        ("a: {log: [1, 2]", ["is no YAML"]),
        ("a: {log: [1, 2]}\na: {log: [1, 3]}", ["line 1", "'a' is there twice"]),
        ("model.lr: {log: [0, 0.1]}", ["model.lr: log: [0, 0.1] begins at 0", "begin above 0"]),
        ("model.lr: {log: [-1, 0.1]}", ["begins at -1"]),
        ("model.lr: {uniform: [0.5, 0.5]}", ["[0.5, 0.5] is an empty range"]),
        ("model.lr: {uniform: [2, 1]}", ["[2, 1] is an empty range"]),
        ("model.lr: {uniform: [2]}", ["has 1 values", "[lowest, highest]"]),
        ("model.lr: {uniform: [1, 2, 3]}", ["has 3 values"]),
        ("model.lr: {uniform: [0, high]}", ["'high' is no number"]),
        ("model.lr: {uniform: [0, .inf]}", ["inf is no number"]),
        ("model.lr: {uniform: [false, true]}", ["False is no number"]),
        ("data.size: {int: [1, 2.5]}", ["2.5 is no integer"]),
        ("data.size: {int: [1, 10, 4]}", ["the step has to divide 9"]),
        ("model.lr: {uniform: 3}", ["uniform takes a list, not 3"]),
        ("model.lr: {logg: [1, 2]}", ["model.lr.logg", "did you mean log"]),
        ("model.lr: 0.1", ["model.lr: 0.1 is not searched", "{log: [0.0001, 0.1]}"]),
        ("model.lr: {log: [1, 2], step: 3}", ["is not one range"]),
        ("model.lr: {choice: [a]}", ["takes at least two"]),
        ("model.lr: {choice: [a, b, a]}", ["has one twice"]),
        ("model: {lr: {log: [1, 2]}}\nmodel.lr: {log: [1, 3]}", ["model.lr: is searched twice"]),
    ],
)
def test_what_is_no_space_is_refused_by_name(text, words):
    with pytest.raises(ValueError, match=r"^--space space\.yaml: ") as refused:
        space_of(text)
    assert [word for word in words if word not in str(refused.value)] == [], str(refused.value)


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match=r"--space none.yaml: cannot be read \(No such file"):
        read_space(Path("none.yaml"))
