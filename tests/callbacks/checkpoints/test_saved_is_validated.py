"""`best.ckpt` holds the weights of exactly the validation that `metrics.json` quotes, wherever in an epoch that was."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import StochasticWeightAveraging, Timer

from litzoo.callbacks import (
    BestCheckpoint,
    BestWeightsEarlyStopping,
    ExponentialMovingAverage,
    LastCheckpoint,
    MaxLogit,
    PseudoLabelReport,
    RunSummary,
    UnknownClassDetector,
)
from litzoo.lit_modules import CNNClassifier, FixMatch
from tests.callbacks.open_set_digits import BEST, KNOWN, alike, digits, module_in, perceptron, state_in
from tests.training import cpu_trainer

WITHIN = {"val_check_interval": 0.4, "max_epochs": 2}
INTERVALS = st.one_of(
    st.builds(lambda value: {"val_check_interval": value}, st.sampled_from([0.2, 0.3, 0.5, 1.0, 1, 2, 3, 5])),
    st.builds(
        lambda steps: {"val_check_interval": steps, "check_val_every_n_epoch": None}, st.sampled_from([2, 3, 4, 7])
    ),
    st.builds(lambda epochs: {"check_val_every_n_epoch": epochs}, st.sampled_from([1, 2, 3])),
)
ENDS = st.one_of(
    st.builds(lambda epochs: {"max_epochs": epochs}, st.sampled_from([1, 2, 3])),
    st.builds(lambda steps: {"max_steps": steps, "max_epochs": -1}, st.sampled_from([1, 3, 6, 8])),
    st.builds(lambda batches: {"stop_after": batches, "max_epochs": 3}, st.sampled_from([1, 3, 7])),
)
OTHERS = st.fixed_dictionaries(
    {}, optional={"limit_val_batches": st.sampled_from([0, 1]), "accumulate_grad_batches": st.sampled_from([2, 4])}
)
KINDS = {
    "plain": lambda monitor, mode: None,
    "best weights": lambda monitor, mode: BestWeightsEarlyStopping(monitor, mode, patience=2),
    "moving average": lambda monitor, mode: ExponentialMovingAverage(0.9),
}


class Validations(Callback):
    """Records the metrics of every validation."""

    def __init__(self):
        self.metrics = []

    def on_validation_end(self, trainer, pl_module):
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.metrics.append(
                {key: float(each) for key, each in trainer.callback_metrics.items() if key[:4] == "val/"}
            )


class TimeIsUp(Timer):
    """The callback behind `max_time`, with a clock that counts batches."""

    def __init__(self, batches):
        super().__init__(duration={"seconds": batches})
        self.batches = 0

    def on_train_batch_end(self, *arguments):
        self.batches += 1
        super().on_train_batch_end(*arguments)

    def time_elapsed(self, stage="train"):
        return self.batches


def cnn():
    torch.manual_seed(0)
    return CNNClassifier(input_shape=(1, 28, 28), num_classes=len(KNOWN), widths=[2])  # with batch norm


@settings(max_examples=12, deadline=None, derandomize=True)
@given(INTERVALS, ENDS, OTHERS, st.sampled_from([("val/loss", "min"), ("val/acc", "max")]), st.sampled_from([*KINDS]))
@example({"val_check_interval": 0.3}, {"max_epochs": 2}, {}, ("val/acc", "max"), "plain")
@example({"val_check_interval": 0.3}, {"max_steps": 8, "max_epochs": -1}, {}, ("val/loss", "min"), "moving average")
@example({"val_check_interval": 1}, {"max_epochs": 1}, {"accumulate_grad_batches": 4}, ("val/loss", "min"), "plain")
@example(
    {"val_check_interval": 1}, {"max_epochs": 1}, {"accumulate_grad_batches": 4}, ("val/acc", "max"), "moving average"
)
def test_the_best_validation_is_saved_and_quoted(interval, end, others, monitored, kind):
    shutil.rmtree("run", ignore_errors=True)
    monitor, mode = monitored
    seen, extra = Validations(), KINDS[kind](monitor, mode)
    if kind == "best weights" and others.get("limit_val_batches") == 0:
        extra = None  # refused without validation
    callbacks = [*filter(None, [extra]), seen, RunSummary(), BestCheckpoint(monitor, mode), LastCheckpoint()]
    if batches := end.get("stop_after"):
        callbacks.insert(0, TimeIsUp(batches))
    end = {key: each for key, each in end.items() if key != "stop_after"}
    options = {"enable_checkpointing": True, "num_sanity_val_steps": 0, **interval, **end, **others}
    trainer = cpu_trainer(callbacks=callbacks, **options)
    module = cnn()
    trainer.fit(module, digits())
    quoted = {key: each for key, each in json.loads(Path("run/metrics.json").read_text()).items() if key[:4] == "val/"}
    if not seen.metrics:
        assert not quoted
        assert BEST.exists()
        return
    best = (min if mode == "min" else max)(seen.metrics, key=lambda each: each[monitor])
    assert quoted == best
    limit = {key: each for key, each in others.items() if key == "limit_val_batches"}
    (again,) = cpu_trainer(**limit).validate(cnn(), digits(), ckpt_path=BEST, verbose=False)
    assert again == quoted
    if isinstance(extra, BestWeightsEarlyStopping):
        assert alike(dict(module.state_dict()), dict(torch.load(BEST, weights_only=True)["state_dict"]))


def test_a_fixed_last_epoch_quotes_no_validation_of_other_weights():
    callbacks = [RunSummary(), BestCheckpoint(monitor=None), LastCheckpoint()]
    cpu_trainer(callbacks=callbacks, enable_checkpointing=True, **WITHIN).fit(cnn(), digits())
    quoted = json.loads(Path("run/metrics.json").read_text())
    assert (quoted["epoch"], [key for key in quoted if key[:4] == "val/"]) == (1, [])


def test_stochastic_weight_averaging_is_refused():
    callbacks = [StochasticWeightAveraging(0.01), BestCheckpoint()]
    with pytest.raises(ValueError, match="use ExponentialMovingAverage"):
        cpu_trainer(callbacks=callbacks, enable_checkpointing=True).fit(cnn(), digits())


def test_unknown_classes_are_calibrated_on_the_weights_of_a_validation_within_an_epoch():
    detector = UnknownClassDetector(MaxLogit())
    callbacks = [detector, BestCheckpoint("val/acc", "min"), LastCheckpoint()]  # the first validation is best
    cpu_trainer(callbacks=callbacks, enable_checkpointing=True, **WITHIN).fit(perceptron(), digits())
    assert torch.load(BEST, weights_only=True)["global_step"] == 2
    fitted, module, datamodule = state_in(BEST), module_in(BEST), digits()
    datamodule.setup("fit")
    scores = []
    for part in datamodule.evaluation_batches("val", torch.device("cpu")):
        with torch.no_grad():
            scores.append(-module.features_and_logits(part["input"])[1].amax(dim=1))
    assert torch.equal(fitted["known_scores"].sort().values, torch.cat(scores).sort().values)


def test_pseudo_label_metrics_are_quoted_beside_a_validation_within_an_epoch():
    seen = Validations()
    callbacks = [PseudoLabelReport(), seen, RunSummary(), BestCheckpoint("val/loss"), LastCheckpoint()]
    datamodule = digits(num_labeled=40, unlabeled_batch_size=40)
    module = perceptron(pseudo_labels=FixMatch())
    cpu_trainer(callbacks=callbacks, enable_checkpointing=True, **WITHIN).fit(module, datamodule)
    quoted = json.loads(Path("run/metrics.json").read_text())
    assert quoted["val/loss"] == min(each["val/loss"] for each in seen.metrics)
    assert "train/pseudo/coverage" in quoted
