import json
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from litzoo.callbacks import Hyperparameters, RunSummary
from litzoo.callbacks.reporting.hyperparameters import same_option, signature_defaults
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import MLPClassifier
from litzoo.lit_modules.losses import FocalLoss
from tests.training import cpu_trainer


def board() -> TensorBoardLogger:
    return TensorBoardLogger("logs", name="", version="", default_hp_metric=False)


def fit(callback, loggers, **model) -> Trainer:
    trainer = cpu_trainer(max_epochs=2, logger=loggers, callbacks=[RunSummary(), callback])
    module, datamodule = MLPClassifier((1, 28, 28), 10, **model), DigitsDataModule(train_size=100, val_size=50)
    trainer.fit(module, datamodule)
    trainer.test(module, datamodule, verbose=False)
    return trainer


def logged_options(folder="logs") -> dict[str, object]:
    """Reads the options as TensorBoard's HParams tab does."""
    events = EventAccumulator(folder).Reload()
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    # Without this, the columns of all runs would be those of one of them.
    assert metadata.EXPERIMENT_TAG not in events.PluginTagToContent("hparams")
    values = metadata.parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def test_options_and_the_final_metrics_are_in_tensorboard():
    fit(Hyperparameters({"model": "MLP", "model.lr": 0.1, "data.batch_size": 32}), board())
    options = {"model": "MLP", "model.lr": 0.1, "data.batch_size": 32, "model.loss": "CrossEntropyLoss"}
    assert logged_options() == options
    assert yaml.safe_load(Path("logs/hparams.yaml").read_text()) == options
    metrics = json.loads(Path("logs/metrics.json").read_text())
    events = EventAccumulator("logs").Reload()
    for name in ("val/acc", "val/loss", "test/acc", "test/loss"):
        (event,) = events.Scalars(f"best/{name}")
        assert event.value == pytest.approx(metrics[name])


def test_other_loggers_get_the_options_too():
    fit(Hyperparameters({"model.lr": 0.1}), [CSVLogger("csv", name="", version="")])
    assert yaml.safe_load(Path("csv/hparams.yaml").read_text()) == {"model.lr": 0.1, "model.loss": "CrossEntropyLoss"}


def test_in_python_the_options_are_those_of_the_module_that_differ_from_its_defaults():
    fit(Hyperparameters(), board(), hidden=[7, 5], loss=FocalLoss())
    found = logged_options()
    assert (found["model"], found["data"], found["model.loss"]) == ("MLPClassifier", "DigitsDataModule", "FocalLoss")
    assert found["model.hidden"] == "[7, 5]"
    assert "model.dropout" not in found


def test_without_a_logger_nothing_is_written():
    fit(Hyperparameters({"model.lr": 0.1}), False)
    assert not list(Path().rglob("hparams.yaml"))


def test_defaults_are_those_of_the_nearest_class():
    class Base:
        def __init__(self, depth=1, width=2): ...

    class Derived(Base):
        def __init__(self, width=3, **options): ...

    found = signature_defaults(Derived)
    assert (found["width"], found["depth"]) == (3, 1)


@pytest.mark.parametrize(
    ("value", "default", "same"),
    [
        ([16, 32], (16, 32), True),
        ([16], (16, 32), False),
        (0.1, 0.1, True),
        (None, 0.1, False),
        (torch.ones(2), torch.ones(2), False),
    ],
)
def test_a_value_from_yaml_equals_the_default_of_a_class(value, default, same):
    assert same_option(value, default) == same
